// The formulas on one block of at most 1024 elements, one version per instruction set.
#pragma once

#include <cstdint>

namespace mpctensor::truncate {

// Division of any 64-bit number by d >= 2 without a division: floor(x inverse / 2^64) is the
// quotient or one less, because inverse = floor(2^64 / d).
struct Divisor {
  std::uint64_t d, inverse, rest;  // 2^64 = inverse d + rest

  explicit Divisor(std::uint64_t d);
};

// Wrap bits of one party: w = [extra] + [own] - (+-) product, each a plane; see truncate.cpp.
struct WrapTerms {
  int party;
  const std::uint64_t *e0, *e1, *own, *product;
};

struct WrapShift {
  std::uint64_t offset;  // added to the share
  std::uint64_t round;   // 2^f - 1 where this party rounds up, else 0
  std::uint64_t back;    // subtracted from the result
  int f;
};

struct WrapDivide {
  Divisor divisor;
  std::uint64_t offset;     // added to the share
  std::uint64_t up;         // 1 where this party rounds up, else 0
  std::uint64_t back;       // subtracted from the result
  std::uint64_t period;     // floor(2^64 / d)
  std::uint64_t threshold;  // a coin below this adds 1 to the period
};

struct Formulas {
  void (*wrap_open)(const std::uint64_t* x, std::uint64_t offset, const std::uint64_t* mask,
                    std::int64_t n, std::uint64_t* plane);
  void (*wrap_deal)(const std::uint64_t* a, const std::uint64_t* b, std::int64_t n,
                    std::uint64_t* out);
  void (*wrap_shift)(const WrapTerms& terms, const WrapShift& shift, const std::uint64_t* x,
                     std::int64_t n, std::uint64_t* out);
  void (*wrap_divide)(const WrapTerms& terms, const WrapDivide& divide, const std::uint64_t* x,
                      const std::uint64_t* coins, std::int64_t n, std::uint64_t* out);
  void (*open_shift_deal)(const std::uint64_t* r, int f, std::int64_t n, std::uint64_t* rho,
                          std::uint64_t* mu);
  void (*open_shift)(const std::uint64_t* c, const std::uint64_t* rho, const std::uint64_t* mu,
                     int f, bool first, std::int64_t n, std::uint64_t* out);
  void (*open_divide_deal)(const std::uint64_t* r, const Divisor& divisor, std::int64_t n,
                           std::uint64_t* v1, std::uint64_t* v0);
  void (*open_divide)(const std::uint64_t* c, const std::uint64_t* v1, const std::uint64_t* v0,
                      const Divisor& divisor, std::uint64_t offset, bool first, std::int64_t n,
                      std::uint64_t* out);
};

extern const Formulas portable_formulas;
#if defined(__x86_64__)
extern const Formulas avx2_formulas;
extern const Formulas avx512_formulas;
#endif

}  // namespace mpctensor::truncate
