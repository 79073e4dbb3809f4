// AES-128 counter mode on VAES with 256-bit vectors: two blocks a vector.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>

#include "backend.h"

#pragma GCC target("aes,avx2,vaes")
#include "aes_ctr.h"

namespace mpctensor::prg {
namespace {

struct Aes256 {
  using Vector = __m256i;
  static constexpr int blocks = 2;
  static Vector load(const void* p) { return _mm256_loadu_si256(static_cast<const Vector*>(p)); }
  static void store(void* p, Vector v) { _mm256_storeu_si256(static_cast<Vector*>(p), v); }
  static Vector key(const void* p) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(static_cast<const __m128i*>(p)));
  }
  static Vector counters(Counter c) {
    const auto stream = static_cast<long long>(c.stream), first = static_cast<long long>(c.first);
    const Vector same = _mm256_set_epi64x(first, stream, first, stream);
    return _mm256_add_epi64(same, _mm256_set_epi64x(1, 0, 0, 0));
  }
  static Vector add(Vector a, Vector b) { return _mm256_add_epi64(a, b); }
  static Vector sub(Vector a, Vector b) { return _mm256_sub_epi64(a, b); }
  static Vector bit_xor(Vector a, Vector b) { return _mm256_xor_si256(a, b); }
  static Vector round(Vector a, Vector key) { return _mm256_aesenc_epi128(a, key); }
  static Vector last_round(Vector a, Vector key) { return _mm256_aesenclast_epi128(a, key); }
};

}  // namespace

const Backend aes_vaes256 = {expand_key, counter_mode<Aes256>};

}  // namespace mpctensor::prg
#endif
