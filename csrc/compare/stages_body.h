// The bit-sliced steps for any word type: Word is a gcc vector of 64-bit lanes (or one lane), and a
// lane works on 64 elements at once. Straight-line logic only: no branch and no index depends on
// data, shares or masks.
#include "stages.h"

namespace mpctensor::compare {
namespace {

using u64 = std::uint64_t;

constexpr int kPlaneWords = 16;
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
  // Asks for the same word of a plane so many words ahead.
  void fetch(int plane, std::int64_t ahead) const {
    __builtin_prefetch(at_ + plane * kPlaneWords + ahead, 0, 2);
  }

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

// Transposes as many words as there are lanes: lane i of word j and lane j of word i change places.
template <class Word>
inline void transpose_lanes(Word* words) {
  constexpr int count = lanes<Word>();
#pragma GCC unroll 3
  for (int distance = count / 2; distance > 0; distance /= 2) {
    Word low{}, high{};
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i) {
      low[i] = i & distance ? count + i - distance : i;
      high[i] = i & distance ? count + i : i + distance;
    }
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i) {
      if (i & distance) continue;
      const Word first = words[i], second = words[i + distance];
      words[i] = __builtin_shuffle(first, second, low);
      words[i + distance] = __builtin_shuffle(first, second, high);
    }
  }
}

// Planes of a block's elements: plane b holds their bit b; word w comes from elements 64 w ..
template <class Word>
inline void to_planes(const u64* elements, u64* planes) {
  constexpr int count = lanes<Word>();
  for (int word = 0; word < kPlaneWords; word += count) {
    Word bits[64];
    for (int j = 0; j < 64; j += count) {
      Word words[count];
#pragma GCC unroll 8
      for (int lane = 0; lane < count; ++lane)
        __builtin_memcpy(&words[lane], elements + 64 * (word + lane) + j, sizeof(Word));
      transpose_lanes<Word>(words);
#pragma GCC unroll 8
      for (int lane = 0; lane < count; ++lane) bits[j + lane] = words[lane];
    }
    for (int i = 0; i < 8; ++i) transpose_eight<Word, 8>(bits + i);
    for (int i = 0; i < 8; ++i) transpose_eight<Word, 1>(bits + 8 * i);
    const Out<Word> out(planes, word);
    for (int b = 0; b < 64; ++b) out.put(b, bits[b]);
  }
}

// --- One digit

// The one-hot row of a number of `bits` bits.
template <class Word, int bits>
inline void one_hot(In<Word> number, Word (&row)[1 << bits]) {
  row[1] = number[0];
  row[0] = ~row[1];
#pragma GCC unroll 4
  for (int b = 1; b < bits; ++b)
#pragma GCC unroll 8
    for (int v = 0; v < 1 << b; ++v) {
      row[v | 1 << b] = row[v] & number[b];
      row[v] ^= row[v | 1 << b];
    }
}

// The row of a digit without entry 0, as products of two shorter rows.
template <class Word, int bits>
inline void digit_rows(In<Word> digit, Out<Word> rows) {
  constexpr int low_bits = bits / 2, high_bits = bits - low_bits;
  Word low[1 << low_bits], high[1 << high_bits];
  one_hot<Word, low_bits>(digit, low);
  one_hot<Word, high_bits>(digit.from(low_bits), high);
#pragma GCC unroll 16
  for (int v = 1; v < 1 << bits; ++v)
    rows.put(v - 1, high[v >> low_bits] & low[v & ((1 << low_bits) - 1)]);
}

template <class Word>
struct Comparison {
  Word equal, less;
};

