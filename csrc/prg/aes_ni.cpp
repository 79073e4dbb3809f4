// AES-128 counter mode on AES-NI: one block a vector.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>

#include "backend.h"

#pragma GCC target("aes,sse4.1")
#include "aes_ctr.h"

namespace mpctensor::prg {
namespace {

struct Aes128 {
  using Vector = __m128i;
  static constexpr int blocks = 1;
  static Vector load(const void* p) { return _mm_loadu_si128(static_cast<const Vector*>(p)); }
  static void store(void* p, Vector v) { _mm_storeu_si128(static_cast<Vector*>(p), v); }
  static Vector key(const void* p) { return _mm_load_si128(static_cast<const Vector*>(p)); }
  static Vector counters(Counter c) {
    return _mm_set_epi64x(static_cast<long long>(c.first), static_cast<long long>(c.stream));
  }
  static Vector add(Vector a, Vector b) { return _mm_add_epi64(a, b); }
  static Vector sub(Vector a, Vector b) { return _mm_sub_epi64(a, b); }
  static Vector bit_xor(Vector a, Vector b) { return _mm_xor_si128(a, b); }
  static Vector round(Vector a, Vector key) { return _mm_aesenc_si128(a, key); }
  static Vector last_round(Vector a, Vector key) { return _mm_aesenclast_si128(a, key); }
};

}  // namespace

const Backend aes_ni = {expand_key, counter_mode<Aes128>};

}  // namespace mpctensor::prg
#endif
