#include "gemm_thin_template.h"

namespace mpctensor::ring {

const GemmKernels gemm_portable = kernels_of<Lane, LaneSum, 2, 4>();

}  // namespace mpctensor::ring
