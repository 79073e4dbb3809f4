// One 64-bit lane: the vector type that defines the results of the others.
//
// A vector type `Lanes` has width, load, store, all (broadcast), mask (lane i all ones where bit i
// is set) and + - * & ^ modulo 2^64 in every lane; a `Sum` accumulates products of two of them. The
// kernels are templates over these two. Everything is in an anonymous namespace, so that each
// <kernel>_<isa>.cpp compiles its own copy for its own instruction set.
#pragma once

#include <cstdint>

namespace mpctensor::ring {
namespace {

struct Lane {
  static constexpr int width = 1;
  uint64_t value;

  static Lane load(const uint64_t* p) { return {*p}; }
  static Lane all(uint64_t x) { return {x}; }
  static Lane mask(uint64_t bits) { return {0 - (bits & 1)}; }
  void store(uint64_t* p) const { *p = value; }
  Lane operator+(Lane o) const { return {value + o.value}; }
  Lane operator-(Lane o) const { return {value - o.value}; }
  Lane operator*(Lane o) const { return {value * o.value}; }
  Lane operator&(Lane o) const { return {value & o.value}; }
  Lane operator^(Lane o) const { return {value ^ o.value}; }
};

struct LaneSum {
  Lane sum{0};
  void add_product(Lane x, Lane y) { sum = sum + x * y; }
  Lane total() const { return sum; }
};

}  // namespace
}  // namespace mpctensor::ring
