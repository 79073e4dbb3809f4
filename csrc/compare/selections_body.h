// Formulas from bits to shares, element by element, vectorised by the compiler for the including
// file's target. hat and c are public, all else is secret: no branch and no index depends on it.
#include "stages.h"

namespace mpctensor::compare {
namespace {

using u64 = std::uint64_t;
using i64 = std::int64_t;

inline u64 bit(u64 word, i64 j) { return word >> j & 1; }

// f(element index, its bit) for every element.
template <class F>
inline void each(const u64* plane, i64 n, F f) {
  i64 i = 0;
  for (; i + 64 <= n; i += 64) {
    const u64 word = plane[i >> 6];
#pragma GCC ivdep  // an output may be an input, but only element for element
    for (i64 j = 0; j < 64; ++j) f(i + j, bit(word, j));
  }
  for (; i < n; ++i) f(i, bit(plane[i >> 6], i & 63));
}

template <int shift>
void collect(const u64* values, i64 n, u64* plane) {
  for (i64 w = n / 64; w < 2 * ((n + 127) / 128); ++w) plane[w] = 0;
  i64 i = 0;
  for (; i + 64 <= n; i += 64) {
    u64 bits = 0;
    for (i64 j = 0; j < 64; ++j) bits |= (values[i + j] >> shift & 1) << j;
    plane[i >> 6] = bits;
  }
  for (; i < n; ++i) plane[i >> 6] |= (values[i] >> shift & 1) << (i & 63);
}

void bit_values(const u64* plane, i64 n, u64* out) {
  each(plane, n, [=](i64 i, u64 b) { out[i] = b; });
}

void select_deal(const u64* beta, const u64* r, i64 n, u64* beta_value, u64* beta_r) {
  each(beta, n, [=](i64 i, u64 b) {
    beta_value[i] = b;
    beta_r[i] = r[i] & -b;
  });
}

void select_shift_deal(const u64* beta, const u64* r, int f, i64 n,
                       u64* const (&out)[kShiftValues]) {
  u64 *value = out[0], *rho = out[1], *beta_rho = out[2], *mu = out[3], *beta_mu = out[4];
  each(beta, n, [=](i64 i, u64 b) {
    const u64 high = r[i] >> f, top = r[i] >> 63;
    value[i] = b;
    rho[i] = high;
    beta_rho[i] = high & -b;
    mu[i] = top;
    beta_mu[i] = top & b;
  });
}

// value where b is 0, -value where b is 1
inline u64 signed_by(u64 b, u64 value) { return (value ^ -b) + b; }

void select_share(const u64* hat, const u64* c, const u64* r, const u64* beta, const u64* beta_r,
                  bool first, i64 n, u64* out) {
  const u64 here = -u64{first};
  each(hat, n, [=](i64 i, u64 b) {
    const u64 x = (c[i] & here) - r[i];
    out[i] = (x & -b) + signed_by(b, c[i] * beta[i] - beta_r[i]);
  });
}

void select_shift_share(const u64* hat, const u64* c, int f,
                        const u64* const (&values)[kShiftValues], bool first, i64 n, u64* out) {
  const u64 *beta = values[0], *rho = values[1], *beta_rho = values[2], *mu = values[3],
            *beta_mu = values[4];
  const u64 here = -u64{first};
  each(hat, n, [=](i64 i, u64 b) {
    const u64 high = c[i] >> f, below = (c[i] >> 63) - 1;  // all ones where the top bit is 0
    const u64 x = (high & here) - rho[i] + ((mu[i] & below) << (64 - f));
    const u64 beta_x = high * beta[i] - beta_rho[i] + ((beta_mu[i] & below) << (64 - f));
    out[i] = (x & -b) + signed_by(b, beta_x);
  });
}

constexpr Selections kSelections = {collect<63>,       collect<0>,   bit_values,        select_deal,
                                    select_shift_deal, select_share, select_shift_share};

}  // namespace
}  // namespace mpctensor::compare
