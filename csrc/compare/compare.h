// Comparison of a masked value with a public threshold, on bit planes.
//
// For c = x + r public: msb(x) = msb(c) xor msb(r) xor [c_low < r_low], low = the low 63 bits, and
// x = 0 exactly where c = r. Both are decided digit by digit. The provider deals XOR shares of the
// one-hot rows of r's digits; every party looks its share up at the public digit, which yields
// shares of EQ_j = [c_j = r_j] and LT_j = [c_j < r_j]; merges of neighbours yield the outcome:
// sixteen digits of 4 bits in two merges, four digits and then four groups at a time; the wide
// kinds nine digits of 7 bits in one merge, which saves a round and costs six times the planes.
// The top digit is what is left of the 63 bits (3 or 7 bits) or, for equality, of all 64 (4 or 8).
// After Rathee et al., "CrypTFlow2", CCS 2020, with dealt rows in place of oblivious transfer.
//
// Bundles (see prg/blocks.h), planes in this order, m being the number of digits in a group:
//   rows      digit by digit from the low end, the row's entries 1, 2, ..; entry 0 is the
//             complement of the parity of the others
//   messages  group by group: EQ_1 .. EQ_(m-1), LT_0 .. LT_(m-2), EQ_0 of the group's digits; no
//             EQ_0 in the lowest group, and no LT where only equality is asked, but then every EQ_0
//   masks     like the messages that they mask
//   tops      LT_(m-1) of every group, which needs no mask (equality: none)
//   monomials group by group, products of the group's mask bits: those of two or more of
//             q_1 .. q_(m-1), sets counted in binary (q1q2, q1q3, q2q3, q1q2q3, ..); then for each
//             j < m - 1 l_j times every non-empty set of q_(j+1), .., in the same order; then q_0
//             times what l_0 is multiplied by; without the l and q_0 that messages lack
//
// Bounds: memory, or AES at half a block a word of a stream, whichever takes longer. Of an element
// a bundle has as many bits as planes: rows_deal of Kind::less reads 8 bytes, writes 232 bits and
// makes 232 / 128 blocks; a lookup reads 8 bytes and its rows, from memory or as blocks, and makes
// 27 / 128 blocks of masks; merges and their deals likewise. A selection reads and writes words,
// and makes half a block for each word that it takes, or masks, from a stream.
#pragma once

#include <cstdint>

#include "prg/source.h"

