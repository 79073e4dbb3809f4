// Batched ring product of strided matrices.
#pragma once

#include <cstdint>
#include <vector>

#include "gemm.h"

namespace mpctensor::ring {

// A stack of matrices: strides in elements, one per batch dimension (0 = broadcast), then row,
// column.
struct Stack {
  const uint64_t* data;
  std::vector<int64_t> strides;
};

// out (*batch, m, n), contiguous, = [out +] (+-) a (*batch, m, k) @ b (*batch, k, n) mod 2^64.
void matmul(const std::vector<int64_t>& batch, int64_t m, int64_t k, int64_t n, const Stack& a,
            const Stack& b, uint64_t* out, Update update, int threads);

}  // namespace mpctensor::ring
