// The formulas themselves, in plain C++ that the compiler vectorises for the including file's
// target. Shares and masks are secret: no branch and no index depends on them. Quotients of secrets
// are products, never a division instruction (its time depends on its operands).
#include "formulas.h"

namespace mpctensor::truncate {
namespace {

using u64 = std::uint64_t;
using i64 = std::int64_t;

constexpr u64 kOffset = u64{1} << 62;

inline u64 bit(u64 word, i64 j) { return word >> j & 1; }

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

// The high half of x y from products of halves, which vector units have; no sum overflows.
inline u64 high_product(u64 x, u64 y) {
  constexpr u64 half = 0xffffffff;
  const u64 xl = x & half, xh = x >> 32, yl = y & half, yh = y >> 32;
  const u64 low_high = xl * yh + (xl * yl >> 32);
  const u64 high_low = xh * yl + (low_high & half);
  return xh * yh + (low_high >> 32) + (high_low >> 32);
}

inline u64 quotient(u64 x, const Divisor& by) {
  const u64 q = high_product(x, by.inverse);
  return q + (x - q * by.d >= by.d);
}

// floor(x / d) of a signed x: for x < 0 it is -1 - floor((-1 - x) / d).
inline u64 floor_quotient(u64 x, const Divisor& by) {
  const u64 sign = -(x >> 63);
  return quotient(x ^ sign, by) ^ sign;
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

  u64 wrap(i64 j, u64 dealt) const {
    const u64 t = -bit(sign, j);
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

void wrap_shift(const WrapTerms& terms, const WrapShift& shift, const u64* x, i64 n, u64* out) {
  const u64* product = terms.product;
  each_wrap(terms, n, [=](const WrapPlanes& planes, i64 i, i64 j) {
    const u64 share = x[i] + shift.offset, wrap = planes.wrap(j, product[i]) << (64 - shift.f);
    const u64 up = ((share & shift.round) + shift.round) >> shift.f;
    out[i] = (share >> shift.f) + up - shift.back - wrap;
  });
}

void wrap_divide(const WrapTerms& terms, const WrapDivide& divide, const u64* x, const u64* coins,
                 i64 n, u64* out) {
  const u64* product = terms.product;
  each_wrap(terms, n, [=](const WrapPlanes& planes, i64 i, i64 j) {
    const u64 share = x[i] + divide.offset;
    const u64 q = floor_quotient(share, divide.divisor);
    const u64 up = (share - q * divide.divisor.d != 0) & divide.up;
    const u64 period = divide.period + (coins[i] < divide.threshold);
    out[i] = q + up - divide.back + (bit(planes.own, j) - planes.wrap(j, product[i])) * period;
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
  for (i64 i = 0; i < n; ++i) {
    v0[i] = -floor_quotient(r[i], by);
    v1[i] = -quotient(r[i], by);
  }
}

void open_divide(const u64* c, const u64* v1, const u64* v0, const Divisor& divisor, u64 offset,
                 bool first, i64 n, u64* out) {
  const Divisor by = divisor;
  const u64 here = -u64{first}, back = quotient(offset, by);
  for (i64 i = 0; i < n; ++i) {
    const u64 shifted = c[i] + offset;
    const u64 top = -(shifted >> 63);
    out[i] = ((quotient(shifted, by) - back) & here) + ((v1[i] & top) | (v0[i] & ~top));
  }
}

constexpr Formulas kFormulas = {wrap_open,       wrap_deal,  wrap_shift,       wrap_divide,
                                open_shift_deal, open_shift, open_divide_deal, open_divide};

}  // namespace
}  // namespace mpctensor::truncate
