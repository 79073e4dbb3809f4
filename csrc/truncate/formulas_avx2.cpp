#if defined(__x86_64__)
#include <cstdint>

#pragma GCC target("avx2,bmi,bmi2")
#include <immintrin.h>

namespace mpctensor::truncate {
namespace {

using Word = std::uint64_t __attribute__((vector_size(32)));

inline Word half_product(Word x, Word y) { return (Word)_mm256_mul_epu32((__m256i)x, (__m256i)y); }

}  // namespace
}  // namespace mpctensor::truncate

#include "formulas_body.h"

namespace mpctensor::truncate {

const Formulas avx2_formulas = kFormulas;

}  // namespace mpctensor::truncate
#endif
