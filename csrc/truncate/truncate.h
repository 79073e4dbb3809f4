// Truncation that never fails: a shared value divided by a public number.
//
// Two parties by the wrap bit (one bit opened), any number by opening c = z + r. Right for
// |z| < 2^62. Sources: Escudero et al., CRYPTO 2020; Dalskov, Escudero, Keller, PoPETs 2020.
//
// Bounds: memory, a word for every array of words that is read or written, or AES, half a block for
// every word that comes from a stream or is masked by one, whichever takes longer.
#pragma once

#include <cstdint>

#include "prg/source.h"

namespace mpctensor::truncate {

using prg::Source;

// The multiple of d nearest to 2^62: what makes z + offset non-negative.
std::uint64_t offset_of(std::uint64_t d);

// --- Two parties. Party 0 adds the offset, so that z' = x_0 + x_1 - w 2^64 with w = m_0 or m_1,
// m_i = msb(x_i). Planes e_i = m_i xor (own random plane) are public.

// plane = msb(x + offset) xor mask
void wrap_open(const std::uint64_t* x, std::uint64_t offset, const Source& mask, std::int64_t n,
               std::uint64_t* plane, int threads);

// The provider: out = (a and b) as 0/1 words, minus party 0's stream.
void wrap_deal(const std::uint64_t* a, const std::uint64_t* b, const unsigned char* key,
               std::uint64_t stream, std::int64_t n, std::uint64_t* out, int threads);

// One party's side of the opened wrap bits. product: its share of a times b.
struct Wrap {
  int party;  // 0 or 1
  const std::uint64_t *e0, *e1;
  Source own, product;
};

// out = a share of z / 2^f, 1 <= f <= 62. Party 0 rounds down, party 1 up: errors 0 or +1, and 0
// stays 0.
void wrap_shift(const Wrap& wrap, const std::uint64_t* x, int f, std::int64_t n, std::uint64_t* out,
                int threads);

// out = a share of z / d, 2 <= d < 2^62; coins: public random words, alike at both parties. Errors
// -1 .. 2, unbiased.
void wrap_divide(const Wrap& wrap, const std::uint64_t* x, std::uint64_t d,
                 const std::uint64_t* coins, std::int64_t n, std::uint64_t* out, int threads);

// --- Any number of parties, from the public c = z + r. The provider deals values of r, minus the
// other parties' streams `stream` and `stream + 1` where there are keys.

struct Streams {
  const unsigned char* keys;
  int count;
  std::uint64_t stream;
};

// rho = r >> f, mu = msb(r)
void open_shift_deal(const std::uint64_t* r, int f, const Streams& others, std::int64_t n,
                     std::uint64_t* rho, std::uint64_t* mu, int threads);
// out = a share of z / 2^f; errors 0 or +1. first: the party that adds public terms.
void open_shift(const std::uint64_t* c, const Source& rho, const Source& mu, int f, bool first,
                std::int64_t n, std::uint64_t* out, int threads);

// v1 = -floor(r / d), v0 = -floor((r - 2^64 msb(r)) / d)
void open_divide_deal(const std::uint64_t* r, std::uint64_t d, const Streams& others,
                      std::int64_t n, std::uint64_t* v1, std::uint64_t* v0, int threads);
void open_divide(const std::uint64_t* c, const Source& v1, const Source& v0, std::uint64_t d,
                 bool first, std::int64_t n, std::uint64_t* out, int threads);

}  // namespace mpctensor::truncate
