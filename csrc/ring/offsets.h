// Tables of element offsets, the coordinates of a Grid.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mpctensor::ring {

using Offsets = std::vector<int64_t>;

// {0, stride, 2 stride, ...}
inline Offsets steps(int64_t count, int64_t stride) {
  Offsets out(count);
  for (int64_t i = 0; i < count; ++i) out[i] = i * stride;
  return out;
}

// Row-major pairs: outer[i] + inner[j].
inline Offsets nested(const Offsets& outer, const Offsets& inner) {
  Offsets out;
  out.reserve(outer.size() * inner.size());
  for (int64_t o : outer)
    for (int64_t i : inner) out.push_back(o + i);
  return out;
}

}  // namespace mpctensor::ring
