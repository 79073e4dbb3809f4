// One version of the pointwise kernels per instruction set: elements begin .. end - 1, where begin
// is a multiple of 64.
#pragma once

#include "pointwise.h"

namespace mpctensor::ring {

#define MPCTENSOR_POINTWISE(isa)                                                    \
  void pointwise_##isa(const ProductShare& formula, int64_t begin, int64_t end);    \
  void pointwise_##isa(const SquareShare& formula, int64_t begin, int64_t end);     \
  void pointwise_##isa(const BitProductShare& formula, int64_t begin, int64_t end); \
  void pointwise_##isa(const BitShare& formula, int64_t begin, int64_t end);

MPCTENSOR_POINTWISE(portable)
MPCTENSOR_POINTWISE(avx2)
MPCTENSOR_POINTWISE(avx512)
#undef MPCTENSOR_POINTWISE

}  // namespace mpctensor::ring