// Shares of EQ and LT at the public digit: the row is halved by one bit after the other, high bit
// first. Where the low half is kept, all entries of the high one are above the index.
template <class Word, int bits>
inline Comparison<Word> look_up(In<Word> digit, In<Word> rows, std::int64_t ahead, Word constant) {
  Word row[1 << bits], above{};
  row[0] = constant;
#pragma GCC unroll 16
  for (int v = 1; v < 1 << bits; ++v) {
    rows.fetch(v - 1, ahead);
    row[v] = rows[v - 1];
    row[0] ^= row[v];
  }
#pragma GCC unroll 4
  for (int b = bits - 1; b >= 0; --b) {
    const Word bit = digit[b];
    Word high{};
#pragma GCC unroll 8
    for (int v = 0; v < 1 << b; ++v) {
      high ^= row[v | 1 << b];
      row[v] = choose(bit, row[v | 1 << b], row[v]);
    }
    above ^= high & ~bit;
  }
  return {row[0], above};
}

// --- One group

// Where the bits of a group lie in messages and masks; q_1, q_2, .. come first.
template <Kind kind>
struct Layout {
  static constexpr int size = group_size(kind);
  static constexpr int sets = 1 << (size - 1);  // of q_1 .. q_(size-1): bit i stands for q_(i+1)
  static constexpr int l0 = size - 1;
  static constexpr int q0 = ordered(kind) ? 2 * size - 2 : size - 1;

  static constexpr bool has_q0(int group) { return !ordered(kind) || group > 0; }
  static constexpr int first_bit(int group) {
    return ordered(kind) ? group == 0 ? 0 : (2 * size - 1) * group - 1 : size * group;
  }
  // Monomials within a group: sets of two or more, those of every l, those of q_0.
  static constexpr int first_l = sets - size;
  static constexpr int first_q0 = ordered(kind) ? first_l + 2 * sets - 1 - size : first_l;
  static constexpr int monomials = first_q0 + sets - 1;
  static constexpr int first_monomial(int group) {
    return group == 0 ? 0 : monomials * group - (ordered(kind) ? sets - 1 : 0);
  }
};

// The l_j go with sets of q_(j+1), ..: multiples of 2^j.
template <class Word, Kind kind>
inline void group_monomials(In<Word> mask, bool has_q0, Out<Word> out) {
  using L = Layout<kind>;
  int at = 0;
  Word set[L::sets];
#pragma GCC unroll 8
  for (int i = 0; i < L::size - 1; ++i) set[1 << i] = mask[i];
#pragma GCC unroll 8
  for (int s = 3; s < L::sets; ++s) {
    if (!(s & (s - 1))) continue;
    set[s] = set[s & (s - 1)] & set[s & -s];
    out.put(at++, set[s]);
  }
  if constexpr (ordered(kind)) {
#pragma GCC unroll 4
    for (int j = 0; j < L::size - 1; ++j) {
      const Word l = mask[L::l0 + j];
#pragma GCC unroll 8
      for (int s = 1 << j; s < L::sets; s += 1 << j) out.put(at++, set[s] & l);
    }
  }
  if (has_q0)
#pragma GCC unroll 8
    for (int s = 1; s < L::sets; ++s) out.put(at++, set[s] & mask[L::q0]);
}

// A party's view of one group: what was opened, its masks, its monomials. Every bit v of the group
// is v = O ^ D, O opened, D the sum of the masks; a share of v times a monomial m of the masks is
// O (share of m) ^ (share of D m), which is folded in one bit at a time.
template <class Word, Kind kind>
struct Group {
  using L = Layout<kind>;
  In<Word> opened, mask, monomial;
  std::int64_t ahead;
  Word set[L::sets];  // shares of the products of the masks of q_1, q_2, ..

  Group(In<Word> opened, In<Word> mask, In<Word> monomial, std::int64_t ahead, Word constant)
      : opened(opened), mask(mask), monomial(monomial), ahead(ahead) {
    set[0] = constant;
#pragma GCC unroll 8
    for (int i = 0; i < L::size - 1; ++i) set[1 << i] = mask[i];
    int at = 0;
#pragma GCC unroll 8
    for (int s = 3; s < L::sets; ++s)
      if (s & (s - 1)) set[s] = dealt_at(at++);
  }

  Word dealt_at(int plane) const {
    monomial.fetch(plane, ahead);
    return monomial[plane];
  }

