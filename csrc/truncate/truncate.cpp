#include "truncate.h"

#include "cpu.h"
#include "formulas.h"
#include "prg/blocks.h"

namespace mpctensor::truncate {
namespace {

using u64 = std::uint64_t;
using prg::Keys;
using prg::Op;
using prg::Reader;

constexpr u64 kOffset = u64{1} << 62;

const Formulas& formulas() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return avx512_formulas;
  if (isa() == Isa::avx2) return avx2_formulas;
#endif
  return portable_formulas;
}

using Words = u64[kRunElements / 64];
using Elements = u64[kRunElements];

// Runs f(terms, block) on every run, with the sources of a party's wrap bits read.
template <class F>
void for_each_wrap(const Wrap& wrap, std::int64_t n, int threads, F f) {
  const Reader own(wrap.own), product(wrap.product);
  for_each_run(n, threads, [&](Block at) {
    Words plane;
    Elements dealt;
    f(WrapTerms{wrap.party, wrap.e0 + at.word(), wrap.e1 + at.word(),
                own.read(at.word(), at.words, plane), product.read(at.element, at.elements, dealt)},
      at);
  });
}

}  // namespace

Divisor::Divisor(u64 d)
    : d(d),
      inverse(static_cast<u64>((static_cast<unsigned __int128>(1) << 64) / d)),
      rest(-(inverse * d)) {}

u64 offset_of(u64 d) { return (kOffset + d / 2) / d * d; }

void wrap_open(const u64* x, u64 offset, const Source& mask, std::int64_t n, u64* plane,
               int threads) {
  const Formulas& use = formulas();
  const Reader masks(mask);
  for_each_run(n, threads, [&](Block at) {
    Words scratch;
    use.wrap_open(x + at.element, offset, masks.read(at.word(), at.words, scratch), at.elements,
                  plane + at.word());
  });
}

void wrap_deal(const u64* a, const u64* b, const unsigned char* key, u64 stream, std::int64_t n,
               u64* out, int threads) {
  const Formulas& use = formulas();
  const Keys keys(key, 1);
  for_each_run(n, threads, [&](Block at) {
    Elements made;
    use.wrap_deal(a + at.word(), b + at.word(), at.elements, made);
    keys.combine(stream, at.element, at.elements, Op::sub, made, out + at.element);
  });
}

void wrap_shift(const Wrap& wrap, const u64* x, int f, std::int64_t n, u64* out, int threads) {
  const Formulas& use = formulas();
  const bool first = wrap.party == 0;
  const WrapShift shift{first ? kOffset : 0, first ? 0 : (u64{1} << f) - 1,
                        first ? kOffset >> f : 0, f};
  for_each_wrap(wrap, n, threads, [&](const WrapTerms& terms, Block at) {
    use.wrap_shift(terms, shift, x + at.element, at.elements, out + at.element);
  });
}

void wrap_divide(const Wrap& wrap, const u64* x, u64 d, const u64* coins, std::int64_t n, u64* out,
                 int threads) {
  const Formulas& use = formulas();
  const bool first = wrap.party == 0;
  const Divisor by(d);
  const u64 offset = first ? offset_of(d) : 0;
  const u64 threshold = static_cast<u64>((static_cast<unsigned __int128>(by.rest) << 64) / d);
  const WrapDivide divide{by, offset, u64{!first}, offset / d, by.inverse, threshold};
  for_each_wrap(wrap, n, threads, [&](const WrapTerms& terms, Block at) {
    use.wrap_divide(terms, divide, x + at.element, coins + at.element, at.elements,
                    out + at.element);
  });
}

void open_shift_deal(const u64* r, int f, const Streams& others, std::int64_t n, u64* rho, u64* mu,
                     int threads) {
  const Formulas& use = formulas();
  const Keys keys(others.keys, others.count);
  for_each_run(n, threads, [&](Block at) {
    const std::int64_t i = at.element;
    Elements high, top;
    use.open_shift_deal(r + i, f, at.elements, high, top);
    keys.combine(others.stream, i, at.elements, Op::sub, high, rho + i);
    keys.combine(others.stream + 1, i, at.elements, Op::sub, top, mu + i);
  });
}

void open_shift(const u64* c, const Source& rho, const Source& mu, int f, bool first,
                std::int64_t n, u64* out, int threads) {
  const Formulas& use = formulas();
  const Reader rhos(rho), mus(mu);
  for_each_run(n, threads, [&](Block at) {
    Elements a, b;
    const std::int64_t i = at.element;
    use.open_shift(c + i, rhos.read(i, at.elements, a), mus.read(i, at.elements, b), f, first,
                   at.elements, out + i);
  });
}

void open_divide_deal(const u64* r, u64 d, const Streams& others, std::int64_t n, u64* v1, u64* v0,
                      int threads) {
  const Formulas& use = formulas();
  const Keys keys(others.keys, others.count);
  const Divisor by(d);
  for_each_run(n, threads, [&](Block at) {
    const std::int64_t i = at.element;
    Elements ones, zeros;
    use.open_divide_deal(r + i, by, at.elements, ones, zeros);
    keys.combine(others.stream, i, at.elements, Op::sub, ones, v1 + i);
    keys.combine(others.stream + 1, i, at.elements, Op::sub, zeros, v0 + i);
  });
}

void open_divide(const u64* c, const Source& v1, const Source& v0, u64 d, bool first,
                 std::int64_t n, u64* out, int threads) {
  const Formulas& use = formulas();
  const Reader ones(v1), zeros(v0);
  const Divisor by(d);
  const u64 offset = offset_of(d);
  for_each_run(n, threads, [&](Block at) {
    Elements a, b;
    const std::int64_t i = at.element;
    use.open_divide(c + i, ones.read(i, at.elements, a), zeros.read(i, at.elements, b), by, offset,
                    first, at.elements, out + i);
  });
}

}  // namespace mpctensor::truncate
