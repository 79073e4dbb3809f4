// Products with few rows, where packing b would cost more than it saves: b is read once, in place.
#pragma once

#include "gemm_template.h"

namespace mpctensor::ring {
namespace {

constexpr int64_t kCachedWords = 1 << 17;  // about what the second-level cache holds

// A slab of inner indices: rows of b, and the elements of a that multiply them.
struct Slab {
  static constexpr int64_t capacity = 64;
  int64_t size;
  const uint64_t* b[capacity];
  uint64_t a[kThinRows][capacity];
};

// Rows i .. i + rows - 1, `vectors` vectors of side-by-side columns from j on, of which
// the first `skip` columns are left alone.
template <class V, class S, int rows, int vectors>
__attribute__((noinline)) void combine_tile(const Slab& slab, int64_t i, int64_t j, int64_t skip,
                                            Target out, bool whole, Update update) {
  S sum[rows][vectors];
  for (int64_t l = 0; l < slab.size; ++l) {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      const V b = V::load(slab.b[l] + j + v * V::width);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) sum[r][v].add_product(V::all(slab.a[i + r][l]), b);
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v) {
      uint64_t* row = out.data + out.row[i + r];
      const int64_t* place = out.col + j + v * V::width;
      const V total = sum[r][v].total();
      if (whole && skip == 0) {
        add_to(row + place[0], total, update);
        continue;
      }
      uint64_t words[V::width];
      total.store(words);
      for (int64_t w = skip; w < V::width; ++w)
        add_to(row + place[w], Lane::load(words + w), update);
    }
}

// All m rows of such a strip of columns.
template <class V, class S, int rows, int vectors>
void combine_strip(const Slab& slab, int64_t m, int64_t j, int64_t skip, Target out, bool whole,
                   Update update) {
  int64_t i = 0;
  for (; i + rows <= m; i += rows)
    combine_tile<V, S, rows, vectors>(slab, i, j, skip, out, whole, update);
  for (; i < m; ++i) combine_tile<V, S, 1, vectors>(slab, i, j, skip, out, whole, update);
}

// A run of side-by-side columns. Its last, partial vector overlaps the one before.
template <class V, class S, int rows, int columns>
void combine_run(const Slab& slab, int64_t m, int64_t run, Target out, Update update) {
  const bool whole = consecutive(out.col, run);
  int64_t j = 0;
  for (; j + columns <= run; j += columns)
    combine_strip<V, S, rows, columns / V::width>(slab, m, j, 0, out, whole, update);
  for (; j + V::width <= run; j += V::width)
    combine_strip<V, S, rows, 1>(slab, m, j, 0, out, whole, update);
  if (j < run && run >= V::width) {
    const int64_t last = run - V::width;
    combine_strip<V, S, rows, 1>(slab, m, last, j - last, out, whole, update);
  } else {
    for (; j < run; ++j) combine_strip<Lane, LaneSum, 1, 1>(slab, m, j, 0, out, whole, update);
  }
}

// out = [out +] (+-) a b as sums of rows of b, read in order, a slab at a time; columns of b that
// lie side by side are read as vectors.
template <class V, class S, int rows, int columns>
void combine_rows(int64_t m, int64_t n, int64_t k, Source a, Source b, Target out, Update update) {
  // From cache, long slabs save additions to out; a large matrix streams from memory best a few
  // rows at a time.
  const bool streams = k * n > kCachedWords && b.col[n - 1] - b.col[0] == n - 1;
  const int64_t most = streams ? 16 : Slab::capacity;
  Slab slab;
  for (int64_t l = 0; l < k; l += slab.size, update.accumulate = true) {
    slab.size = k - l < most ? k - l : most;
    for (int64_t i = 0; i < m; ++i)
      for (int64_t s = 0; s < slab.size; ++s) slab.a[i][s] = a.data[a.row[i] + a.col[l + s]];
    for (int64_t begin = 0, end = 0; begin < n; begin = end) {
      for (end = begin + 1; end < n && b.col[end] == b.col[end - 1] + 1;) ++end;
      for (int64_t s = 0; s < slab.size; ++s) slab.b[s] = b.data + b.row[l + s] + b.col[begin];
      combine_run<V, S, rows, columns>(slab, m, end - begin, {out.data, out.row, out.col + begin},
                                       update);
    }
  }
}

template <class V>
uint64_t horizontal_sum(V x) {
  uint64_t words[V::width], sum = 0;
  x.store(words);
  for (uint64_t word : words) sum += word;
  return sum;
}

// Inner products of x with `columns` vectors of k consecutive words.
template <class V, class S, int columns>
void dot(int64_t k, const uint64_t* x, const uint64_t* const* y, uint64_t* result) {
  S sum[columns];
  int64_t l = 0;
  for (; l + V::width <= k; l += V::width) {
    const V factor = V::load(x + l);
#pragma GCC unroll 8
    for (int j = 0; j < columns; ++j) sum[j].add_product(V::load(y[j] + l), factor);
  }
  for (int j = 0; j < columns; ++j) {
    result[j] = horizontal_sum(sum[j].total());
    for (int64_t t = l; t < k; ++t) result[j] += x[t] * y[j][t];
  }
}

// out = [out +] (+-) a b as inner products; the inner indices of a and of b lie side by side.
template <class V, class S>
void dot_columns(int64_t m, int64_t n, int64_t k, Source a, Source b, Target out, Update update) {
  constexpr int group = 4;
  const uint64_t* columns[group];
  uint64_t result[group];
  for (int64_t j = 0; j < n; j += group) {
    const int64_t count = n - j < group ? n - j : group;
    for (int64_t c = 0; c < group; ++c)
      columns[c] = b.data + b.row[0] + b.col[j + (c < count ? c : 0)];
    for (int64_t i = 0; i < m; ++i) {
      dot<V, S, group>(k, a.data + a.row[i] + a.col[0], columns, result);
      for (int64_t c = 0; c < count; ++c)
        add_to(out.data + out.row[i] + out.col[j + c], Lane::load(result + c), update);
    }
  }
}

template <class V, class S, int rows, int columns>
constexpr GemmKernels kernels_of() {
  return {rows,
          columns,
          pack<Lane, LaneSum, rows>,
          pack<V, S, columns>,
          multiply<V, S, rows, columns>,
          combine_rows<V, S, rows, columns>,
          dot_columns<V, S>};
}

}  // namespace
}  // namespace mpctensor::ring