  // Adds a bit v: from shares of something times the sets of q_(j+1), .. to those of
  // q_(j+1) (v ^ something) times the sets of q_(j+2), ..; `which`: v's place, dealt: the place of
  // its first monomial. Both halves of a product in one go, so that part is written once.
  void add(Word* part, int j, int which, int dealt) const {
    const Word bit = opened[which], fold = opened[j];
    const int step = 1 << j;
    Word low = part[0] ^ (bit & set[0]) ^ mask[which];
#pragma GCC unroll 8
    for (int s = 0; s < L::sets; s += 2 * step) {
      if (s > 0) low = part[s] ^ (bit & set[s]) ^ dealt_at(dealt + (s >> j) - 1);
      const Word high = part[s + step] ^ (bit & set[s + step]) ^ dealt_at(dealt + (s >> j));
      part[s] = (fold & low) ^ high;
    }
  }

  // EQ_(size-1) .. EQ_1 EQ_0
  Word product() const {
    Word part[L::sets] = {};
    add(part, 0, L::q0, L::first_q0);
#pragma GCC unroll 4
    for (int j = 1; j < L::size - 1; ++j)
#pragma GCC unroll 8
      for (int s = 0; s < L::sets; s += 2 << j) part[s] = (opened[j] & part[s]) ^ part[s | 1 << j];
    return part[0];
  }

  // .. EQ_2 (LT_1 ^ EQ_1 LT_0) .., the top LT added at last
  Word less(Word top) const {
    Word part[L::sets] = {};
    int dealt = L::first_l;
#pragma GCC unroll 4
    for (int j = 0; j < L::size - 1; ++j) {
      add(part, j, L::l0 + j, dealt);
      dealt += (L::sets >> j) - 1;
    }
    return top ^ part[0];
  }
};

// --- The steps

// f(word) for every word of a block's planes.
template <class Word, class F>
inline void each_word(F f) {
  for (int word = 0; word < kPlaneWords; word += lanes<Word>()) f(word);
}

template <class Word, int bits>
inline void rows_of_digit(const u64* planes, int first_bit, u64* rows, int first_row) {
  each_word<Word>([=](int word) {
    digit_rows<Word, bits>(In<Word>(planes, word).from(first_bit),
                           Out<Word>(rows, word).from(first_row));
  });
}

template <class Word, Kind kind>
void rows_of(const u64* r, u64* rows) {
  constexpr int bits = digit_bits(kind), entries = (1 << bits) - 1, top = digits(kind) - 1;
  alignas(64) u64 planes[64 * kPlaneWords];
  to_planes<Word>(r, planes);
  for (int d = 0; d < top; ++d) rows_of_digit<Word, bits>(planes, bits * d, rows, entries * d);
  rows_of_digit<Word, top_bits(kind)>(planes, bits * top, rows, entries * top);
}

// Puts what was found of a digit (or group) where messages have it; the top LT stays apart.
template <class Word, Kind kind>
inline void send(Comparison<Word> found, int digit, In<Word> masks, Out<Word> message,
                 Out<Word> tops) {
  using L = Layout<kind>;
  const int group = digit / L::size, j = digit % L::size, at = L::first_bit(group);
  if (j > 0 || L::has_q0(group)) {
    const int q = at + (j > 0 ? j - 1 : L::q0);
    message.put(q, found.equal ^ masks[q]);
  }
  if constexpr (ordered(kind)) {
    if (j == L::size - 1)
      tops.put(group, found.less);
    else
      message.put(at + L::l0 + j, found.less ^ masks[at + L::l0 + j]);
  }
}

struct LookUp {
  const u64 *rows, *masks;
  std::int64_t ahead;
  bool first;
  u64 *message, *tops;
};

template <class Word, Kind kind, int bits>
inline void look_up_digit(const u64* planes, int d, const LookUp& at) {
  constexpr int step = digit_bits(kind);
  const Word constant = Word{} - u64{at.first};
  each_word<Word>([&](int word) {
    const Comparison<Word> found = look_up<Word, bits>(
        In<Word>(planes, word).from(step * d), In<Word>(at.rows, word).from(((1 << step) - 1) * d),
        at.ahead, constant);
    send<Word, kind>(found, d, {at.masks, word}, {at.message, word}, {at.tops, word});
  });
}

