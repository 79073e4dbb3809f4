// The packing kernels of gemm_kernels.h and the product of panels, over the vector types of
// lanes_<isa>.h: V is the vector, S the sum of products of two of them. Nothing of the standard
// library is used, because the linker might share its code between instruction sets.
#pragma once

#include "gemm_kernels.h"
#include "lanes_portable.h"

namespace mpctensor::ring {
namespace {

// x, x + y or x - y
template <class V, int sign>
V combined(const uint64_t* x, const uint64_t* y) {
  const V value = V::load(x);
  return sign == 0 ? value : sign > 0 ? value + V::load(y) : value - V::load(y);
}

// Inner indices begin .. end - 1 of columns c .. c + group - 1 of g, into every width-th word.
template <class V, int group, int width, int sign>
void copy_columns(const Sum& g, int64_t c, int64_t begin, int64_t end, uint64_t* panel) {
  const int64_t *row_x = g.first.row, *col_x = g.first.col + c;
  const int64_t *row_y = g.second.row, *col_y = g.second.col + c;
  if (consecutive(col_x, group) && (sign == 0 || consecutive(col_y, group))) {
    const uint64_t *x = g.first.data + col_x[0], *y = g.second.data + col_y[0];
    for (int64_t l = begin; l < end; ++l)
      for (int j = 0; j < group; j += V::width)
        combined<V, sign>(x + row_x[l] + j, y + row_y[l] + j).store(panel + l * width + j);
    return;
  }
  const uint64_t *x[group], *y[group];
  for (int j = 0; j < group; ++j) {
    x[j] = g.first.data + col_x[j];
    y[j] = g.second.data + col_y[j];
  }
  for (int64_t l = begin; l < end; ++l)
    for (int j = 0; j < group; ++j)
      combined<Lane, sign>(x[j] + row_x[l], y[j] + row_y[l]).store(panel + l * width + j);
}

// The same of columns c .. c + count - 1.
template <class V, int width, int sign>
void copy_slab(const Sum& g, int64_t c, int64_t begin, int64_t end, int64_t count,
               uint64_t* panel) {
  constexpr int group = width < 8 ? width : 8;
  int64_t j = 0;
  for (; j + group <= count; j += group)
    copy_columns<V, group, width, sign>(g, c + j, begin, end, panel + j);
  for (; j < count; ++j) copy_columns<Lane, 1, width, sign>(g, c + j, begin, end, panel + j);
}

// sums += even times odd over the pairs of inner indices begin .. end - 1.
template <class V, class S, int width>
void add_pairs(const uint64_t* panel, int64_t begin, int64_t end, uint64_t* sums) {
  S sum[width / V::width];
  for (int64_t l = begin; l < end; l += 2)
    for (int j = 0; j < width / V::width; ++j) {
      const uint64_t* pair = panel + l * width + j * V::width;
      sum[j].add_product(V::load(pair), V::load(pair + width));
    }
  for (int j = 0; j < width / V::width; ++j, sums += V::width)
    (V::load(sums) + sum[j].total()).store(sums);
}

// Inner indices begin .. end - 1 (begin even) of one panel of `count` columns from c on, and their
// share of the sums at its end.
template <class V, class S, int width>
void pack_slab(const Sum& g, int64_t c, int64_t begin, int64_t end, int64_t count, uint64_t* panel,
               uint64_t* sums) {
  (g.sign == 0  ? copy_slab<V, width, 0>
   : g.sign > 0 ? copy_slab<V, width, 1>
                : copy_slab<V, width, -1>)(g, c, begin, end, count, panel);
  for (int64_t j = count; j < width; ++j)
    for (int64_t l = begin; l < end; ++l) panel[l * width + j] = 0;
  if (end % 2 != 0)
    for (int j = 0; j < width; ++j) panel[end * width + j] = 0;
  add_pairs<V, S, width>(panel, begin, end, sums);
}

// Where the columns of g lie side by side, all panels advance together, a few inner indices at a
// time, so that memory is read in order.
template <class V, class S, int width>
void pack(const Sum& g, int64_t k, int64_t count, uint64_t* panels) {
  const int64_t size = panel_size(k, width);
  const int64_t slab =
      consecutive(g.first.col, count < width ? count : width) ? (g.sign == 0 ? 16 : 8) : k;
  for (int64_t end = size; end <= size * ((count + width - 1) / width); end += size)
    for (int j = 1; j <= width; ++j) panels[end - j] = 0;
  for (int64_t l = 0; l < k; l += slab) {
    uint64_t* panel = panels;
    for (int64_t j = 0; j < count; j += width, panel += size)
      pack_slab<V, S, width>(g, j, l, l + slab < k ? l + slab : k,
                             count - j < width ? count - j : width, panel, panel + size - width);
  }
}

// place = [place +] (+-) product
template <class V>
void add_to(uint64_t* place, V product, Update update) {
  const V old = update.accumulate ? V::load(place) : V::all(0);
  (update.negate ? old - product : old + product).store(place);
}

// Products of one a panel and one b panel: the whole tile, rows * columns words. Not inlined, so
// that every accumulator gets a register.
template <class V, class S, int rows, int columns>
__attribute__((noinline)) void multiply_panels(int64_t k, const uint64_t* a, const uint64_t* b,
                                               uint64_t* tile) {
  constexpr int vectors = columns / V::width;
  S sum[rows][vectors];
  for (int64_t l = 0; l < k; l += 2, a += 2 * rows, b += 2 * columns) {
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const V even = V::all(a[i]), odd = V::all(a[rows + i]);
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j)
        sum[i][j].add_product(even + V::load(b + columns + j * V::width),
                              odd + V::load(b + j * V::width));
    }
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j, tile += V::width)
      (sum[i][j].total() - V::all(a[i]) - V::load(b + j * V::width)).store(tile);
}

