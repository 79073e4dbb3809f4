// Products with few rows, where packing b would cost more than it saves: b is read once, in place.
#pragma once

#include "gemm_template.h"

namespace mpctensor::ring {
namespace {

// `vectors` vectors of columns from j on: out += sum over `count` inner indices of factor[l] b_l.
template <class V, class S, int vectors>
void combine_at(int64_t j, int64_t count, const uint64_t* factor, const uint64_t* const* b,
                uint64_t* out, bool whole, const int64_t* place, Update update) {
  S sum[vectors];
  for (int64_t l = 0; l < count; ++l) {
    const V scale = V::all(factor[l]);
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) sum[v].add_product(scale, V::load(b[l] + j + v * V::width));
  }
  uint64_t words[V::width];
  for (int v = 0; v < vectors; ++v, place += V::width) {
    if (whole) {
      add_to(out + place[0], sum[v].total(), update);
      continue;
    }
    sum[v].total().store(words);
    for (int w = 0; w < V::width; ++w) add_to(out + place[w], Lane::load(words + w), update);
  }
}

// out = [out +] (+-) a b as sums of rows of b, a few rows at a time; runs of side-by-side columns
// of b are read as vectors.
template <class V, class S>
void combine_rows(int64_t m, int64_t n, int64_t k, Source a, Source b, Target out, Update update) {
  constexpr int64_t slab = 16;
  uint64_t factor[slab];
  const uint64_t* rows[slab];
  for (int64_t l = 0; l < k; l += slab, update.accumulate = true) {
    const int64_t count = k - l < slab ? k - l : slab;
    for (int64_t j = 0, end = 0; j < n; j = end) {
      for (end = j + 1; end < n && b.col[end] == b.col[end - 1] + 1;) ++end;
      const bool whole = consecutive(out.col + j, end - j);
      for (int64_t s = 0; s < count; ++s) rows[s] = b.data + b.row[l + s] + b.col[j];
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t s = 0; s < count; ++s) factor[s] = a.data[a.row[i] + a.col[l + s]];
        uint64_t* row = out.data + out.row[i];
        const int64_t size = end - j;
        const int64_t* place = out.col + j;
        int64_t c = 0;
        for (; c + 4 * V::width <= size; c += 4 * V::width)
          combine_at<V, S, 4>(c, count, factor, rows, row, whole, place + c, update);
        for (; c + V::width <= size; c += V::width)
          combine_at<V, S, 1>(c, count, factor, rows, row, whole, place + c, update);
        for (; c < size; ++c)
          combine_at<Lane, LaneSum, 1>(c, count, factor, rows, row, whole, place + c, update);
      }
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
          combine_rows<V, S>,
          dot_columns<V, S>};
}

}  // namespace
}  // namespace mpctensor::ring
