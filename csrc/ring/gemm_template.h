// The packing kernels of gemm_kernels.h and the product of panels, over the vector types of
// lanes_<isa>.h: V is the vector, S the sum of products of two of them. Nothing of the standard
// library is used, because the linker might share its code between instruction sets.
#pragma once

#include "gemm_kernels.h"
#include "lanes_portable.h"

namespace mpctensor::ring {
namespace {

// Inner indices begin .. end - 1 of columns 0 .. group - 1 of g, into every width-th word.
template <int group, int width>
void copy_columns(Source g, int64_t begin, int64_t end, uint64_t* panel) {
  const int64_t* row = g.row;
  if (consecutive(g.col, group)) {
    const uint64_t* base = g.data + g.col[0];
    for (int64_t l = begin; l < end; ++l)
      __builtin_memcpy(panel + l * width, base + row[l], group * sizeof(uint64_t));
    return;
  }
  const uint64_t* column[group];
  for (int j = 0; j < group; ++j) column[j] = g.data + g.col[j];
  for (int64_t l = begin; l < end; ++l)
    for (int j = 0; j < group; ++j) panel[l * width + j] = column[j][row[l]];
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

// Inner indices begin .. end - 1 (begin even) of one panel of `count` columns, and their share of
// the sums at its end.
template <class V, class S, int width>
void pack_slab(Source g, int64_t begin, int64_t end, int64_t count, uint64_t* panel,
               uint64_t* sums) {
  constexpr int group = width < 8 ? width : 8;
  int64_t c = 0;
  for (; c + group <= count; c += group)
    copy_columns<group, width>({g.data, g.row, g.col + c}, begin, end, panel + c);
  for (; c < count; ++c) copy_columns<1, width>({g.data, g.row, g.col + c}, begin, end, panel + c);
  for (; c < width; ++c)
    for (int64_t l = begin; l < end; ++l) panel[l * width + c] = 0;
  if (end % 2 != 0)
    for (int j = 0; j < width; ++j) panel[end * width + j] = 0;
  add_pairs<V, S, width>(panel, begin, end, sums);
}

// Where the columns of g lie side by side, all panels advance together, a few inner indices at a
// time, so that memory is read in order.
template <class V, class S, int width>
void pack(Source g, int64_t k, int64_t count, uint64_t* panels) {
  const int64_t size = panel_size(k, width);
  const int64_t slab = consecutive(g.col, count < width ? count : width) ? 16 : k;
  for (int64_t end = size; end <= size * ((count + width - 1) / width); end += size)
    for (int j = 1; j <= width; ++j) panels[end - j] = 0;
  for (int64_t l = 0; l < k; l += slab) {
    uint64_t* panel = panels;
    for (int64_t j = 0; j < count; j += width, panel += size)
      pack_slab<V, S, width>({g.data, g.row, g.col + j}, l, l + slab < k ? l + slab : k,
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

template <class V, class S, int rows, int columns>
void multiply(int64_t k, const uint64_t* a, const uint64_t* b, Target out, int64_t m, int64_t n,
              Update update) {
  const bool whole = n == columns && consecutive(out.col, columns);
  alignas(64) uint64_t tile[rows * columns];
  for (int64_t i = 0; i < m; i += rows, a += panel_size(k, rows)) {
    const int64_t count = m - i < rows ? m - i : rows;
    for (int64_t r = 0; r < count; ++r) {
      const uint64_t* row = out.data + out.row[i + r];
      __builtin_prefetch(row + out.col[0], 1);
      __builtin_prefetch(row + out.col[n - 1], 1);
    }
    multiply_panels<V, S, rows, columns>(k, a, b, tile);
    for (int64_t r = 0; r < count; ++r) {
      uint64_t* row = out.data + out.row[i + r];
      const uint64_t* from = tile + r * columns;
      if (whole)
        for (int j = 0; j < columns; j += V::width)
          add_to(row + out.col[0] + j, V::load(from + j), update);
      else
        for (int64_t j = 0; j < n; ++j) add_to(row + out.col[j], Lane::load(from + j), update);
    }
  }
}

}  // namespace
}  // namespace mpctensor::ring
