#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512vl")

#include "lanes_avx512.h"
#include "pointwise_isa.h"
#include "pointwise_template.h"

namespace mpctensor::ring {

void pointwise_avx512(const ProductShare& formula, int64_t begin, int64_t end) {
  evaluate<Lanes>(formula, begin, end);
}
void pointwise_avx512(const SquareShare& formula, int64_t begin, int64_t end) {
  evaluate<Lanes>(formula, begin, end);
}
void pointwise_avx512(const BitProductShare& formula, int64_t begin, int64_t end) {
  evaluate<Lanes>(formula, begin, end);
}
void pointwise_avx512(const BitShare& formula, int64_t begin, int64_t end) {
  evaluate<Lanes>(formula, begin, end);
}

}  // namespace mpctensor::ring
#endif