template <class Word, Kind kind>
void look_up_all(const u64* c, const LookUp& at) {
  constexpr int top = digits(kind) - 1;
  alignas(64) u64 planes[64 * kPlaneWords];
  to_planes<Word>(c, planes);
  for (int d = 0; d < top; ++d) look_up_digit<Word, kind, digit_bits(kind)>(planes, d, at);
  look_up_digit<Word, kind, top_bits(kind)>(planes, top, at);
}

template <class Word, Kind kind>
void monomials_of(int level, const u64* masks, u64* monomials) {
  using L = Layout<kind>;
  each_word<Word>([=](int word) {
    for (int g = 0; g < groups(kind, level); ++g)
      group_monomials<Word, kind>(In<Word>(masks, word).from(L::first_bit(g)), L::has_q0(g),
                                  Out<Word>(monomials, word).from(L::first_monomial(g)));
  });
}

template <class Word, Kind kind>
inline Comparison<Word> merge_group(const MergeBlock& state, int g, int word) {
  using L = Layout<kind>;
  const Word constant = Word{} - u64{state.first};
  const Group<Word, kind> group(In<Word>(state.opened, word).from(L::first_bit(g)),
                                In<Word>(state.masks, word).from(L::first_bit(g)),
                                In<Word>(state.monomials, word).from(L::first_monomial(g)),
                                state.ahead, constant);
  Comparison<Word> out{};
  if (L::has_q0(g)) out.equal = group.product();
  if constexpr (ordered(kind)) out.less = group.less(In<Word>(state.tops, word)[g]);
  return out;
}

template <class Word, Kind kind>
void merge_all(int level, const MergeBlock& state, u64* message, u64* tops) {
  each_word<Word>([&](int word) {
    const In<Word> masks(state.next_masks, word);
    const Out<Word> out(message, word), next_tops(tops, word);
    for (int g = 0; g < groups(kind, level); ++g) {
      const Comparison<Word> found = merge_group<Word, kind>(state, g, word);
      if (level < levels(kind))
        send<Word, kind>(found, g, masks, out, next_tops);
      else
        out.put(0, (ordered(kind) ? found.less : found.equal) ^ masks[0]);
    }
  });
}

// Calls f with the kind as a constant expression.
template <Kind kind>
struct Constant {
  static constexpr Kind value = kind;
};

template <class F>
inline void with_constant(Kind kind, F f) {
  if (kind == Kind::less) return f(Constant<Kind::less>());
  if (kind == Kind::equal) return f(Constant<Kind::equal>());
  if (kind == Kind::less_wide) return f(Constant<Kind::less_wide>());
  f(Constant<Kind::equal_wide>());
}

template <class Word>
struct Table {
  static void rows(Kind kind, const u64* r, u64* rows) {
    with_constant(kind, [=](auto k) { rows_of<Word, k.value>(r, rows); });
  }
  static void lookup(Kind kind, const u64* c, const u64* rows, std::int64_t ahead, const u64* masks,
                     bool first, u64* message, u64* tops) {
    const LookUp at{rows, masks, ahead, first, message, tops};
    with_constant(kind, [&](auto k) { look_up_all<Word, k.value>(c, at); });
  }
  static void monomials(Kind kind, int level, const u64* masks, u64* monomials) {
    with_constant(kind, [=](auto k) { monomials_of<Word, k.value>(level, masks, monomials); });
  }
  static void merge(Kind kind, int level, const MergeBlock& state, u64* message, u64* tops) {
    with_constant(kind, [&](auto k) { merge_all<Word, k.value>(level, state, message, tops); });
  }
  static constexpr Stages stages = {rows, lookup, monomials, merge};
};

}  // namespace
}  // namespace mpctensor::compare
