// The steps on one full block (16 words of every plane), one version per instruction set.
#pragma once

#include <cstdint>

#include "compare.h"

namespace mpctensor::compare {

struct MergeBlock {
  const std::uint64_t *opened, *tops, *masks, *monomials, *next_masks;
  std::int64_t ahead;  // words from these monomials to those that are read next
  bool first;
};

struct Stages {
  void (*rows)(Kind kind, const std::uint64_t* r, std::uint64_t* rows);
  // ahead: words from these rows to those that are read next
  void (*lookup)(Kind kind, const std::uint64_t* c, const std::uint64_t* rows, std::int64_t ahead,
                 const std::uint64_t* masks, bool first, std::uint64_t* message,
                 std::uint64_t* tops);
  void (*monomials)(Kind kind, int level, const std::uint64_t* masks, std::uint64_t* monomials);
  void (*merge)(Kind kind, int level, const MergeBlock& state, std::uint64_t* message,
                std::uint64_t* tops);
};

extern const Stages portable_stages;
#if defined(__x86_64__)
extern const Stages avx2_stages;
extern const Stages avx512_stages;
#endif

// The steps on 1 .. 1024 elements.
struct Selections {
  // plane = top bits of n words; words_of(n) words, zero beyond n
  void (*top_bits)(const std::uint64_t* values, std::int64_t n, std::uint64_t* plane);
  void (*low_bits)(const std::uint64_t* values, std::int64_t n, std::uint64_t* plane);
  void (*bit_values)(const std::uint64_t* plane, std::int64_t n, std::uint64_t* out);
  void (*select_deal)(const std::uint64_t* beta, const std::uint64_t* r, std::int64_t n,
                      std::uint64_t* beta_value, std::uint64_t* beta_r);
  void (*select_shift_deal)(const std::uint64_t* beta, const std::uint64_t* r, int f,
                            std::int64_t n, std::uint64_t* const (&out)[kShiftValues]);
  void (*select_share)(const std::uint64_t* hat, const std::uint64_t* c, const std::uint64_t* r,
                       const std::uint64_t* beta, const std::uint64_t* beta_r, bool first,
                       std::int64_t n, std::uint64_t* out);
  void (*select_shift_share)(const std::uint64_t* hat, const std::uint64_t* c, int f,
                             const std::uint64_t* const (&values)[kShiftValues], bool first,
                             std::int64_t n, std::uint64_t* out);
};

extern const Selections portable_selections;
#if defined(__x86_64__)
extern const Selections avx2_selections;
extern const Selections avx512_selections;
#endif

}  // namespace mpctensor::compare
