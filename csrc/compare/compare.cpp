#include "compare.h"

#include <cstring>

#include "cpu.h"
#include "prg/blocks.h"
#include "stages.h"

namespace mpctensor::compare {
namespace {

using u64 = std::uint64_t;
using prg::Keys;
using prg::Op;
using prg::Reader;

const Stages& stages() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return avx512_stages;
  if (isa() == Isa::avx2) return avx2_stages;
#endif
  return portable_stages;
}

const Selections& selections() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return avx512_selections;
  if (isa() == Isa::avx2) return avx2_selections;
#endif
  return portable_selections;
}

// Memory for one block of up to `planes` planes.
template <int planes>
struct Scratch {
  alignas(64) u64 words[planes * kBlockWords];
};

using Elements = Scratch<64>;                     // a block's
using Run = Scratch<kRunElements / kBlockWords>;  // a run's

// The steps want whole blocks: a bundle's last block, where planes are shorter, is spread out.
void spread(const u64* from, int planes, std::int64_t words, u64* to) {
  for (int p = planes - 1; p >= 0; --p) {
    std::memmove(to + p * kBlockWords, from + p * words, words * sizeof *to);
    std::memset(to + p * kBlockWords + words, 0, (kBlockWords - words) * sizeof *to);
  }
}

// The reverse, in place: planes that lie 16 words apart move together.
void close_up(u64* block, int planes, std::int64_t words) {
  if (words == kBlockWords) return;
  for (int p = 1; p < planes; ++p)
    std::memmove(block + p * words, block + p * kBlockWords, words * sizeof *block);
}

// A block of a bundle, planes 16 words apart: where it lies, or in scratch.
const u64* planes_of(const u64* bundle, int planes, Block at, u64* scratch) {
  const u64* block = bundle + at.word() * planes;
  if (at.words == kBlockWords) return block;
  spread(block, planes, at.words, scratch);
  return scratch;
}

const u64* planes_of(const Reader& bundle, int planes, Block at, u64* scratch) {
  const u64* block = bundle.read(at.word() * planes, at.words * planes, scratch);
  if (at.words == kBlockWords) return block;
  spread(block, planes, at.words, scratch);
  return scratch;
}

// From a block of a bundle to the next one, where it lies in memory.
std::int64_t words_ahead(const Source& bundle, int planes) {
  return bundle.words == nullptr ? 0 : planes * kBlockWords;
}

// The elements of a block, padded with zeros to 1024.
const u64* elements_of(const u64* elements, Block at, u64* scratch) {
  fetch(elements + at.element + at.elements, at.elements);
  if (at.elements == kBlockElements) return elements + at.element;
  std::memcpy(scratch, elements + at.element, at.elements * sizeof *scratch);
  std::memset(scratch + at.elements, 0, (kBlockElements - at.elements) * sizeof *scratch);
  return scratch;
}

// The elements of a block less a threshold, padded with zeros to 1024.
const u64* lowered(const u64* elements, u64 threshold, Block at, u64* scratch) {
  const u64* from = elements_of(elements, at, scratch);
  if (threshold == 0) return from;
  for (std::int64_t i = 0; i < at.elements; ++i) scratch[i] = from[i] - threshold;
  return scratch;
}

// A block of a bundle to be written, planes 16 words apart until finish(); up to `most` planes.
template <int most>
class Output {
 public:
  Output(u64* bundle, int planes, Block at)
      : block_(bundle + at.word() * planes), planes_(planes), at_(at) {}

  u64* planes() { return at_.words == kBlockWords ? block_ : scratch_.words; }

  u64* finish() {
    if (at_.words != kBlockWords)
      for (int p = 0; p < planes_; ++p)
        std::memcpy(block_ + p * at_.words, scratch_.words + p * kBlockWords,
                    at_.words * sizeof *block_);
    return block_;
  }

 private:
  u64* block_;
  int planes_;
  Block at_;
  Scratch<most> scratch_;
};

Keys keys_of(const Streams& streams) { return {streams.keys, streams.count}; }

