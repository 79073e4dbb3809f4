// Blocking after Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008):
// a block of b and a block of a are packed into panels, all threads together; then every column
// panel of b (L1) meets every row panel of a (L2).

#include "gemm.h"

#include <algorithm>
#include <memory>

#include "../cpu.h"
#include "../parallel.h"
#include "gemm_kernels.h"

namespace mpctensor::ring {
namespace {

constexpr int64_t kInner = 512;      // inner indices in a block; even
constexpr int64_t kRows = 768;       // rows of a in a packed block
constexpr int64_t kColumns = 1536;   // columns of b in a packed block
constexpr int64_t kChunk = 64;       // rows that meet a column panel in one go; whole panels
constexpr int64_t kGrain = 1 << 19;  // multiply-adds worth waking a thread for
constexpr int64_t kPack = 1 << 16;   // words worth the same when they are packed

const GemmKernels& kernels() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return gemm_avx512;
  if (isa() == Isa::avx2) return gemm_avx2;
#endif
  return gemm_portable;
}

int64_t blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }

// Memory for the packed panels of the one product that a thread is at; kept for the next, so that
// small products allocate nothing.
class Scratch {
 public:
  uint64_t* reserve(int64_t words) {
    if (words > size_) {
      memory_.reset(new (std::align_val_t(64)) uint64_t[words]);
      size_ = words;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(uint64_t* p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  std::unique_ptr<uint64_t[], Free> memory_;
  int64_t size_ = 0;
};

struct Block {
  int64_t begin, size;
};

class Product {
 public:
  Product(int64_t m, int64_t n, int64_t k, int threads)
      : kernel_(kernels()), m_(m), n_(n), k_(k), threads_(threads) {
    static thread_local Scratch scratch;
    const int64_t inner = std::min(k, kInner);
    const int64_t rows = blocks(std::min(m, kRows), kernel_.rows);
    const int64_t columns = blocks(std::min(n, kColumns), kernel_.columns);
    const int64_t a_words = rows * panel_size(inner, kernel_.rows);
    a_panels_ =
        scratch.reserve((a_words + 7) / 8 * 8 + columns * panel_size(inner, kernel_.columns));
    b_panels_ = a_panels_ + (a_words + 7) / 8 * 8;
  }

  void run(Source a, Source b, Target out, Update update) const {
    for (int64_t j = 0; j < n_; j += kColumns) {
      const Block columns{j, std::min(kColumns, n_ - j)};
      for (int64_t l = 0; l < k_; l += kInner) {
        const Block inner{l, std::min(kInner, k_ - l)};
        const Update step{update.accumulate || l > 0, update.negate};
        pack(kernel_.pack_b, kernel_.columns, b, inner, columns, b_panels_);
        for (int64_t i = 0; i < m_; i += kRows) {
          const Block rows{i, std::min(kRows, m_ - i)};
          pack(kernel_.pack_a, kernel_.rows, a.transposed(), inner, rows, a_panels_);
          multiply(rows, inner.size, columns,
                   {out.data, out.row + rows.begin, out.col + columns.begin}, step);
        }
      }
    }
  }

 private:
  using Pack = void (*)(Source, int64_t, int64_t, uint64_t*);

  void pack(Pack pack_panels, int width, Source g, Block inner, Block outer,
            uint64_t* panels) const {
    const int64_t size = panel_size(inner.size, width);
    parallel_for(0, blocks(outer.size, width), 1 + kPack / size, threads_,
                 [&](int64_t begin, int64_t end) {
                   const int64_t first = begin * width, last = std::min(end * width, outer.size);
                   pack_panels({g.data, g.row + inner.begin, g.col + outer.begin + first},
                               inner.size, last - first, panels + begin * size);
                 });
  }

  void multiply(Block rows, int64_t k, Block columns, Target out, Update update) const {
    const int64_t width = kernel_.columns, height = kernel_.rows;
    const int64_t a_size = panel_size(k, kernel_.rows), b_size = panel_size(k, kernel_.columns);
    const int64_t panels = blocks(columns.size, width);
    const int64_t units = blocks(rows.size, kChunk) * panels;
    const int64_t work = std::min(kChunk, rows.size) * width * k;
    parallel_for(0, units, 1 + kGrain / work, threads_, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t j = unit % panels * width, first = unit / panels * kChunk;
        const int64_t last = std::min(first + kChunk, rows.size);
        kernel_.multiply(k, a_panels_ + first / height * a_size, b_panels_ + j / width * b_size,
                         {out.data, out.row + first, out.col + j}, last - first,
                         std::min(width, columns.size - j), update);
      }
    });
  }

  const GemmKernels& kernel_;
  int64_t m_, n_, k_;
  int threads_;
  uint64_t *a_panels_, *b_panels_;
};

// A product of few rows; false if its layout does not suit.
bool multiply_thin(int64_t m, int64_t n, int64_t k, Source a, Source b, Target out, Update update,
                   int threads) {
  const GemmKernels& kernel = kernels();
  const bool dots = k >= 8 && consecutive(b.row, k) && consecutive(a.col, k);
  if (!dots && !consecutive(b.col, std::min(n, 2 * m))) return false;
  parallel_for(0, n, 8 * (1 + kGrain / (8 * m * k)), threads, [&](int64_t begin, int64_t end) {
    (dots ? kernel.dot_columns : kernel.combine_rows)(m, end - begin, k, a,
                                                      {b.data, b.row, b.col + begin},
                                                      {out.data, out.row, out.col + begin}, update);
  });
  return true;
}

void clear(int64_t m, int64_t n, Target out) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) out.data[out.row[i] + out.col[j]] = 0;
}

void multiply_one(int64_t m, int64_t n, int64_t k, Source a, Source b, Target out, Update update,
                  int threads) {
  if (k == 0) return clear(m, n, out);
  if (m <= kThinRows && multiply_thin(m, n, k, a, b, out, update, threads)) return;
  Product(m, n, k, threads).run(a, b, out, update);
}

}  // namespace

void gemm(int64_t m, int64_t n, int64_t k, Source a, Source b, Target out, const Batch& batch,
          Update update, int threads) {
  if (m == 0 || n == 0 || (k == 0 && update.accumulate)) return;
  if (n < m && n <= kThinRows) {  // out^T = b^T a^T
    const Batch swapped{batch.count, batch.b, batch.a, batch.out};
    return gemm(n, m, k, b.transposed(), a.transposed(), out.transposed(), swapped, update,
                threads);
  }
  const bool split = batch.count >= threads;  // members to threads, else each member to all threads
  const int inner = split ? 1 : threads;
  parallel_for(0, batch.count, 1 + kGrain / (1 + m * n * k), split ? threads : 1,
               [&](int64_t begin, int64_t end) {
                 for (int64_t t = begin; t < end; ++t)
                   multiply_one(m, n, k, a.shifted(batch.a[t]), b.shifted(batch.b[t]),
                                out.shifted(batch.out[t]), update, inner);
               });
}

}  // namespace mpctensor::ring
