// Convolution in Z_2^64 and its two backward maps, any number of spatial dimensions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gemm.h"

namespace mpctensor::ring {

// x (batch, channels, *size), w (filters, channels / groups, *kernel), y (batch, filters, *output);
// padding is zeros, the same on both sides. One entry a spatial dimension in every vector.
struct ConvShape {
  int64_t batch, channels, filters, groups;
  std::vector<int64_t> size, kernel, output, stride, padding, dilation;

  std::size_t rank() const { return size.size(); }
  int64_t group_channels() const { return channels / groups; }
  int64_t group_filters() const { return filters / groups; }
};

// All operands are contiguous; every map computes out = [out +] (+-) result mod 2^64.
// y = x * w
void conv(const uint64_t* x, const uint64_t* w, uint64_t* y, const ConvShape& shape, Update update,
          int threads);
// The gradient with respect to x, for a gradient g of the shape of y.
void conv_input(const uint64_t* g, const uint64_t* w, uint64_t* x_grad, const ConvShape& shape,
                Update update, int threads);
// The gradient with respect to w.
void conv_weight(const uint64_t* x, const uint64_t* g, uint64_t* w_grad, const ConvShape& shape,
                 Update update, int threads);

}  // namespace mpctensor::ring
