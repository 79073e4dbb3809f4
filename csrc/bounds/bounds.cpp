#include "bounds.h"

#include <algorithm>
#include <atomic>

#include "cpu.h"
#include "parallel.h"
#include "prg/prg.h"

namespace mpctensor::bounds {
namespace {

using u64 = std::uint64_t;

constexpr std::int64_t kWords = 8;    // of a vector
constexpr std::int64_t kPiece = 512;  // words read, or written, in one go
constexpr std::int64_t kGrain = 32;   // pieces worth a thread
using Vector = u64 __attribute__((vector_size(8 * kWords), aligned(8), may_alias));

struct Pass {
  const u64* in;
  std::int64_t n;
  u64* out;
  std::int64_t m;
};

// XORs whole vectors of words begin .. end - 1 into `sum`.
inline __attribute__((always_inline)) void read(const u64* words, std::int64_t begin,
                                                std::int64_t end, u64* sum) {
  Vector sums[4] = {};
  std::int64_t i = begin;
  for (; i + 4 * kWords <= end; i += 4 * kWords)
    for (int j = 0; j < 4; ++j) sums[j] ^= *reinterpret_cast<const Vector*>(words + i + j * kWords);
  for (; i < end; ++i) sums[0][0] ^= words[i];
  *reinterpret_cast<Vector*>(sum) ^= sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
}

inline __attribute__((always_inline)) void write(u64* words, std::int64_t begin, std::int64_t end,
                                                 u64 value) {
  const Vector values = Vector{} + value;
  std::int64_t i = begin;
  for (; i + kWords <= end; i += kWords) *reinterpret_cast<Vector*>(words + i) = values;
  for (; i < end; ++i) words[i] = value;
}

// Pieces begin .. end - 1 of `pieces`, into which both arrays are cut.
inline __attribute__((always_inline)) u64 pass(const Pass& p, std::int64_t begin, std::int64_t end,
                                               std::int64_t pieces) {
  const std::int64_t reads = (p.n / kWords + pieces) / pieces * kWords;
  const std::int64_t writes = (p.m / kWords + pieces) / pieces * kWords;
  u64 sum[kWords] = {}, all = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    read(p.in, std::min(p.n, i * reads), std::min(p.n, (i + 1) * reads), sum);
    write(p.out, std::min(p.m, i * writes), std::min(p.m, (i + 1) * writes), sum[0]);
  }
  for (u64 each : sum) all ^= each;
  return all;
}

using Run = u64 (*)(const Pass&, std::int64_t, std::int64_t, std::int64_t);

u64 pass_portable(const Pass& p, std::int64_t begin, std::int64_t end, std::int64_t pieces) {
  return pass(p, begin, end, pieces);
}
#if defined(__x86_64__)
__attribute__((target("avx2"))) u64 pass_avx2(const Pass& p, std::int64_t begin, std::int64_t end,
                                              std::int64_t pieces) {
  return pass(p, begin, end, pieces);
}
__attribute__((target("avx512f"))) u64 pass_avx512(const Pass& p, std::int64_t begin,
                                                   std::int64_t end, std::int64_t pieces) {
  return pass(p, begin, end, pieces);
}
#endif

Run best_pass() {
#if defined(__x86_64__)
  if (isa() == Isa::avx512) return pass_avx512;
  if (isa() == Isa::avx2) return pass_avx2;
#endif
  return pass_portable;
}

}  // namespace

u64 stream(const u64* in, std::int64_t n, u64* out, std::int64_t m, int threads) {
  const Run run = best_pass();
  const std::int64_t pieces = (std::max(n, m) + kPiece - 1) / kPiece;
  std::atomic<u64> all{0};
  parallel_for(0, pieces, kGrain, threads, [&](std::int64_t begin, std::int64_t end) {
    all ^= run({in, n, out, m}, begin, end, pieces);
  });
  return all;
}

u64 aes(const unsigned char* key, std::int64_t blocks, int threads) {
  constexpr std::int64_t words = 1024;
  const prg::Key expanded(key);
  std::atomic<u64> all{0};
  parallel_for(0, 2 * blocks, kGrain * words, threads, [&](std::int64_t begin, std::int64_t end) {
    alignas(64) u64 sums[words] = {};
    u64 sum = 0;
    for (; begin < end; begin += words)
      expanded.combine(sums, 0, static_cast<u64>(begin), std::min(words, end - begin),
                       prg::Op::bit_xor, sums);
    for (u64 each : sums) sum ^= each;
    all ^= sum;
  });
  return all;
}

}  // namespace mpctensor::bounds
