// AES-128 in plain C++, bitsliced: no table, no branch and no index depends on key or data.
//
// A State holds eight blocks as eight planes; plane b collects bit b of every byte. In a 64-bit
// lane of four blocks, byte i (column i / 4, row i % 4) of block j sits at bit 16 j + i. The S-box
// inverts in the tower field GF(16)[y] / (y^2 + y + 14), GF(16) = GF(2)[x] / (x^4 + x + 1) (Satoh,
// Morioka, Takano, Munetoh, "A compact Rijndael hardware architecture with S-box optimization",
// ASIACRYPT 2001); AES itself is FIPS-197.
#include <initializer_list>

#include "backend.h"
#include "prg.h"

namespace mpctensor::prg {
namespace {

using Word = std::uint64_t __attribute__((vector_size(16)));
constexpr int kLanes = 2;
constexpr int kBlocks = 4 * kLanes;

struct State {
  Word plane[8];
};

// An element of GF(16), bitsliced.
struct Nibble {
  Word bit[4];
};

Nibble operator^(const Nibble& a, const Nibble& b) {
  return {{a.bit[0] ^ b.bit[0], a.bit[1] ^ b.bit[1], a.bit[2] ^ b.bit[2], a.bit[3] ^ b.bit[3]}};
}

Nibble multiply(const Nibble& a, const Nibble& b) {
  const Word *p = a.bit, *q = b.bit;
  const Word c0 = p[0] & q[0];
  const Word c1 = (p[0] & q[1]) ^ (p[1] & q[0]);
  const Word c2 = (p[0] & q[2]) ^ (p[1] & q[1]) ^ (p[2] & q[0]);
  const Word c3 = (p[0] & q[3]) ^ (p[1] & q[2]) ^ (p[2] & q[1]) ^ (p[3] & q[0]);
  const Word c4 = (p[1] & q[3]) ^ (p[2] & q[2]) ^ (p[3] & q[1]);
  const Word c5 = (p[2] & q[3]) ^ (p[3] & q[2]);
  const Word c6 = p[3] & q[3];
  return {{c0 ^ c4, c1 ^ c4 ^ c5, c2 ^ c5 ^ c6, c3 ^ c6}};
}

// 14 a^2 with 14 = x^3 + x^2 + x.
Nibble scaled_square(const Nibble& a) {
  return {{a.bit[1] ^ a.bit[2], a.bit[0], a.bit[0] ^ a.bit[1] ^ a.bit[3], a.bit[0] ^ a.bit[1]}};
}

// a^14, the inverse (0 for 0), by its algebraic normal form.
Nibble inverse(const Nibble& a) {
  const Word p = a.bit[0], q = a.bit[1], r = a.bit[2], s = a.bit[3];
  const Word pq = p & q, pr = p & r, qr = q & r, ps = p & s, qs = q & s, rs = r & s;
  const Word qrs = qr & s, sum = q ^ r ^ s;
  return {{p ^ sum ^ pr ^ qr ^ (pq & r) ^ qrs, pq ^ pr ^ qr ^ s ^ qs ^ (pq & s),
           pq ^ r ^ pr ^ s ^ ps ^ (pr & s), sum ^ ps ^ qs ^ rs ^ qrs}};
}

// A linear map of bytes; bit j of rows[i] says whether input bit j enters output bit i.
constexpr unsigned char kToTower[8] = {0x43, 0xcc, 0x94, 0xc6, 0xae, 0x72, 0x0c, 0xa0};
// Back to the AES field, then the linear part of the S-box.
constexpr unsigned char kFromTower[8] = {0x63, 0x81, 0x37, 0x03, 0x9d, 0x8e, 0xb0, 0x86};

State map(const unsigned char (&rows)[8], const State& in) {
  State out;
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    Word sum{};
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j)
      if (rows[i] >> j & 1) sum ^= in.plane[j];
    out.plane[i] = sum;
  }
  return out;
}

State substitute(const State& in) {
  const State t = map(kToTower, in);
  const Nibble low{{t.plane[0], t.plane[1], t.plane[2], t.plane[3]}};
  const Nibble high{{t.plane[4], t.plane[5], t.plane[6], t.plane[7]}};
  const Nibble norm = scaled_square(high) ^ multiply(high ^ low, low);
  const Nibble d = inverse(norm);
  const Nibble h = multiply(high, d), l = multiply(high ^ low, d);
  State out =
      map(kFromTower,
          {{l.bit[0], l.bit[1], l.bit[2], l.bit[3], h.bit[0], h.bit[1], h.bit[2], h.bit[3]}});
  for (int b : {0, 1, 5, 6}) out.plane[b] = ~out.plane[b];  // the S-box's constant 0x63
  return out;
}

// Row r of every block moves r columns to the left: its 16-bit groups rotate by 4 r bits.
Word shift_rows(Word x) {
  return (x & 0x1111111111111111) | ((x >> 4) & 0x0222022202220222) |
         ((x << 12) & 0x2000200020002000) | ((x >> 8) & 0x0044004400440044) |
         ((x << 8) & 0x4400440044004400) | ((x >> 12) & 0x0008000800080008) |
         ((x << 4) & 0x8880888088808880);
}

// Row r takes what row r + 1 holds.
Word next_row(Word x) { return ((x >> 1) & 0x7777777777777777) | ((x << 3) & 0x8888888888888888); }

Word opposite_row(Word x) {
  return ((x >> 2) & 0x3333333333333333) | ((x << 2) & 0xcccccccccccccccc);
}

