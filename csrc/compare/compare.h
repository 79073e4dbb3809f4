// Comparison of a masked value with a public threshold, on bit planes.
//
// For c = x + r public: msb(x) = msb(c) xor msb(r) xor [c_low < r_low], low = the low 63 bits, and
// x = 0 exactly where c = r. Both are decided digit by digit: sixteen digits of 4 bits (for the
// order the top one has 3). The provider deals XOR shares of the one-hot rows of r's digits; every
// party looks its share up at the public digit, which yields shares of EQ_j = [c_j = r_j] and
// LT_j = [c_j < r_j]; two merges of four digits, then of four groups, yield the outcome.
// After Rathee et al., "CrypTFlow2", CCS 2020, with dealt rows in place of oblivious transfer.
//
// Bundles (see prg/blocks.h), planes in this order:
//   rows      digit by digit from the low end, the row's entries 1, 2, ..; entry 0 is the
//   complement
//             of the parity of the others
//   messages  group by group: EQ_1 EQ_2 EQ_3 LT_0 LT_1 LT_2 EQ_0 of the group's digits; no EQ_0 in
//             the lowest group; Kind::equal has EQ_1 EQ_2 EQ_3 EQ_0 in every group
//   masks     like the messages that they mask
//   tops      LT_3 of every group, which needs no mask (Kind::equal: none)
//   monomials group by group, products of the group's mask bits: those of q_1 q_2 q_3 alone
//             (q1q2, q1q3, q2q3, q1q2q3), then l_0 times q1, q2, q1q2, q3, q1q3, q2q3, q1q2q3, then
//             l_1 times q2, q3, q2q3, then l_2 times q3, then q_0 times what l_0 is multiplied by;
//             without the l for Kind::equal, without q_0 in the lowest group of Kind::less
#pragma once

#include <cstdint>

#include "prg/source.h"

namespace mpctensor::compare {

using prg::Source;

enum class Kind { less = 0, equal = 1 };

// Planes of the bundles, by kind and level (1: digits, 2: groups; messages of level 3: the
// outcome).
constexpr int rows_planes(Kind kind) { return kind == Kind::less ? 232 : 240; }
constexpr int message_planes(Kind kind, int level) {
  return level == 3 ? 1 : kind == Kind::less ? (level == 1 ? 27 : 6) : (level == 1 ? 16 : 4);
}
constexpr int tops_planes(Kind kind, int level) {
  return kind == Kind::equal ? 0 : level == 1 ? 4 : 1;
}
constexpr int monomial_planes(Kind kind, int level) {
  return kind == Kind::less ? (level == 1 ? 81 : 15) : (level == 1 ? 44 : 11);
}

// The same stream of several parties.
struct Streams {
  const unsigned char* keys;
  int count;
  std::uint64_t stream;
};

// The provider: the last party's share of r's rows.
void rows_deal(Kind kind, const std::uint64_t* r, const Streams& others, std::int64_t n,
               std::uint64_t* rows, int threads);

// A party: its message for the first merge, and its tops. first: the party that adds constants.
void lookup(Kind kind, const std::uint64_t* c, const Source& rows, const Source& masks, bool first,
            std::int64_t n, std::uint64_t* message, std::uint64_t* tops, int threads);

// The provider: the last party's share of the monomials of all parties' masks.
void merge_deal(Kind kind, int level, const Streams& masks, const Streams& others, std::int64_t n,
                std::uint64_t* monomials, int threads);

// What a party holds at a merge; tops null for Kind::equal.
struct Merge {
  const std::uint64_t *opened, *tops;
  Source masks, monomials, next_masks;
  bool first;
};

// A party: its message for the next step, and its next top (level 1 of Kind::less). After level 2
// the message is its share of the outcome, masked.
void merge(Kind kind, int level, const Merge& state, std::int64_t n, std::uint64_t* message,
           std::uint64_t* tops, int threads);

// Public: plane = msb(c) xor opened xor flip.
void bit_hat(const std::uint64_t* c, const std::uint64_t* opened, bool flip, std::int64_t n,
             std::uint64_t* plane, int threads);

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
