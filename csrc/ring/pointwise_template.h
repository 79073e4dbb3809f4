// The formulas of pointwise.h, written once over the vector types of lanes_<isa>.h.
#pragma once

#include "lanes_portable.h"
#include "pointwise.h"

namespace mpctensor::ring {
namespace {

// The bits of elements i, i + 1, ... as lane masks; i is a multiple of V::width, which divides 64.
template <class V>
V plane_mask(const uint64_t* plane, int64_t i) {
  return V::mask(plane[i >> 6] >> (i & 63));
}

// (1 - 2 b) x, where mask is all ones if b = 1: negation in two's complement.
template <class V>
V flip_sign(V x, V mask) {
  return (x ^ mask) - mask;
}

template <class V>
V at(const ProductShare& f, int64_t i) {
  return V::load(f.cx + i) * V::load(f.y + i) - V::load(f.rx + i) * V::load(f.cy + i) +
         V::load(f.z + i);
}

template <class V>
V at(const SquareShare& f, int64_t i) {
  const V c = V::load(f.c + i), r = V::load(f.r + i);
  const V own = f.first ? c : V::all(0);
  return c * (own - (r + r)) + V::load(f.z + i);
}

template <class V>
V at(const BitProductShare& f, int64_t i) {
  const V mask = plane_mask<V>(f.plane, i);
  const V masked = V::load(f.cg + i) * V::load(f.beta + i) - V::load(f.beta_rg + i);
  return (V::load(f.g + i) & mask) + flip_sign(masked, mask);
}

template <class V>
V at(const BitShare& f, int64_t i) {
  const V mask = plane_mask<V>(f.plane, i);
  const V own = f.first ? mask : V::all(0);  // minus the bit
  return flip_sign(V::load(f.beta + i), mask) - own;
}

// out[i] for begin <= i < end; begin is a multiple of V::width.
template <class V, class Formula>
void evaluate(const Formula& formula, int64_t begin, int64_t end) {
  int64_t i = begin;
  for (; i + V::width <= end; i += V::width) at<V>(formula, i).store(formula.out + i);
  for (; i < end; ++i) at<Lane>(formula, i).store(formula.out + i);
}

}  // namespace
}  // namespace mpctensor::ring