// XORs the streams onto a block of a bundle.
template <class... Out>
void mask_block(const Keys& keys, const Streams& streams, int planes, Block at, u64* block,
                Out... out) {
  keys.combine(streams.stream, at.word() * planes, at.words * planes, Op::bit_xor, block, out...);
}

}  // namespace

void rows_deal(Kind kind, const u64* r, const Streams& others, std::int64_t n, u64* rows,
               int threads) {
  const Stages& use = stages();
  const Keys keys = keys_of(others);
  const int planes = rows_planes(kind);
  for_each_block(n, threads, [&](Block at) {
    Elements padded;
    Scratch<kMostRows> made;
    use.rows(kind, elements_of(r, at, padded.words), made.words);
    close_up(made.words, planes, at.words);
    mask_block(keys, others, planes, at, made.words, rows + at.word() * planes);
  });
}

void lookup(Kind kind, const u64* c, u64 threshold, const Source& rows, const Source& masks,
            bool first, std::int64_t n, u64* message, u64* tops, int threads) {
  const Stages& use = stages();
  const Reader row(rows), mask(masks);
  const int opened = message_planes(kind, 1);
  const std::int64_t ahead = words_ahead(rows, rows_planes(kind));
  for_each_block(n, threads, [&](Block at) {
    Elements padded;
    Scratch<kMostRows> row_words;
    Scratch<kMostMessages> mask_words;
    Output<kMostMessages> out(message, opened, at);
    Output<kMostTops> top(tops, tops_planes(kind, 1), at);
    use.lookup(kind, lowered(c, threshold, at, padded.words),
               planes_of(row, rows_planes(kind), at, row_words.words), ahead,
               planes_of(mask, opened, at, mask_words.words), first, out.planes(), top.planes());
    out.finish();
    top.finish();
  });
}

void merge_deal(Kind kind, int level, const Streams& masks, const Streams& others, std::int64_t n,
                u64* monomials, int threads) {
  const Stages& use = stages();
  const Keys mask_keys = keys_of(masks), keys = keys_of(others);
  const int opened = message_planes(kind, level), planes = monomial_planes(kind, level);
  for_each_block(n, threads, [&](Block at) {
    Scratch<kMostMessages> mask{};
    Scratch<kMostMonomials> made;
    mask_block(mask_keys, masks, opened, at, mask.words);
    if (at.words < kBlockWords) spread(mask.words, opened, at.words, mask.words);
    use.monomials(kind, level, mask.words, made.words);
    close_up(made.words, planes, at.words);
    mask_block(keys, others, planes, at, made.words, monomials + at.word() * planes);
  });
}

void merge(Kind kind, int level, const Merge& state, std::int64_t n, u64* message, u64* tops,
           int threads) {
  const Stages& use = stages();
  const Reader masks(state.masks), monomials(state.monomials), next_masks(state.next_masks);
  const int opened = message_planes(kind, level), top_count = tops_planes(kind, level);
  const int sent = message_planes(kind, level + 1), next_tops = tops_planes(kind, level + 1);
  const std::int64_t ahead = words_ahead(state.monomials, monomial_planes(kind, level));
  for_each_block(n, threads, [&](Block at) {
    Scratch<kMostMessages> opened_words, mask_words, next_words;
    Scratch<kMostTops> top_words;
    Scratch<kMostMonomials> monomial_words;
    const MergeBlock block{
        planes_of(state.opened, opened, at, opened_words.words),
        planes_of(state.tops, top_count, at, top_words.words),
        planes_of(masks, opened, at, mask_words.words),
        planes_of(monomials, monomial_planes(kind, level), at, monomial_words.words),
        planes_of(next_masks, sent, at, next_words.words),
        ahead,
        state.first};
    Output<kMostMessages> out(message, sent, at);
    Output<kMostTops> top(tops, next_tops, at);
    use.merge(kind, level, block, out.planes(), top.planes());
    out.finish();
    top.finish();
  });
}

