// AES-128 counter mode on VAES with 512-bit vectors: four blocks a vector.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstdint>

#include "backend.h"

#pragma GCC target("aes,avx512f,vaes")
#include "aes_ctr.h"

namespace mpctensor::prg {
namespace {

struct Aes512 {
  using Vector = __m512i;
  static constexpr int blocks = 4;
  static Vector load(const void* p) { return _mm512_loadu_si512(p); }
  static void store(void* p, Vector v) { _mm512_storeu_si512(p, v); }
  static Vector key(const void* p) {
    // The unmasked form makes gcc 12 warn of its own undefined placeholder.
    return _mm512_maskz_broadcast_i32x4(0xffff, _mm_load_si128(static_cast<const __m128i*>(p)));
  }
  static Vector counters(Counter c) {
    const auto stream = static_cast<long long>(c.stream), first = static_cast<long long>(c.first);
    const Vector same = _mm512_set4_epi64(first, stream, first, stream);
    return _mm512_add_epi64(same, _mm512_set_epi64(3, 0, 2, 0, 1, 0, 0, 0));
  }
  static Vector add(Vector a, Vector b) { return _mm512_add_epi64(a, b); }
  static Vector sub(Vector a, Vector b) { return _mm512_sub_epi64(a, b); }
  static Vector bit_xor(Vector a, Vector b) { return _mm512_xor_si512(a, b); }
  static Vector round(Vector a, Vector key) { return _mm512_aesenc_epi128(a, key); }
  static Vector last_round(Vector a, Vector key) { return _mm512_aesenclast_epi128(a, key); }
};

}  // namespace

const Backend aes_vaes512 = {expand_key, counter_mode<Aes512>};

}  // namespace mpctensor::prg
#endif
