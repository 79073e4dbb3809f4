// Blocked, packed matrix product in Z_2^64: the one engine below matmul and convolution.
#pragma once

#include <cstdint>

namespace mpctensor::ring {

// A matrix whose element (i, j) lives at data[row[i] + col[j]]. Strided matrices, im2col views of a
// padded image and scattered outputs are all of this form, so none of them is ever copied whole.
template <class T>
struct Grid {
  T* data;
  const int64_t* row;
  const int64_t* col;

  Grid shifted(int64_t offset) const { return {data + offset, row, col}; }
  Grid transposed() const { return {data, col, row}; }
};

using Source = Grid<const uint64_t>;
using Target = Grid<uint64_t>;

// out = [out +] (+-) product
struct Update {
  bool accumulate = false;
  bool negate = false;
};

// A batch of equal products: product t reads a and b and writes out, shifted by their t-th offset.
struct Batch {
  int64_t count;
  const int64_t* a;
  const int64_t* b;
  const int64_t* out;
};

// out (m, n) = [out +] (+-) a (m, k) x b (k, n) mod 2^64 for every member of the batch. Targets of
// different members, rows and columns never overlap. Independent of the number of threads.
void gemm(int64_t m, int64_t n, int64_t k, Source a, Source b, Target out, const Batch& batch,
          Update update, int threads);

}  // namespace mpctensor::ring
