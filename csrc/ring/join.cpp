#include "join.h"

#include <cstring>

namespace mpctensor::ring {
namespace {

template <class Operation>
void each(uint64_t* out, const unsigned char* message, int64_t n, Operation operation) {
  for (int64_t i = 0; i < n; ++i) {
    uint64_t word;
    std::memcpy(&word, message + 8 * i, sizeof word);
    out[i] = operation(out[i], word);
  }
}

}  // namespace

void join(uint64_t* out, const unsigned char* message, int64_t n, bool add) {
  if (add) return each(out, message, n, [](uint64_t a, uint64_t b) { return a + b; });
  each(out, message, n, [](uint64_t a, uint64_t b) { return a ^ b; });
}

}  // namespace mpctensor::ring
