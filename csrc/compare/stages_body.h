// The bit-sliced steps for any word type: Word is a gcc vector of 64-bit lanes (or one lane), and a
// lane works on 64 elements at once. Straight-line logic only: no branch and no index depends on
// data, shares or masks.
#include "stages.h"

namespace mpctensor::compare {
namespace {

using u64 = std::uint64_t;

constexpr int kPlaneWords = 16;
constexpr int kDigits = 16;
constexpr int kGroups = 4;

constexpr int digit_bits(Kind kind, int digit) {
  return kind == Kind::less && digit == kDigits - 1 ? 3 : 4;
}

// A bundle's block, seen at one word of every plane.
template <class Word>
class In {
 public:
  In(const u64* block, int word) : at_(block + word) {}
  Word operator[](int plane) const {
    Word word;
    __builtin_memcpy(&word, at_ + plane * kPlaneWords, sizeof word);
    return word;
  }
  In from(int plane) const { return {at_ + plane * kPlaneWords, 0}; }

 private:
  const u64* at_;
};

template <class Word>
class Out {
 public:
  Out(u64* block, int word) : at_(block + word) {}
  void put(int plane, Word word) const {
    __builtin_memcpy(at_ + plane * kPlaneWords, &word, sizeof word);
  }
  Out from(int plane) const { return {at_ + plane * kPlaneWords, 0}; }

 private:
  u64* at_;
};

template <class Word>
constexpr int lanes() {
  return sizeof(Word) / sizeof(u64);
}

template <class Word>
inline Word choose(Word bit, Word one, Word zero) {
  return zero ^ (bit & (zero ^ one));
}

// The distances 4, 2, 1 (times `step`) of a 64 x 64 bit transposition, on eight rows in registers.
template <class Word, int step>
inline void transpose_eight(Word* rows) {
  constexpr u64 masks[3] = {step == 8 ? 0x00000000ffffffff : 0x0f0f0f0f0f0f0f0f,
                            step == 8 ? 0x0000ffff0000ffff : 0x3333333333333333,
                            step == 8 ? 0x00ff00ff00ff00ff : 0x5555555555555555};
  Word row[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) row[i] = rows[i * step];
#pragma GCC unroll 3
  for (int level = 0; level < 3; ++level) {
    const int distance = 4 >> level;
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      if (i & distance) continue;
      const int shift = distance * step;
      const Word t = ((row[i] >> shift) ^ row[i + distance]) & masks[level];
      row[i + distance] ^= t;
      row[i] ^= t << shift;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) rows[i * step] = row[i];
}

// bits[b]: bit b of the elements; lane l from elements 64 l .. 64 l + 63.
template <class Word>
inline void to_planes(const u64* elements, Word (&bits)[64]) {
  for (int j = 0; j < 64; ++j)
    for (int lane = 0; lane < lanes<Word>(); ++lane) bits[j][lane] = elements[64 * lane + j];
  for (int i = 0; i < 8; ++i) transpose_eight<Word, 8>(bits + i);
  for (int i = 0; i < 8; ++i) transpose_eight<Word, 1>(bits + 8 * i);
}

// --- One digit

// The one-hot row of a digit without entry 0.
template <class Word, int bits>
inline void digit_rows(const Word* digit, Out<Word> rows) {
  const Word low[4] = {~digit[1] & ~digit[0], ~digit[1] & digit[0], digit[1] & ~digit[0],
                       digit[1] & digit[0]};
  Word high[1 << (bits - 2)];
  if constexpr (bits == 4) {
    high[0] = ~digit[3] & ~digit[2];
    high[1] = ~digit[3] & digit[2];
    high[2] = digit[3] & ~digit[2];
    high[3] = digit[3] & digit[2];
  } else {
    high[0] = ~digit[2];
    high[1] = digit[2];
  }
#pragma GCC unroll 16
  for (int v = 1; v < 1 << bits; ++v) rows.put(v - 1, high[v >> 2] & low[v & 3]);
}

template <class Word>
struct Comparison {
  Word equal, less;
};

// Shares of EQ and LT at the public digit: a tree of choices, low bit first. Each node knows of its
// range of entries the one at the index, the parity of those above the index, and the parity of
// all.
template <class Word, int bits>
inline Comparison<Word> look_up(const Word* digit, In<Word> rows, Word constant) {
  constexpr int size = 1 << bits;
  Word equal[size], above[size], parity[size];
  Word rest = constant;
#pragma GCC unroll 16
  for (int v = 1; v < size; ++v) {
    equal[v] = parity[v] = rows[v - 1];
    above[v] = Word{};
    rest ^= equal[v];
  }
  equal[0] = parity[0] = rest;
  above[0] = Word{};
#pragma GCC unroll 4
  for (int b = 0; b < bits; ++b) {
#pragma GCC unroll 8
    for (int i = 0; i < size >> (b + 1); ++i) {
      const int low = 2 * i, high = 2 * i + 1;
      above[i] = choose(digit[b], above[high], above[low] ^ parity[high]);
      equal[i] = choose(digit[b], equal[high], equal[low]);
      parity[i] = parity[low] ^ parity[high];
    }
  }
  return {equal[0], above[0]};
}

// --- One group of four

// Where the bits of a group lie in messages and masks: 0, 1, 2 are q_1, q_2, q_3.
template <Kind kind>
struct Layout {
  static constexpr int l0 = 3, l1 = 4, l2 = 5;
  static constexpr int q0 = kind == Kind::less ? 6 : 3;

