#include "pointwise_isa.h"
#include "pointwise_template.h"

namespace mpctensor::ring {

void pointwise_portable(const ProductShare& formula, int64_t begin, int64_t end) {
  evaluate<Lane>(formula, begin, end);
}
void pointwise_portable(const SquareShare& formula, int64_t begin, int64_t end) {
  evaluate<Lane>(formula, begin, end);
}
void pointwise_portable(const BitProductShare& formula, int64_t begin, int64_t end) {
  evaluate<Lane>(formula, begin, end);
}
void pointwise_portable(const BitShare& formula, int64_t begin, int64_t end) {
  evaluate<Lane>(formula, begin, end);
}

}  // namespace mpctensor::ring
