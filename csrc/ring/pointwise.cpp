#include "pointwise.h"

#include <algorithm>

#include "../cpu.h"
#include "../parallel.h"
#include "pointwise_isa.h"

namespace mpctensor::ring {
namespace {

constexpr int64_t kBlock = 4096;  // elements; a multiple of 64, so that blocks start on whole words

template <class Formula>
void evaluate_blocks(const Formula& formula, int64_t n, int threads) {
  [[maybe_unused]] const Isa best = isa();
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  parallel_for(0, blocks, 16, threads, [&](int64_t first, int64_t last) {
    const int64_t begin = first * kBlock, end = std::min(n, last * kBlock);
#if defined(__x86_64__)
    if (best == Isa::avx512) return pointwise_avx512(formula, begin, end);
    if (best == Isa::avx2) return pointwise_avx2(formula, begin, end);
#endif
    pointwise_portable(formula, begin, end);
  });
}

}  // namespace

void pointwise(const ProductShare& formula, int64_t n, int threads) {
  evaluate_blocks(formula, n, threads);
}
void pointwise(const SquareShare& formula, int64_t n, int threads) {
  evaluate_blocks(formula, n, threads);
}
void pointwise(const BitProductShare& formula, int64_t n, int threads) {
  evaluate_blocks(formula, n, threads);
}
void pointwise(const BitShare& formula, int64_t n, int threads) {
  evaluate_blocks(formula, n, threads);
}

}  // namespace mpctensor::ring