  static constexpr bool has_q0(int group) { return kind == Kind::equal || group > 0; }
  static constexpr int bits(int group) { return kind == Kind::equal ? 4 : has_q0(group) ? 7 : 6; }
  static constexpr int first_bit(int group) {
    return kind == Kind::equal ? 4 * group : group == 0 ? 0 : 7 * group - 1;
  }
  static constexpr int first_monomial(int group) {
    return kind == Kind::equal ? 11 * group : group == 0 ? 0 : 22 * group - 7;
  }
  // Monomials within a group; `set` has bit 0 for q_1, bit 1 for q_2, bit 2 for q_3.
  static constexpr int alone(int set) { return set == 3 ? 0 : set - 4; }  // 3, 5, 6, 7
  static constexpr int with_l0(int set) { return 4 + set - 1; }
  static constexpr int with_l1(int set) { return 11 + set / 2 - 1; }  // 2, 4, 6
  static constexpr int with_l2() { return 14; }                       // set 4
  static constexpr int with_q0(int set) { return (kind == Kind::equal ? 4 : 15) + set - 1; }
};

template <class Word, Kind kind>
inline void group_monomials(In<Word> mask, bool has_q0, Out<Word> out) {
  using L = Layout<kind>;
  Word set[8];
  for (int i = 0; i < 3; ++i) set[1 << i] = mask[i];
  for (int s : {3, 5, 6, 7}) {
    set[s] = set[s & (s - 1)] & set[s & -s];
    out.put(L::alone(s), set[s]);
  }
  if (has_q0)
    for (int s = 1; s < 8; ++s) out.put(L::with_q0(s), set[s] & mask[L::q0]);
  if constexpr (kind == Kind::less) {
    for (int s = 1; s < 8; ++s) out.put(L::with_l0(s), set[s] & mask[L::l0]);
    for (int s = 2; s < 8; s += 2) out.put(L::with_l1(s), set[s] & mask[L::l1]);
    out.put(L::with_l2(), set[4] & mask[L::l2]);
  }
}

// A party's view of one group: what was opened, its masks, its monomials. Every bit v of the group
// is v = O ^ D, O opened, D the sum of the masks; a share of v times a monomial m of the masks is
// O (share of m) ^ (share of D m), which is folded in one bit at a time.
template <class Word, Kind kind>
struct Group {
  using L = Layout<kind>;
  In<Word> opened, mask, monomial;
  Word set[8];  // shares of the products of q_1, q_2, q_3's masks

  Group(In<Word> opened, In<Word> mask, In<Word> monomial, Word constant)
      : opened(opened), mask(mask), monomial(monomial) {
    set[0] = constant;
    for (int i = 0; i < 3; ++i) set[1 << i] = mask[i];
    for (int s : {3, 5, 6, 7}) set[s] = monomial[L::alone(s)];
  }

  // Share of x times the monomial `s`, for the opened bit O of x.
  Word times(Word bit, int s, Word dealt) const { return (bit & set[s]) ^ dealt; }

  // EQ_3 EQ_2 EQ_1 EQ_0
  Word product() const {
    Word part[8];
    const Word q0 = opened[L::q0];
    part[0] = times(q0, 0, mask[L::q0]);
    for (int s = 1; s < 8; ++s) part[s] = times(q0, s, monomial[L::with_q0(s)]);
    for (int i = 0; i < 3; ++i)
      for (int s = 0; s < 8; s += 2 << i) part[s] = (opened[i] & part[s]) ^ part[s | 1 << i];
    return part[0];
  }