// Asks for the m rows of n columns that a tile will be added to. Always inline: gcc drops calls of
// functions that do nothing but this.
__attribute__((always_inline)) inline void fetch_tile(Target out, int64_t m, int64_t n) {
  for (int64_t r = 0; r < m; ++r) {
    const uint64_t* row = out.data + out.row[r];
    __builtin_prefetch(row + out.col[0], 1);
    __builtin_prefetch(row + out.col[n - 1], 1);
  }
}

// whole: all columns, and they lie side by side.
template <class V, int columns>
void add_tile(const uint64_t* tile, Target out, int64_t m, int64_t n, bool whole, Update update) {
  for (int64_t r = 0; r < m; ++r, tile += columns) {
    uint64_t* row = out.data + out.row[r];
    if (whole)
      for (int j = 0; j < columns; j += V::width)
        add_to(row + out.col[0] + j, V::load(tile + j), update);
    else
      for (int64_t j = 0; j < n; ++j) add_to(row + out.col[j], Lane::load(tile + j), update);
  }
}

// With the number of destinations as a constant, which small products gain by.
template <class V, class S, int rows, int columns, int places>
void multiply_into(int64_t k, const uint64_t* a, const uint64_t* b, Destinations out, int64_t m,
                   int64_t n) {
  bool whole[places];
  for (int d = 0; d < places; ++d)
    whole[d] = n == columns && consecutive(out.each[d].target.col, columns);
  alignas(64) uint64_t tile[rows * columns];
  for (int64_t i = 0; i < m; i += rows, a += panel_size(k, rows)) {
    const int64_t count = m - i < rows ? m - i : rows;
    for (int d = 0; d < places; ++d) fetch_tile(rest(out.each[d].target, i, 0), count, n);
    multiply_panels<V, S, rows, columns>(k, a, b, tile);
    for (int d = 0; d < places; ++d)
      add_tile<V, columns>(tile, rest(out.each[d].target, i, 0), count, n, whole[d],
                           out.each[d].update);
  }
}

template <class V, class S, int rows, int columns>
void multiply(int64_t k, const uint64_t* a, const uint64_t* b, Destinations out, int64_t m,
              int64_t n) {
  (out.count == 1 ? multiply_into<V, S, rows, columns, 1>
                  : multiply_into<V, S, rows, columns, 2>)(k, a, b, out, m, n);
}

}  // namespace
}  // namespace mpctensor::ring