// a_r -> 2 a_r + 3 a_(r+1) + a_(r+2) + a_(r+3) = 2 (a_r + a_(r+1)) + a_(r+1) + (a + a_(+1))_(r+2)
State mix_columns(const State& in) {
  Word next[8], pair[8];
  for (int b = 0; b < 8; ++b) {
    next[b] = next_row(in.plane[b]);
    pair[b] = in.plane[b] ^ next[b];
  }
  State out;
  for (int b = 0; b < 8; ++b) {
    const Word doubled = b == 0 ? pair[7] : pair[b - 1];
    out.plane[b] = doubled ^ next[b] ^ opposite_row(pair[b]);
  }
  for (int b : {1, 3, 4}) out.plane[b] ^= pair[7];  // x^8 = x^4 + x^3 + x + 1
  return out;
}

void swap_bits(Word& a, Word& b, int shift, std::uint64_t mask) {
  const Word t = ((a >> shift) ^ b) & mask;
  b ^= t;
  a ^= t << shift;
}

// The eight bits of the eight bytes of each word, transposed.
Word transpose_bytes(Word x) {
  Word t = (x ^ (x >> 7)) & 0x00aa00aa00aa00aa;
  x ^= t ^ (t << 7);
  t = (x ^ (x >> 14)) & 0x0000cccc0000cccc;
  x ^= t ^ (t << 14);
  t = (x ^ (x >> 28)) & 0x00000000f0f0f0f0;
  return x ^ t ^ (t << 28);
}

// Byte w of word b and byte b of word w change places.
void transpose_words(State& s) {
  for (int i : {0, 2, 4, 6}) swap_bits(s.plane[i], s.plane[i + 1], 8, 0x00ff00ff00ff00ff);
  for (int i : {0, 1, 4, 5}) swap_bits(s.plane[i], s.plane[i + 2], 16, 0x0000ffff0000ffff);
  for (int i : {0, 1, 2, 3}) swap_bits(s.plane[i], s.plane[i + 4], 32, 0x00000000ffffffff);
}

// words[8 * lane + w]: half w & 1 of block w / 2 of the lane.
State to_planes(const std::uint64_t* words) {
  State s;
  for (int w = 0; w < 8; ++w) s.plane[w] = transpose_bytes(Word{words[w], words[8 + w]});
  transpose_words(s);
  return s;
}

void from_planes(State s, std::uint64_t* words) {
  transpose_words(s);
  for (int w = 0; w < 8; ++w) {
    const Word word = transpose_bytes(s.plane[w]);
    words[w] = word[0];
    words[8 + w] = word[1];
  }
}

void add_round_key(State& s, const std::uint64_t* round_key) {
  for (int b = 0; b < 8; ++b) s.plane[b] ^= round_key[b];
}

State encrypt(State s, const std::uint64_t* schedule) {
  add_round_key(s, schedule);
  for (int round = 1; round <= 10; ++round) {
    s = substitute(s);
    for (Word& plane : s.plane) plane = shift_rows(plane);
    if (round < 10) s = mix_columns(s);
    add_round_key(s, schedule + 8 * round);
  }
  return s;
}

std::uint32_t substitute_word(std::uint32_t word) {
  std::uint64_t words[8 * kLanes] = {word};
  from_planes(substitute(to_planes(words)), words);
  return static_cast<std::uint32_t>(words[0]);
}

// A round key in every block of a lane, as planes.
void slice_round_key(const std::uint32_t* columns, std::uint64_t* out) {
  std::uint64_t words[8 * kLanes] = {};
  for (int w = 0; w < 8; ++w)
    words[w] = columns[2 * (w & 1)] | std::uint64_t{columns[2 * (w & 1) + 1]} << 32;
  const State s = to_planes(words);
  for (int b = 0; b < 8; ++b) out[b] = s.plane[b][0];
  wipe(words, sizeof words);
}

void expand(const unsigned char* key, std::uint64_t* schedule) {
  std::uint32_t column[44];
  for (int i = 0; i < 4; ++i)
    column[i] = key[4 * i] | key[4 * i + 1] << 8 | key[4 * i + 2] << 16 |
                static_cast<std::uint32_t>(key[4 * i + 3]) << 24;
  std::uint32_t constant = 1;
  for (int i = 4; i < 44; ++i) {
    std::uint32_t next = column[i - 1];
    if (i % 4 == 0) {
      next = substitute_word(next >> 8 | next << 24) ^ constant;
      constant = constant << 1 ^ (constant >> 7) * 0x11b;
    }
    column[i] = column[i - 4] ^ next;
  }
  for (int round = 0; round <= 10; ++round)
    slice_round_key(column + 4 * round, schedule + 8 * round);
  wipe(column, sizeof column);
}

void blocks(const std::uint64_t* schedule, Counter counter, std::int64_t count, Use use,
            const std::uint64_t* base, std::uint64_t* out) {
  std::uint64_t words[2 * kBlocks];
  for (std::int64_t done = 0; done < count; done += kBlocks) {
    for (int j = 0; j < kBlocks; ++j) {
      words[2 * j] = counter.stream;
      words[2 * j + 1] = counter.first + static_cast<std::uint64_t>(done + j);
    }
    from_planes(encrypt(to_planes(words), schedule), words);
    const std::int64_t left = count - done;
    for (std::int64_t i = 2 * done; i < 2 * (done + (left < kBlocks ? left : kBlocks)); ++i)
      out[i] = apply(use, use == Use::store ? 0 : base[i], words[i - 2 * done]);
  }
  wipe(words, sizeof words);
}

}  // namespace

const Backend aes_portable = {expand, blocks};

}  // namespace mpctensor::prg
