#if defined(__x86_64__)
#include <cstdint>

#pragma GCC target("avx2,bmi,bmi2")
#include "formulas_body.h"

namespace mpctensor::truncate {

const Formulas avx2_formulas = kFormulas;

}  // namespace mpctensor::truncate
#endif
