// The one loop over threads. Results never depend on how the range was split.
#pragma once

#include <algorithm>
#include <cstdint>

namespace mpctensor {

// A call that is shared out in numbered pieces: work(context, piece).
using PieceFunction = void (*)(const void* context, std::int64_t piece);

// Runs pieces 0..pieces-1 on the calling thread and on up to threads - 1 sleeping helpers. Whoever
// is awake takes the next piece, so the caller never waits for a thread that has not begun: with
// the processors busy elsewhere it simply does the work itself.
void run_pieces(std::int64_t pieces, int threads, PieceFunction work, const void* context);

// Runs f(b, e) on consecutive pieces [b, e) that together cover [begin, end), on up to `threads`
// threads. Every piece but the last has a multiple of `grain` elements, so a grain that is a
// multiple of the vector width keeps pieces aligned. Work of one grain or less, and any call from
// inside a parallel region, stays on the calling thread. f must not throw.
template <class F>
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, int threads, F f) {
  if (begin >= end) return;
  const std::int64_t grains = (end - begin + grain - 1) / grain;
  const std::int64_t pieces = threads > 1 ? std::min<std::int64_t>(4 * threads, grains) : 1;
  if (pieces <= 1) {
    f(begin, end);
    return;
  }
  const std::int64_t per_piece = (grains + pieces - 1) / pieces * grain;
  const auto piece = [&](std::int64_t index) {
    const std::int64_t b = begin + index * per_piece;
    const std::int64_t e = std::min(end, b + per_piece);
    if (b < e) f(b, e);
  };
  run_pieces(
      pieces, threads,
      [](const void* context, std::int64_t index) {
        (*static_cast<const decltype(piece)*>(context))(index);
      },
      &piece);
}

}  // namespace mpctensor