  // top ^ EQ_3 (LT_2 ^ EQ_2 (LT_1 ^ EQ_1 LT_0))
  Word less(Word top) const {
    Word part[8];
    const Word l0 = opened[L::l0], l1 = opened[L::l1], l2 = opened[L::l2];
    part[0] = times(l0, 0, mask[L::l0]);
    for (int s = 1; s < 8; ++s) part[s] = times(l0, s, monomial[L::with_l0(s)]);
    for (int s = 0; s < 8; s += 2) part[s] = (opened[0] & part[s]) ^ part[s | 1];
    part[0] ^= times(l1, 0, mask[L::l1]);
    for (int s = 2; s < 8; s += 2) part[s] ^= times(l1, s, monomial[L::with_l1(s)]);
    for (int s = 0; s < 8; s += 4) part[s] = (opened[1] & part[s]) ^ part[s | 2];
    part[0] ^= times(l2, 0, mask[L::l2]);
    part[4] ^= times(l2, 4, monomial[L::with_l2()]);
    return top ^ (opened[2] & part[0]) ^ part[4];
  }
};

// --- The steps

template <class Word, Kind kind>
void rows_of(const u64* r, u64* rows) {
  for (int word = 0; word < kPlaneWords; word += lanes<Word>()) {
    Word bits[64];
    to_planes(r + 64 * word, bits);
    const Out<Word> out(rows, word);
    for (int d = 0; d < kDigits - 1; ++d) digit_rows<Word, 4>(bits + 4 * d, out.from(15 * d));
    constexpr int top = digit_bits(kind, kDigits - 1);
    digit_rows<Word, top>(bits + 60, out.from(15 * (kDigits - 1)));
  }
}

// Puts the four digits (or groups) j of group g where a message has them; the top LT stays apart.
template <class Word, Kind kind>
inline void send(const Comparison<Word> (&found)[4], int group, In<Word> masks, Out<Word> message,
                 Out<Word> tops) {
  using L = Layout<kind>;
  const int at = L::first_bit(group);
  for (int j = 1; j < 4; ++j) message.put(at + j - 1, found[j].equal ^ masks[at + j - 1]);
  if (L::has_q0(group)) message.put(at + L::q0, found[0].equal ^ masks[at + L::q0]);
  if constexpr (kind == Kind::less) {
    for (int j = 0; j < 3; ++j) message.put(at + L::l0 + j, found[j].less ^ masks[at + L::l0 + j]);
    tops.put(group, found[3].less);
  }
}

template <class Word, Kind kind>
void look_up_all(const u64* c, const u64* rows, const u64* masks, bool first, u64* message,
                 u64* tops) {
  const Word constant = Word{} - u64{first};
  for (int word = 0; word < kPlaneWords; word += lanes<Word>()) {
    Word bits[64];
    to_planes(c + 64 * word, bits);
    const In<Word> in(rows, word);
    for (int g = 0; g < kGroups; ++g) {
      Comparison<Word> found[4];
      for (int j = 0; j < 4; ++j) {
        const int d = 4 * g + j;
        found[j] = digit_bits(kind, d) == 4
                       ? look_up<Word, 4>(bits + 4 * d, in.from(15 * d), constant)
                       : look_up<Word, 3>(bits + 4 * d, in.from(15 * d), constant);
      }
      send<Word, kind>(found, g, {masks, word}, {message, word}, {tops, word});
    }
  }
}

template <class Word, Kind kind>
void monomials_of(int level, const u64* masks, u64* monomials) {
  using L = Layout<kind>;
  for (int word = 0; word < kPlaneWords; word += lanes<Word>())
    for (int g = 0; g < (level == 1 ? kGroups : 1); ++g)
      group_monomials<Word, kind>(In<Word>(masks, word).from(L::first_bit(g)), L::has_q0(g),
                                  Out<Word>(monomials, word).from(L::first_monomial(g)));
}

template <class Word, Kind kind>
inline Comparison<Word> merge_group(const MergeBlock& state, int g, int word) {
  using L = Layout<kind>;
  const Word constant = Word{} - u64{state.first};
  const Group<Word, kind> group(In<Word>(state.opened, word).from(L::first_bit(g)),
                                In<Word>(state.masks, word).from(L::first_bit(g)),
                                In<Word>(state.monomials, word).from(L::first_monomial(g)),
                                constant);
  Comparison<Word> out{};
  if (L::has_q0(g)) out.equal = group.product();
  if constexpr (kind == Kind::less) out.less = group.less(In<Word>(state.tops, word)[g]);
  return out;
}

template <class Word, Kind kind>
void merge_all(int level, const MergeBlock& state, u64* message, u64* tops) {
  for (int word = 0; word < kPlaneWords; word += lanes<Word>()) {
    const In<Word> masks(state.next_masks, word);
    const Out<Word> out(message, word);
    if (level == 2) {
      const Comparison<Word> last = merge_group<Word, kind>(state, 0, word);
      out.put(0, (kind == Kind::less ? last.less : last.equal) ^ masks[0]);
      continue;
    }
    Comparison<Word> found[4];
    for (int g = 0; g < kGroups; ++g) found[g] = merge_group<Word, kind>(state, g, word);
    send<Word, kind>(found, 0, masks, out, {tops, word});
  }
}

template <class Word>
struct Table {
  static void rows(Kind kind, const u64* r, u64* rows) {
    (kind == Kind::less ? rows_of<Word, Kind::less> : rows_of<Word, Kind::equal>)(r, rows);
  }
  static void lookup(Kind kind, const u64* c, const u64* rows, const u64* masks, bool first,
                     u64* message, u64* tops) {
    (kind == Kind::less ? look_up_all<Word, Kind::less>
                        : look_up_all<Word, Kind::equal>)(c, rows, masks, first, message, tops);
  }
  static void monomials(Kind kind, int level, const u64* masks, u64* monomials) {
    (kind == Kind::less ? monomials_of<Word, Kind::less>
                        : monomials_of<Word, Kind::equal>)(level, masks, monomials);
  }
  static void merge(Kind kind, int level, const MergeBlock& state, u64* message, u64* tops) {
    (kind == Kind::less ? merge_all<Word, Kind::less>
                        : merge_all<Word, Kind::equal>)(level, state, message, tops);
  }
  static constexpr Stages stages = {rows, lookup, monomials, merge};
};

}  // namespace
}  // namespace mpctensor::compare
