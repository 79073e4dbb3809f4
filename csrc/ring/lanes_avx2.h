// Four 64-bit lanes with AVX2; see lanes_portable.h. Include after `#pragma GCC target("avx2")`.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace mpctensor::ring {
namespace {

// AVX2 has no 64-bit product. x y = xl yl + 2^32 (xl yh + xh yl) mod 2^64: vpmuludq gives the first
// term; vpmulld against the swapped halves of y gives both cross terms, one in each half, modulo
// 2^32. They are summed apart and joined once, at the end.
struct Lanes {
  static constexpr int width = 4;
  __m256i value;

  static Lanes load(const uint64_t* p) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
  }
  static Lanes all(uint64_t x) { return {_mm256_set1_epi64x(static_cast<int64_t>(x))}; }
  static Lanes mask(uint64_t bits) {
    const __m256i place = _mm256_setr_epi64x(1, 2, 4, 8);
    return {_mm256_cmpeq_epi64(_mm256_and_si256(all(bits).value, place), place)};
  }
  void store(uint64_t* p) const { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), value); }
  Lanes operator+(Lanes o) const { return {_mm256_add_epi64(value, o.value)}; }
  Lanes operator-(Lanes o) const { return {_mm256_sub_epi64(value, o.value)}; }
  Lanes operator*(Lanes o) const;
  Lanes operator&(Lanes o) const { return {_mm256_and_si256(value, o.value)}; }
  Lanes operator^(Lanes o) const { return {_mm256_xor_si256(value, o.value)}; }
};

struct LanesSum {
  __m256i low, cross;

  LanesSum() : low(_mm256_setzero_si256()), cross(_mm256_setzero_si256()) {}
  void add_product(Lanes x, Lanes y) {
    const __m256i swapped = _mm256_shuffle_epi32(y.value, 0xB1);
    low = _mm256_add_epi64(low, _mm256_mul_epu32(x.value, y.value));
    cross = _mm256_add_epi32(cross, _mm256_mullo_epi32(x.value, swapped));
  }
  Lanes total() const {
    const __m256i high = _mm256_add_epi32(cross, _mm256_slli_epi64(cross, 32));
    const __m256i shifted = _mm256_blend_epi32(_mm256_setzero_si256(), high, 0xAA);
    return {_mm256_add_epi64(low, shifted)};
  }
};

inline Lanes Lanes::operator*(Lanes o) const {
  LanesSum sum;
  sum.add_product(*this, o);
  return sum.total();
}

}  // namespace
}  // namespace mpctensor::ring
