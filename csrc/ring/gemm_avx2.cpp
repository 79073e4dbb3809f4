#if defined(__x86_64__)
#pragma GCC target("avx2")

#include "gemm_thin_template.h"
#include "lanes_avx2.h"

namespace mpctensor::ring {

const GemmKernels gemm_avx2 = kernels_of<Lanes, LanesSum, 2, 8>();

}  // namespace mpctensor::ring
#endif
