// Bit planes and the blocks in which kernels walk over them.
//
// Element i of a plane is bit i & 63 of word i >> 6. A bundle of P planes of n bits has
// P words_of(n) words, block after block: a block holds 1024 elements (16 words) of every plane,
// plane after plane. The last block is shorter: its planes have what is left of words_of(n).
#pragma once

#include <algorithm>
#include <cstdint>

#include "parallel.h"

namespace mpctensor {

constexpr std::int64_t kBlockWords = 16;
constexpr std::int64_t kBlockElements = 64 * kBlockWords;

// Even, because AES yields two words at a time.
inline std::int64_t words_of(std::int64_t n) { return 2 * ((n + 127) / 128); }

struct Block {
  std::int64_t element;   // the first
  std::int64_t elements;  // 1 .. 1024
  std::int64_t words;     // of one plane: even, 2 .. 16

  std::int64_t word() const { return element / 64; }
};

// Runs f(block) for blocks of `size` elements, on up to `threads` threads; `grain` of them are
// worth a thread.
template <std::int64_t size, std::int64_t grain, class F>
void for_each_of(std::int64_t n, int threads, F f) {
  parallel_for(0, (n + size - 1) / size, grain, threads, [&](std::int64_t b, std::int64_t e) {
    for (; b < e; ++b) {
      const std::int64_t first = b * size, count = std::min(size, n - first);
      f(Block{first, count, words_of(count)});
    }
  });
}

// Blocks of bundles: steps on planes.
template <class F>
void for_each_block(std::int64_t n, int threads, F f) {
  for_each_of<kBlockElements, 8>(n, threads, f);
}

// Runs of elements and of single planes: formulas. The streams of a run, and all that it reads and
// writes, fit the first-level cache.
constexpr std::int64_t kRunElements = 512;

template <class F>
void for_each_run(std::int64_t n, int threads, F f) {
  for_each_of<kRunElements, 64>(n, threads, f);
}

// Asks for words ahead of their use, into the second-level cache: a kernel that works on a block
// asks for the next, so that memory is not idle meanwhile. Words past the end are asked for in
// vain.
inline void fetch(const std::uint64_t* words, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += 8) __builtin_prefetch(words + i, 0, 2);
}

}  // namespace mpctensor
