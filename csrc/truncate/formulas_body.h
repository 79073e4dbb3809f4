// The formulas themselves, in plain C++ that the compiler vectorises for the including file's
// target. Shares and masks are secret: no branch and no index depends on them. Quotients of secrets
// are products, never a division instruction (its time depends on its operands).
//
// Divisions are written on words: the including file defines Word, a gcc vector of 64-bit lanes or
// one lane, and its half_product, for which the compiler would take three multiplications.
#include "formulas.h"

namespace mpctensor::truncate {
namespace {

using u64 = std::uint64_t;
using i64 = std::int64_t;

constexpr u64 kOffset = u64{1} << 62;

template <class W>
inline W bit(u64 word, W j) {
  return ((W{} + word) >> j) & 1;
}

// f(word index, element index, bit index) for every element.
template <class F>
inline void each(i64 n, F f) {
  i64 i = 0;
  for (; i + 64 <= n; i += 64)
#pragma GCC ivdep  // an output may be an input, but only element for element
    for (i64 j = 0; j < 64; ++j) f(i >> 6, i + j, j);
  for (i64 j = 0; i + j < n; ++j) f(i >> 6, i + j, j);
}

// value where sign is 0, -value where it is 1
inline u64 signed_by(u64 sign, u64 value) { return (value ^ -sign) + sign; }

// --- Division of words; W is Word, or u64 for what is left of a whole word.

// The product of the low halves of all lanes.
inline u64 half_product(u64 x, u64 y) { return (x & 0xffffffff) * (y & 0xffffffff); }

template <class W>
inline W at(const u64* words) {
  W word;
  __builtin_memcpy(&word, words, sizeof word);
  return word;
}

template <class W>
inline void put(u64* words, W word) {
  __builtin_memcpy(words, &word, sizeof word);
}

// f(zero word, first element) for whole words of elements, then for single ones.
template <class F>
inline void each_word(i64 n, F f) {
  constexpr i64 lanes = sizeof(Word) / sizeof(u64);
  i64 i = 0;
  for (; i + lanes <= n; i += lanes) f(Word{}, i);
  for (; i < n; ++i) f(u64{}, i);
}

// All ones where the top bit is 1.
template <class W>
inline W top_mask(W x) {
  if constexpr (sizeof x == sizeof(u64))
    return -(x >> 63);
  else
    return (W)((decltype(x < x))x >> 63);  // of signed lanes
}

// All ones where x < y.
template <class W>
inline W below(W x, u64 y) {
  if constexpr (sizeof x == sizeof(u64))
    return -u64{x < y};
  else
    return (W)(x < W{} + y);
}

// The high half of x y from products of halves; no sum overflows.
template <class W>
inline W high_product(W x, W y) {
  const W xh = x >> 32, yh = y >> 32;
  const W low_high = half_product(x, yh) + (half_product(x, y) >> 32);
  const W high_low = half_product(xh, y) + (low_high & 0xffffffff);
  return half_product(xh, yh) + (low_high >> 32) + (high_low >> 32);
}

template <class W>
struct Quotient {
  W whole, rest;  // 0 <= rest < d
};

template <class W>
inline Quotient<W> quotient(W x, const Divisor& by) {
  const W low = high_product(x, W{} + by.inverse);  // the quotient or one less
  const W over = x - low * by.d - by.d;             // the rest less d, or the rest
  const W less = top_mask(over);
  return {low + 1 + less, over + (less & by.d)};
}

// The same of a signed x, rounded down: for x < 0 it is -1 - floor((-1 - x) / d).
template <class W>
inline Quotient<W> signed_quotient(W x, const Divisor& by) {
  const W sign = top_mask(x);
  const Quotient<W> q = quotient(x ^ sign, by);
  return {q.whole ^ sign, (q.rest ^ sign) + (sign & by.d)};
}

void wrap_open(const u64* x, u64 offset, const u64* mask, i64 n, u64* plane) {
  for (i64 w = 0; w < 2 * ((n + 127) / 128); ++w) plane[w] = mask[w];
  const i64 whole = n / 64;
  for (i64 w = 0; w < whole; ++w) {
    u64 bits = 0;
    for (i64 j = 0; j < 64; ++j) bits |= ((x[64 * w + j] + offset) >> 63) << j;
    plane[w] ^= bits;
  }
  for (i64 i = 64 * whole; i < n; ++i) plane[whole] ^= ((x[i] + offset) >> 63) << (i & 63);
}

void wrap_deal(const u64* a, const u64* b, i64 n, u64* out) {
  each(n, [=](i64 w, i64 i, i64 j) { out[i] = bit(a[w] & b[w], j); });
}

// With m the own top bit, e the public bits and s = e_0 xor e_1, a party's share of m_0 m_1 is
//     m e_other - (e_0 e_1 at party 1) + (1 - 2 s) product,
// and its share of the wrap bit is m minus that: with t = -s and p = m (1 - e_other) + (e_0 e_1 at
// party 1), a bit because its terms exclude each other,  p + t - (product xor t).
struct WrapPlanes {
  u64 own, plain, sign;

