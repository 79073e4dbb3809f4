#if defined(__x86_64__)
#pragma GCC target("avx2")

#include "lanes_avx2.h"
#include "pointwise_isa.h"
#include "pointwise_template.h"

namespace mpctensor::ring {

void pointwise_avx2(const ProductShare& formula, int64_t begin, int64_t end) {
  evaluate<Lanes>(formula, begin, end);
}
void pointwise_avx2(const SquareShare& formula, int64_t begin, int64_t end) {
  evaluate<Lanes>(formula, begin, end);
}
void pointwise_avx2(const BitProductShare& formula, int64_t begin, int64_t end) {
  evaluate<Lanes>(formula, begin, end);
}
void pointwise_avx2(const BitShare& formula, int64_t begin, int64_t end) {
  evaluate<Lanes>(formula, begin, end);
}

}  // namespace mpctensor::ring
#endif