namespace mpctensor::compare {

using prg::Source;

enum class Kind { less = 0, equal = 1, less_wide = 2, equal_wide = 3 };

constexpr bool ordered(Kind kind) { return kind == Kind::less || kind == Kind::less_wide; }
constexpr bool wide(Kind kind) { return kind == Kind::less_wide || kind == Kind::equal_wide; }

// How numbers are cut and merged: level 1 merges groups of digits, level 2 the groups.
constexpr int digits(Kind kind) { return wide(kind) ? 9 : 16; }
constexpr int group_size(Kind kind) { return wide(kind) ? 9 : 4; }
constexpr int levels(Kind kind) { return wide(kind) ? 1 : 2; }
constexpr int groups(Kind kind, int level) {
  return level == 1 ? digits(kind) / group_size(kind) : 1;
}
constexpr int digit_bits(Kind kind) { return wide(kind) ? 7 : 4; }
constexpr int top_bits(Kind kind) {
  return (ordered(kind) ? 63 : 64) - (digits(kind) - 1) * digit_bits(kind);
}

// Planes of the bundles; the message after the last level is the outcome.
constexpr int rows_planes(Kind kind) {
  return (digits(kind) - 1) * ((1 << digit_bits(kind)) - 1) + (1 << top_bits(kind)) - 1;
}
constexpr int message_planes(Kind kind, int level) {
  if (level > levels(kind)) return 1;
  const int count = groups(kind, level), size = group_size(kind);
  return ordered(kind) ? (2 * size - 1) * count - 1 : size * count;
}
constexpr int tops_planes(Kind kind, int level) {
  return ordered(kind) && level <= levels(kind) ? groups(kind, level) : 0;
}
constexpr int monomial_planes(Kind kind, int level) {
  const int count = groups(kind, level), size = group_size(kind), sets = 1 << (size - 1);
  return ordered(kind) ? (4 * sets - 2 * size - 2) * count - (sets - 1)
                       : (2 * sets - size - 1) * count;
}

// The most of any kind and level.
constexpr int kMostRows = rows_planes(Kind::equal_wide);
constexpr int kMostMessages = message_planes(Kind::less, 1), kMostTops = tops_planes(Kind::less, 1);
constexpr int kMostMonomials = monomial_planes(Kind::less_wide, 1);

// The same stream of several parties.
struct Streams {
  const unsigned char* keys;
  int count;
  std::uint64_t stream;
};

// The provider: the last party's share of r's rows.
void rows_deal(Kind kind, const std::uint64_t* r, const Streams& others, std::int64_t n,
               std::uint64_t* rows, int threads);

// A party: its message for the first merge, and its tops, at c - threshold. first: the party that
// adds constants.
void lookup(Kind kind, const std::uint64_t* c, std::uint64_t threshold, const Source& rows,
            const Source& masks, bool first, std::int64_t n, std::uint64_t* message,
            std::uint64_t* tops, int threads);

// The provider: the last party's share of the monomials of all parties' masks.
void merge_deal(Kind kind, int level, const Streams& masks, const Streams& others, std::int64_t n,
                std::uint64_t* monomials, int threads);

// What a party holds at a merge; tops null for equality.
struct Merge {
  const std::uint64_t *opened, *tops;
  Source masks, monomials, next_masks;
  bool first;
};

// A party: its message for the next step, and its next top (level 1 of Kind::less). After the last
// level the message is its share of the outcome, masked.
void merge(Kind kind, int level, const Merge& state, std::int64_t n, std::uint64_t* message,
           std::uint64_t* tops, int threads);

// Public: plane = msb(c - threshold) xor opened xor flip.
void bit_hat(const std::uint64_t* c, std::uint64_t threshold, const std::uint64_t* opened,
             bool flip, std::int64_t n, std::uint64_t* plane, int threads);

// The provider: beta = msb(r) xor the last mask of all parties.
void beta_deal(const std::uint64_t* r, const Streams& masks, std::int64_t n, std::uint64_t* beta,
               int threads);

// Bits to 0/1 words and back.
void bit_values(const std::uint64_t* plane, const Streams& others, std::int64_t n,
                std::uint64_t* out, int threads);
void pack(const std::uint64_t* bits, std::int64_t n, std::uint64_t* plane, int threads);

// The provider: last shares of beta and beta r, minus the others' streams from `stream` on.
void select_deal(const std::uint64_t* beta, const std::uint64_t* r, const Streams& others,
                 std::int64_t n, std::uint64_t* beta_value, std::uint64_t* beta_r, int threads);

// Values dealt, or shares of them, for a selection fused with a truncation by 2^f:
// beta, rho = r >> f, beta rho, mu = msb(r), beta mu.
constexpr int kShiftValues = 5;

void select_shift_deal(const std::uint64_t* beta, const std::uint64_t* r, int f,
                       const Streams& others, std::int64_t n,
                       std::uint64_t* const (&out)[kShiftValues], int threads);

// A party: its share of b x, for the bit b = hat xor beta (hat public) and c = x + r.
void select_share(const std::uint64_t* hat, const std::uint64_t* c, const Source& r,
                  const Source& beta, const Source& beta_r, bool first, std::int64_t n,
                  std::uint64_t* out, int threads);
// The same of b (x / 2^f); errors 0 or +1, right for every x.
void select_shift_share(const std::uint64_t* hat, const std::uint64_t* c, int f,
                        const Source (&values)[kShiftValues], bool first, std::int64_t n,
                        std::uint64_t* out, int threads);

}  // namespace mpctensor::compare
