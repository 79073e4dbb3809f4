// Blocking after Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008):
// a block of b and a block of a are packed into panels, all threads together; then every column
// panel of b (L1) meets every row panel of a (L2).

#include "gemm.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "../cpu.h"
#include "../parallel.h"
#include "gemm_kernels.h"

namespace mpctensor::ring {
namespace {

constexpr int64_t kInner = 512;      // inner indices in a block; even
constexpr int64_t kRows = 768;       // rows of a in a packed block
constexpr int64_t kColumns = 1536;   // columns of b in a packed block
constexpr int64_t kChunk = 64;       // rows that meet a column panel in one go; whole panels
constexpr int64_t kStrassen = 640;   // the least size for which seven products beat eight
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

  void run(const Sum& a, const Sum& b, const Destinations& out) const {
    const Sum across{a.first.transposed(), a.second.transposed(), a.sign};
    for (int64_t j = 0; j < n_; j += kColumns) {
      const Block columns{j, std::min(kColumns, n_ - j)};
      for (int64_t l = 0; l < k_; l += kInner) {
        const Block inner{l, std::min(kInner, k_ - l)};
        pack(kernel_.pack_b, kernel_.columns, b, inner, columns, b_panels_);
        for (int64_t i = 0; i < m_; i += kRows) {
          const Block rows{i, std::min(kRows, m_ - i)};
          pack(kernel_.pack_a, kernel_.rows, across, inner, rows, a_panels_);
          multiply(rows, inner.size, columns, out, l > 0);
        }
      }
    }
  }

 private:
  using Pack = void (*)(const Sum&, int64_t, int64_t, uint64_t*);

  void pack(Pack pack_panels, int width, const Sum& g, Block inner, Block outer,
            uint64_t* panels) const {
    const int64_t size = panel_size(inner.size, width);
    parallel_for(0, blocks(outer.size, width), 1 + kPack / size, threads_,
                 [&](int64_t begin, int64_t end) {
                   const int64_t first = begin * width, last = std::min(end * width, outer.size);
                   pack_panels(rest(g, inner.begin, outer.begin + first), inner.size, last - first,
                               panels + begin * size);
                 });
  }

  void multiply(Block rows, int64_t k, Block columns, const Destinations& out, bool again) const {
    const int64_t width = kernel_.columns, height = kernel_.rows;
    const int64_t a_size = panel_size(k, kernel_.rows), b_size = panel_size(k, kernel_.columns);
    const int64_t panels = blocks(columns.size, width);
    const int64_t units = blocks(rows.size, kChunk) * panels;
    const int64_t work = std::min(kChunk, rows.size) * width * k;
    parallel_for(0, units, 1 + kGrain / work, threads_, [&](int64_t begin, int64_t end) {
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t j = unit % panels * width, first = unit / panels * kChunk;
        const int64_t last = std::min(first + kChunk, rows.size);
        Destinations places = out;
        for (int d = 0; d < out.count; ++d) {
          Destination& place = places.each[d];
          place.target = rest(place.target, rows.begin + first, columns.begin + j);
          place.update.accumulate |= again;
        }
        kernel_.multiply(k, a_panels_ + first / height * a_size, b_panels_ + j / width * b_size,
                         places, last - first, std::min(width, columns.size - j));
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

// Quadrants, numbered by rows: `first` alone, or plus or minus `second`.
struct Quadrants {
  int first, second, sign;
};

// Strassen's seven products of quadrants of a and b, and the quadrants of out that each is added
// to ("Gaussian elimination is not optimal", 1969).
constexpr struct {
  Quadrants a, b, out;
} kSevenProducts[] = {
    {{0, 3, 1}, {0, 3, 1}, {0, 3, 1}},  {{2, 3, 1}, {0, 0, 0}, {2, 3, -1}},
    {{0, 0, 0}, {1, 3, -1}, {1, 3, 1}}, {{3, 3, 0}, {2, 0, -1}, {0, 2, 1}},
    {{0, 1, 1}, {3, 3, 0}, {1, 0, -1}}, {{2, 0, -1}, {0, 1, 1}, {3, 3, 0}},
    {{1, 3, -1}, {2, 3, 1}, {0, 0, 0}},
};

// One level of Strassen's algorithm, an eighth less to multiply; exact, as the ring does not round.
// Sums of quadrants are formed in packing, and a product is added to both of its quadrants at once
// (Huang et al., "Strassen's algorithm reloaded", 2016). Even sizes only: what is left of odd ones
// would cost what is gained.
void strassen(int64_t m, int64_t n, int64_t k, Source a, Source b, Target out, Update update,
              int threads) {
  const int64_t rows = m / 2, columns = n / 2, inner = k / 2;
  const auto part = [](const auto& grid, int quadrant, int64_t height, int64_t width) {
    return rest(grid, quadrant / 2 * height, quadrant % 2 * width);
  };
  const auto sum = [&](Source grid, Quadrants q, int64_t height, int64_t width) {
    return Sum{part(grid, q.first, height, width), part(grid, q.second, height, width), q.sign};
  };
  bool written[4] = {};
  const auto destination = [&](int quadrant, bool negate) {
    const bool accumulate = update.accumulate || std::exchange(written[quadrant], true);
    return Destination{part(out, quadrant, rows, columns), {accumulate, update.negate != negate}};
  };
  const Product product(rows, columns, inner, threads);
  for (const auto& [left, right, to] : kSevenProducts) {
    Destinations places{{destination(to.first, false)}, 1};
    if (to.sign != 0) places.each[places.count++] = destination(to.second, to.sign < 0);
    product.run(sum(a, left, rows, inner), sum(b, right, inner, columns), places);
  }
}

void multiply_one(int64_t m, int64_t n, int64_t k, Source a, Source b, Target out, Update update,
                  int threads) {
  if (k == 0) return clear(m, n, out);
  if (n < m && n <= kThinRows)  // out^T = b^T a^T
    return multiply_one(n, m, k, b.transposed(), a.transposed(), out.transposed(), update, threads);
  if (m <= kThinRows && multiply_thin(m, n, k, a, b, out, update, threads)) return;
  if (std::min({m, n, k}) >= kStrassen && (m | n | k) % 2 == 0)
    return strassen(m, n, k, a, b, out, update, threads);
  Product(m, n, k, threads).run({a, a, 0}, {b, b, 0}, {{{out, update}}, 1});
}

}  // namespace

void gemm(int64_t m, int64_t n, int64_t k, Source a, Source b, Target out, const Batch& batch,
          Update update, int threads) {
  if (m == 0 || n == 0 || (k == 0 && update.accumulate)) return;
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
