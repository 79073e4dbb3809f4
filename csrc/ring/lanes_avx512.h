// Eight 64-bit lanes with AVX-512 F and DQ; see lanes_portable.h. Include after the target pragma.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace mpctensor::ring {
namespace {

struct Lanes {
  static constexpr int width = 8;
  __m512i value;

  static Lanes load(const uint64_t* p) { return {_mm512_loadu_si512(p)}; }
  static Lanes all(uint64_t x) { return {_mm512_set1_epi64(static_cast<int64_t>(x))}; }
  static Lanes mask(uint64_t bits) { return {_mm512_movm_epi64(static_cast<__mmask8>(bits))}; }
  void store(uint64_t* p) const { _mm512_storeu_si512(p, value); }
  Lanes operator+(Lanes o) const { return {_mm512_add_epi64(value, o.value)}; }
  Lanes operator-(Lanes o) const { return {_mm512_sub_epi64(value, o.value)}; }
  Lanes operator*(Lanes o) const { return {_mm512_mullo_epi64(value, o.value)}; }
  Lanes operator&(Lanes o) const { return {_mm512_and_si512(value, o.value)}; }
  Lanes operator^(Lanes o) const { return {_mm512_xor_si512(value, o.value)}; }
};

struct LanesSum {
  Lanes sum;

  LanesSum() : sum(Lanes::all(0)) {}
  void add_product(Lanes x, Lanes y) { sum = sum + x * y; }
  Lanes total() const { return sum; }
};

}  // namespace
}  // namespace mpctensor::ring
