// Fused element-wise share formulas in Z_2^64: one pass over contiguous arrays.
// Bit i of a plane is bit (i & 63) of word (i >> 6); below, b is that bit and s = 1 - 2 b.
#pragma once

#include <cstdint>

namespace mpctensor::ring {

// out = cx y - rx cy + z: a share of a product, from the openings cx and cy.
struct ProductShare {
  const uint64_t *cx, *y, *rx, *cy, *z;
  uint64_t* out;
};

// out = [c c] - 2 c r + z; the public c c at the first party only.
struct SquareShare {
  const uint64_t *c, *r, *z;
  uint64_t* out;
  bool first;
};

// out = b g + s (cg beta - beta_rg): a share of the bit times g.
struct BitProductShare {
  const uint64_t *plane, *g, *cg, *beta, *beta_rg;
  uint64_t* out;
};

// out = [b] + s beta: a share of the bit; the public b at the first party only.
struct BitShare {
  const uint64_t *plane, *beta;
  uint64_t* out;
  bool first;
};

// Evaluates elements 0 .. n - 1; `out` may be one of the operands.
void pointwise(const ProductShare& formula, int64_t n, int threads);
void pointwise(const SquareShare& formula, int64_t n, int threads);
void pointwise(const BitProductShare& formula, int64_t n, int threads);
void pointwise(const BitShare& formula, int64_t n, int threads);

}  // namespace mpctensor::ring