  WrapPlanes(const WrapTerms& t, i64 w) {
    const u64 e0 = t.e0[w], e1 = t.e1[w];
    own = t.own[w] ^ (t.party == 0 ? e0 : e1);
    plain = (own & ~(t.party == 0 ? e1 : e0)) | (t.party == 0 ? 0 : e0 & e1);
    sign = e0 ^ e1;
  }

  template <class W>
  W wrap(W j, W dealt) const {
    const W t = -bit(sign, j);
    return bit(plain, j) + t - (dealt ^ t);
  }
};

// f(planes, element index, bit index) for every element.
template <class F>
inline void each_wrap(const WrapTerms& terms, i64 n, F f) {
  i64 i = 0;
  for (; i + 64 <= n; i += 64) {
    const WrapPlanes planes(terms, i >> 6);
#pragma GCC ivdep  // an output may be an input, but only element for element
    for (i64 j = 0; j < 64; ++j) f(planes, i + j, j);
  }
  if (i == n) return;
  const WrapPlanes planes(terms, i >> 6);
  for (i64 j = 0; i + j < n; ++j) f(planes, i + j, j);
}

// f(planes, bit indices of the lanes, first element) for whole words of elements, then single ones.
template <class F>
inline void each_wrap_word(const WrapTerms& terms, i64 n, F f) {
  constexpr int lanes = sizeof(Word) / sizeof(u64);
  u64 counted[lanes];
  for (int lane = 0; lane < lanes; ++lane) counted[lane] = lane;
  const Word numbers = at<Word>(counted);
  for (i64 i = 0; i < n; i += 64) {
    const WrapPlanes planes(terms, i >> 6);
    const i64 end = n - i < 64 ? n - i : 64;
    i64 j = 0;
    for (; j + lanes <= end; j += lanes) f(planes, numbers + static_cast<u64>(j), i + j);
    for (; j < end; ++j) f(planes, static_cast<u64>(j), i + j);
  }
}

void wrap_shift(const WrapTerms& terms, const WrapShift& shift, const u64* x, i64 n, u64* out) {
  const u64* product = terms.product;
  each_wrap(terms, n, [=](const WrapPlanes& planes, i64 i, u64 j) {
    const u64 share = x[i] + shift.offset, wrap = planes.wrap(j, product[i]) << (64 - shift.f);
    const u64 up = ((share & shift.round) + shift.round) >> shift.f;
    out[i] = (share >> shift.f) + up - shift.back - wrap;
  });
}

void wrap_divide(const WrapTerms& terms, const WrapDivide& divide, const u64* x, const u64* coins,
                 i64 n, u64* out) {
  const Divisor by = divide.divisor;
  const u64* product = terms.product;
  each_wrap_word(terms, n, [=](const WrapPlanes& planes, auto j, i64 i) {
    using W = decltype(j);
    const W share = at<W>(x + i) + divide.offset;
    const Quotient<W> q = signed_quotient(share, by);
    const W up = ((W{} - q.rest) >> 63) & divide.up;
    const W period = divide.period - below(at<W>(coins + i), divide.threshold);
    const W wraps = bit(planes.own, j) - planes.wrap(j, at<W>(product + i));
    put<W>(out + i, q.whole + up - divide.back + wraps * period);
  });
}

void open_shift_deal(const u64* r, int f, i64 n, u64* rho, u64* mu) {
  for (i64 i = 0; i < n; ++i) {
    rho[i] = r[i] >> f;
    mu[i] = r[i] >> 63;
  }
}

void open_shift(const u64* c, const u64* rho, const u64* mu, int f, bool first, i64 n, u64* out) {
  const u64 here = -u64{first}, back = kOffset >> f;
  for (i64 i = 0; i < n; ++i) {
    const u64 shifted = c[i] + kOffset;
    const u64 below = (shifted >> 63) - 1;  // all ones where the top bit is 0
    out[i] = (((shifted >> f) - back) & here) - rho[i] + ((mu[i] & below) << (64 - f));
  }
}

void open_divide_deal(const u64* r, const Divisor& divisor, i64 n, u64* v1, u64* v0) {
  const Divisor by = divisor;
  each_word(n, [=](auto zero, i64 i) {
    using W = decltype(zero);
    const W x = at<W>(r + i), sign = top_mask(x);
    const Quotient<W> q = quotient(x, by);
    const W less = top_mask(q.rest - (sign & by.rest));
    put<W>(v1 + i, zero - q.whole);
    put<W>(v0 + i, (sign & by.inverse) - less - q.whole);  // where x < 0, 2^64 less is divided
  });
}

void open_divide(const u64* c, const u64* v1, const u64* v0, const Divisor& divisor, u64 offset,
                 bool first, i64 n, u64* out) {
  const Divisor by = divisor;
  const u64 here = -u64{first}, back = quotient(offset, by).whole;
  each_word(n, [=](auto zero, i64 i) {
    using W = decltype(zero);
    const W shifted = at<W>(c + i) + offset, top = top_mask(shifted);
    const W dealt = (at<W>(v1 + i) & top) | (at<W>(v0 + i) & ~top);
    put<W>(out + i, ((quotient(shifted, by).whole - back) & here) + dealt);
  });
}

constexpr Formulas kFormulas = {wrap_open,       wrap_deal,  wrap_shift,       wrap_divide,
                                open_shift_deal, open_shift, open_divide_deal, open_divide};

}  // namespace
}  // namespace mpctensor::truncate
