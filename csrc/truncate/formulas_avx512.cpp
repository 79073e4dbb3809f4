#if defined(__x86_64__)
#include <cstdint>

#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,bmi,bmi2")
#include "formulas_body.h"

namespace mpctensor::truncate {

const Formulas avx512_formulas = kFormulas;

}  // namespace mpctensor::truncate
#endif
