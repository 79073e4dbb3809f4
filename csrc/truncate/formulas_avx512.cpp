#if defined(__x86_64__)
#include <cstdint>

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2")
#include <immintrin.h>

namespace mpctensor::truncate {
namespace {

using Word = std::uint64_t __attribute__((vector_size(64)));

inline Word half_product(Word x, Word y) {
  // The unmasked form makes gcc 12 warn of its own undefined placeholder.
  return (Word)_mm512_maskz_mul_epu32(0xff, (__m512i)x, (__m512i)y);
}

}  // namespace
}  // namespace mpctensor::truncate

#include "formulas_body.h"

namespace mpctensor::truncate {

const Formulas avx512_formulas = kFormulas;

}  // namespace mpctensor::truncate
#endif
