#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512dq,avx512vl")

#include "gemm_thin_template.h"
#include "lanes_avx512.h"

namespace mpctensor::ring {

const GemmKernels gemm_avx512 = kernels_of<Lanes, LanesSum, 4, 16>();

}  // namespace mpctensor::ring
#endif
