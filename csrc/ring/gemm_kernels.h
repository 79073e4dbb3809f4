// The inner kernels of gemm, one set per instruction set.
//
// A panel holds k inner indices of `width` rows of a (or columns of b), two inner indices at a
// time: for each pair, `width` elements of the even index, then of the odd one (zeros where there
// is none), and at the end `width` words, the sums over the pairs of even times odd. With them an
// inner product costs one multiplication a pair (Winograd, "A new algorithm for inner product",
// 1968):
//   a0 b0 + a1 b1 = (a0 + b1) (a1 + b0) - a0 a1 - b0 b1,
// which is exact here because the ring is commutative and nothing rounds.
#pragma once

#include <cstdint>

#include "gemm.h"

namespace mpctensor::ring {

// Most rows for which the kernels without packing may be asked.
constexpr int kThinRows = 16;

// first + second, first - second or, with sign 0, first alone: added up while it is packed.
struct Sum {
  Source first, second;
  int sign;
};

// A product may go to two places at once.
struct Destination {
  Target target;
  Update update;
};

struct Destinations {
  Destination each[2];
  int count;
};

struct GemmKernels {
  int rows;     // width of an a panel
  int columns;  // width of a b panel

  // Packs columns 0 .. count - 1 of g and inner indices (rows of g) 0 .. k - 1 into panels.
  void (*pack_a)(const Sum& g, int64_t k, int64_t count, uint64_t* panels);
  void (*pack_b)(const Sum& g, int64_t k, int64_t count, uint64_t* panels);

  // out = [out +] (+-) product of the a panels of m rows and the one b panel of n columns.
  void (*multiply)(int64_t k, const uint64_t* a, const uint64_t* b, Destinations out, int64_t m,
                   int64_t n);

  // The whole product without packing, for m <= kThinRows: b is read by rows (its columns side by
  // side), or by columns (the inner indices of a and b side by side).
  void (*combine_rows)(int64_t m, int64_t n, int64_t k, Source a, Source b, Target out,
                       Update update);
  void (*dot_columns)(int64_t m, int64_t n, int64_t k, Source a, Source b, Target out,
                      Update update);
};

// Functions in this header are static: it is compiled for several instruction sets, and the linker
// must not share their code.

// Words of a panel.
static inline int64_t panel_size(int64_t k, int width) { return (k + k % 2 + 1) * width; }

// The rest of a matrix from row i and column j on.
template <class T>
static inline Grid<T> rest(Grid<T> g, int64_t i, int64_t j) {
  return {g.data, g.row + i, g.col + j};
}

static inline Sum rest(const Sum& g, int64_t i, int64_t j) {
  return {rest(g.first, i, j), rest(g.second, i, j), g.sign};
}

// Whether the offsets lie side by side.
static inline bool consecutive(const int64_t* offsets, int64_t count) {
  for (int64_t i = 1; i < count; ++i)
    if (offsets[i] != offsets[0] + i) return false;
  return true;
}

extern const GemmKernels gemm_portable, gemm_avx2, gemm_avx512;

}  // namespace mpctensor::ring
