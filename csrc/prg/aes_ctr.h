// Counter mode on AES instructions, for any vector width; each aes_*.cpp instantiates it under its
// own target. A schedule is the eleven round keys of FIPS-197, 16 bytes each.
//
// V describes a vector of V::blocks blocks: type Vector, and static functions load, store, key (one
// round key in every block), counters (the first counter block and the step to the next vector),
// add, sub, bit_xor, round, last_round.
#pragma once

#include <immintrin.h>

#include "backend.h"

namespace mpctensor::prg {
namespace {

template <class V, int N>
inline void encrypt(const std::uint64_t* schedule, typename V::Vector (&state)[N]) {
  const auto first = V::key(schedule);
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) state[i] = V::bit_xor(state[i], first);
#pragma GCC unroll 9
  for (int round = 1; round < 10; ++round) {
    const auto key = V::key(schedule + 2 * round);
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) state[i] = V::round(state[i], key);
  }
  const auto last = V::key(schedule + 20);
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) state[i] = V::last_round(state[i], last);
}

template <class V, Use use>
inline typename V::Vector used(typename V::Vector words, const std::uint64_t* base) {
  if constexpr (use == Use::add) return V::add(V::load(base), words);
  if constexpr (use == Use::sub) return V::sub(V::load(base), words);
  if constexpr (use == Use::bit_xor) return V::bit_xor(V::load(base), words);
  return words;
}

// N vectors at `done` blocks from the start.
template <class V, Use use, int N>
inline void step(const std::uint64_t* schedule, Counter counter, std::int64_t done,
                 const std::uint64_t* base, std::uint64_t* out) {
  typename V::Vector state[N];
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i)
    state[i] = V::counters({counter.stream, counter.first + done + i * V::blocks});
  encrypt<V>(schedule, state);
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) {
    const std::int64_t at = 2 * (done + i * V::blocks);
    V::store(out + at, used<V, use>(state[i], base + at));
  }
}

template <class V, Use use>
void run(const std::uint64_t* schedule, Counter counter, std::int64_t blocks,
         const std::uint64_t* base, std::uint64_t* out) {
  std::int64_t done = 0;
  for (; done + 8 * V::blocks <= blocks; done += 8 * V::blocks)
    step<V, use, 8>(schedule, counter, done, base, out);
  for (; done + 4 * V::blocks <= blocks; done += 4 * V::blocks)
    step<V, use, 4>(schedule, counter, done, base, out);
  for (; done + V::blocks <= blocks; done += V::blocks)
    step<V, use, 1>(schedule, counter, done, base, out);
  if (done == blocks) return;
  std::uint64_t words[2 * V::blocks];
  step<V, Use::store, 1>(schedule, {counter.stream, counter.first + done}, 0, words, words);
  for (std::int64_t i = 2 * done; i < 2 * blocks; ++i)
    out[i] = apply(use, use == Use::store ? 0 : base[i], words[i - 2 * done]);
}

template <class V>
void counter_mode(const std::uint64_t* schedule, Counter counter, std::int64_t blocks, Use use,
                  const std::uint64_t* base, std::uint64_t* out) {
  switch (use) {
    case Use::store:
      return run<V, Use::store>(schedule, counter, blocks, out, out);
    case Use::add:
      return run<V, Use::add>(schedule, counter, blocks, base, out);
    case Use::sub:
      return run<V, Use::sub>(schedule, counter, blocks, base, out);
    case Use::bit_xor:
      return run<V, Use::bit_xor>(schedule, counter, blocks, base, out);
  }
}

inline __m128i next_round_key(__m128i key, __m128i assist) {
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  return _mm_xor_si128(key, _mm_shuffle_epi32(assist, 0xff));
}

template <int constant>
inline __m128i store_next(__m128i key, __m128i* out) {
  key = next_round_key(key, _mm_aeskeygenassist_si128(key, constant));
  _mm_storeu_si128(out, key);
  return key;
}

inline void expand_key(const unsigned char* bytes, std::uint64_t* schedule) {
  __m128i* out = reinterpret_cast<__m128i*>(schedule);
  __m128i key = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
  _mm_storeu_si128(out, key);
  key = store_next<0x01>(key, out + 1);
  key = store_next<0x02>(key, out + 2);
  key = store_next<0x04>(key, out + 3);
  key = store_next<0x08>(key, out + 4);
  key = store_next<0x10>(key, out + 5);
  key = store_next<0x20>(key, out + 6);
  key = store_next<0x40>(key, out + 7);
  key = store_next<0x80>(key, out + 8);
  key = store_next<0x1b>(key, out + 9);
  store_next<0x36>(key, out + 10);
}

}  // namespace
}  // namespace mpctensor::prg