void bit_hat(const u64* c, u64 threshold, const u64* opened, bool flip, std::int64_t n, u64* plane,
             int threads) {
  const Selections& use = selections();
  const u64 constant = -u64{flip};
  for_each_block(n, threads, [&](Block at) {
    Elements padded;
    u64 top[kBlockWords];
    use.top_bits(lowered(c, threshold, at, padded.words), at.elements, top);
    for (std::int64_t w = 0; w < at.words; ++w)
      plane[at.word() + w] = top[w] ^ opened[at.word() + w] ^ constant;
  });
}

void beta_deal(const u64* r, const Streams& masks, std::int64_t n, u64* beta, int threads) {
  const Selections& use = selections();
  const Keys keys = keys_of(masks);
  for_each_run(n, threads, [&](Block at) {
    u64* const plane = beta + at.word();
    use.top_bits(r + at.element, at.elements, plane);
    mask_block(keys, masks, 1, at, plane);
  });
}

void bit_values(const u64* plane, const Streams& others, std::int64_t n, u64* out, int threads) {
  const Selections& use = selections();
  const Keys keys = keys_of(others);
  for_each_run(n, threads, [&](Block at) {
    Run made;
    use.bit_values(plane + at.word(), at.elements, made.words);
    keys.combine(others.stream, at.element, at.elements, Op::sub, made.words, out + at.element);
  });
}

void pack(const u64* bits, std::int64_t n, u64* plane, int threads) {
  const Selections& use = selections();
  for_each_run(n, threads,
               [&](Block at) { use.low_bits(bits + at.element, at.elements, plane + at.word()); });
}

void select_deal(const u64* beta, const u64* r, const Streams& others, std::int64_t n,
                 u64* beta_value, u64* beta_r, int threads) {
  const Selections& use = selections();
  const Keys keys = keys_of(others);
  for_each_run(n, threads, [&](Block at) {
    const std::int64_t i = at.element;
    Run bits, products;
    use.select_deal(beta + at.word(), r + i, at.elements, bits.words, products.words);
    keys.combine(others.stream, i, at.elements, Op::sub, bits.words, beta_value + i);
    keys.combine(others.stream + 1, i, at.elements, Op::sub, products.words, beta_r + i);
  });
}

void select_shift_deal(const u64* beta, const u64* r, int f, const Streams& others, std::int64_t n,
                       u64* const (&out)[kShiftValues], int threads) {
  const Selections& use = selections();
  const Keys keys = keys_of(others);
  for_each_run(n, threads, [&](Block at) {
    const std::int64_t i = at.element;
    Run made[kShiftValues];
    u64* const parts[kShiftValues] = {made[0].words, made[1].words, made[2].words, made[3].words,
                                      made[4].words};
    use.select_shift_deal(beta + at.word(), r + i, f, at.elements, parts);
    for (int v = 0; v < kShiftValues; ++v)
      keys.combine(others.stream + v, i, at.elements, Op::sub, parts[v], out[v] + i);
  });
}

void select_share(const u64* hat, const u64* c, const Source& r, const Source& beta,
                  const Source& beta_r, bool first, std::int64_t n, u64* out, int threads) {
  const Selections& use = selections();
  const Reader rs(r), betas(beta), products(beta_r);
  for_each_run(n, threads, [&](Block at) {
    Run a, b, d;
    const std::int64_t i = at.element;
    use.select_share(hat + at.word(), c + i, rs.read(i, at.elements, a.words),
                     betas.read(i, at.elements, b.words), products.read(i, at.elements, d.words),
                     first, at.elements, out + i);
  });
}

void select_shift_share(const u64* hat, const u64* c, int f, const Source (&values)[kShiftValues],
                        bool first, std::int64_t n, u64* out, int threads) {
  const Selections& use = selections();
  const Reader readers[kShiftValues] = {Reader(values[0]), Reader(values[1]), Reader(values[2]),
                                        Reader(values[3]), Reader(values[4])};
  for_each_run(n, threads, [&](Block at) {
    Run scratch[kShiftValues];
    const u64* part[kShiftValues];
    for (int v = 0; v < kShiftValues; ++v)
      part[v] = readers[v].read(at.element, at.elements, scratch[v].words);
    use.select_shift_share(hat + at.word(), c + at.element, f, part, first, at.elements,
                           out + at.element);
  });
}

}  // namespace mpctensor::compare
