// The one loop over threads. Results never depend on how the range was split.
#pragma once

#include <algorithm>
#include <cstdint>

namespace mpctensor {

// Runs f(b, e) on consecutive pieces [b, e) that together cover [begin, end), on up to `threads`
// threads. Every piece but the last has a multiple of `grain` elements, so a grain that is a
// multiple of the vector width keeps pieces aligned. Work of one grain or less, and any call from
// inside a parallel region, stays on the calling thread. f must not throw.
template <class F>
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, int threads, F f) {
  if (begin >= end) return;
  const std::int64_t grains = (end - begin + grain - 1) / grain;
  const std::int64_t pieces = std::min<std::int64_t>(threads, grains);
  if (pieces <= 1) {
    f(begin, end);
    return;
  }
  const std::int64_t per_piece = (grains + pieces - 1) / pieces * grain;
#pragma omp parallel for num_threads(static_cast<int>(pieces)) schedule(static, 1)
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    const std::int64_t b = begin + piece * per_piece;
    const std::int64_t e = std::min(end, b + per_piece);
    if (b < e) f(b, e);
  }
}

}  // namespace mpctensor
