// Each map is one gemm (conv_input: one per residue class of the stride) whose operands are index
// grids over a zero-padded copy of the image: coordinates of kernel tap and position add, so their
// offsets do too, and im2col is never materialised. The batch joins the positions.

#include "conv.h"

#include <algorithm>
#include <cstring>

#include "../parallel.h"
#include "offsets.h"

namespace mpctensor::ring {
namespace {

int64_t product(const std::vector<int64_t>& sizes) {
  int64_t out = 1;
  for (int64_t s : sizes) out *= s;
  return out;
}

std::vector<int64_t> pitches(const std::vector<int64_t>& extent) {
  std::vector<int64_t> pitch(extent.size(), 1);
  for (std::size_t d = extent.size(); d-- > 1;) pitch[d - 1] = pitch[d] * extent[d];
  return pitch;
}

// Offsets of all points of a box in row-major order, from the offsets along each dimension.
Offsets box(const std::vector<Offsets>& axes) {
  Offsets out{0};
  for (const Offsets& axis : axes) out = nested(out, axis);
  return out;
}

// Offsets of the points of a box that are `step` apart, in an image with these pitches.
Offsets lattice(const std::vector<int64_t>& counts, const std::vector<int64_t>& step,
                const std::vector<int64_t>& pitch) {
  std::vector<Offsets> axes;
  for (std::size_t d = 0; d < counts.size(); ++d)
    axes.push_back(steps(counts[d], step[d] * pitch[d]));
  return box(axes);
}

// `planes` images of `size`, each inside a plane of `extent` that starts `before` zeros earlier.
// Refers to the original when no zeros are needed.
class Padded {
 public:
  Padded(const uint64_t* image, int64_t planes, const std::vector<int64_t>& size,
         const std::vector<int64_t>& before, const std::vector<int64_t>& extent, int threads)
      : data_(image), pitch_(pitches(extent)), plane_(product(extent)) {
    if (size == extent) return;
    copy_.resize(planes * plane_);
    data_ = copy_.data();
    if (product(size) == 0) return;  // nothing but zeros, yet the kernel reads them
    const std::size_t last = size.size() - 1;
    const std::vector<int64_t> outer(size.begin(), size.end() - 1);
    const std::vector<int64_t> ones(last, 1);
    const Offsets lines = lattice(outer, ones, pitch_);
    int64_t start = 0;
    for (std::size_t d = 0; d <= last; ++d) start += before[d] * pitch_[d];
    const int64_t rows = static_cast<int64_t>(lines.size()), width = size[last];
    parallel_for(0, planes * rows, 1 + 65536 / width, threads, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        std::memcpy(copy_.data() + r / rows * plane_ + start + lines[r % rows], image + r * width,
                    width * sizeof(uint64_t));
    });
  }

  const uint64_t* data() const { return data_; }
  const std::vector<int64_t>& pitch() const { return pitch_; }
  int64_t plane() const { return plane_; }

 private:
  const uint64_t* data_;
  std::vector<int64_t> pitch_;
  int64_t plane_;
  std::vector<uint64_t> copy_;
};

Padded padded_input(const uint64_t* x, const ConvShape& s, int threads) {
  std::vector<int64_t> extent(s.rank());
  for (std::size_t d = 0; d < s.rank(); ++d)
    extent[d] = std::max(s.size[d] + s.padding[d],
                         (s.output[d] - 1) * s.stride[d] + (s.kernel[d] - 1) * s.dilation[d] + 1);
  return Padded(x, s.batch * s.channels, s.size, s.padding, extent, threads);
}

// A matrix for each group, as tables of offsets.
template <class T>
struct Matrices {
  T* data;
  Offsets row, col, group;

  Grid<T> grid() const { return {data, row.data(), col.data()}; }
  Matrices transposed() const { return {data, col, row, group}; }
};

// out = [out +] (+-) a b, group by group.
void multiply(const Matrices<const uint64_t>& a, const Matrices<const uint64_t>& b,
              const Matrices<uint64_t>& out, Update update, int threads) {
  const auto size = [](const Offsets& offsets) { return static_cast<int64_t>(offsets.size()); };
  const Batch groups{size(a.group), a.group.data(), b.group.data(), out.group.data()};
  gemm(size(a.row), size(b.col), size(a.col), a.grid(), b.grid(), out.grid(), groups, update,
       threads);
}

// The kernel as (filters, channels x taps).
template <class T>
Matrices<T> kernel_matrices(T* w, const ConvShape& s) {
  const int64_t inner = s.group_channels() * product(s.kernel), filters = s.group_filters();
  return {w, steps(filters, inner), steps(inner, 1), steps(s.groups, filters * inner)};
}

// The result, or its gradient, as (filters, batch x positions).
template <class T>
Matrices<T> output_matrices(T* y, const ConvShape& s) {
  const int64_t points = product(s.output), filters = s.group_filters();
  return {y, steps(filters, points), nested(steps(s.batch, s.filters * points), steps(points, 1)),
          steps(s.groups, filters * points)};
}

// The padded input as (channels x taps, batch x positions): im2col, never written down.
Matrices<const uint64_t> patch_matrices(const Padded& image, const ConvShape& s) {
  const int64_t plane = image.plane(), channels = s.group_channels();
  const Offsets tap = lattice(s.kernel, s.dilation, image.pitch());
  const Offsets position = lattice(s.output, s.stride, image.pitch());
  return {image.data(), nested(steps(channels, plane), tap),
          nested(steps(s.batch, s.channels * plane), position), steps(s.groups, channels * plane)};
}

// One residue class of the input positions along one dimension: position = residue + stride * q for
// q < count meets the gradient at q + shift[j] through kernel tap tap[j].
struct Residue {
  int64_t residue, count;
  std::vector<int64_t> tap, shift;
};

std::vector<Residue> residues(const ConvShape& s, std::size_t d) {
  std::vector<Residue> out;
  for (int64_t residue = 0; residue < std::min(s.stride[d], s.size[d]); ++residue) {
    Residue r{residue, (s.size[d] - residue + s.stride[d] - 1) / s.stride[d], {}, {}};
    for (int64_t tap = 0; tap < s.kernel[d]; ++tap) {
      const int64_t distance = residue + s.padding[d] - tap * s.dilation[d];
      if (distance % s.stride[d] != 0) continue;
      r.tap.push_back(tap);
      r.shift.push_back(distance / s.stride[d]);
    }
    out.push_back(r);
  }
  return out;
}

Offsets scaled(const std::vector<int64_t>& values, int64_t shift, int64_t factor) {
  Offsets out;
  for (int64_t v : values) out.push_back((v + shift) * factor);
  return out;
}

// The residues of every dimension, and the gradient padded so that all of them find their zeros.
struct Scatter {
  std::vector<std::vector<Residue>> axes;
  std::vector<int64_t> before, extent;

  explicit Scatter(const ConvShape& s) : before(s.rank(), 0), extent(s.output) {
    for (std::size_t d = 0; d < s.rank(); ++d) {
      axes.push_back(residues(s, d));
      for (const Residue& r : axes[d])
        for (int64_t shift : r.shift) {
          before[d] = std::max(before[d], -shift);
          extent[d] = std::max(extent[d], shift + r.count);
        }
      extent[d] += before[d];
    }
  }

  int64_t classes() const {
    int64_t count = 1;
    for (const auto& axis : axes) count *= static_cast<int64_t>(axis.size());
    return count;
  }

  // One residue a dimension.
  std::vector<Residue> at(int64_t index) const {
    std::vector<Residue> out;
    for (const auto& axis : axes) {
      out.push_back(axis[index % axis.size()]);
      index /= static_cast<int64_t>(axis.size());
    }
    return out;
  }
};

}  // namespace

void conv(const uint64_t* x, const uint64_t* w, uint64_t* y, const ConvShape& s, Update update,
          int threads) {
  const Padded image = padded_input(x, s, threads);
  multiply(kernel_matrices(w, s), patch_matrices(image, s), output_matrices(y, s), update, threads);
}

void conv_weight(const uint64_t* x, const uint64_t* g, uint64_t* w_grad, const ConvShape& s,
                 Update update, int threads) {
  const Padded image = padded_input(x, s, threads);
  multiply(output_matrices(g, s), patch_matrices(image, s).transposed(), kernel_matrices(w_grad, s),
           update, threads);
}

void conv_input(const uint64_t* g, const uint64_t* w, uint64_t* x_grad, const ConvShape& s,
                Update update, int threads) {
  const Scatter scatter(s);
  const Padded image(g, s.batch * s.filters, s.output, scatter.before, scatter.extent, threads);
  const int64_t plane = image.plane(), points = product(s.size), taps = product(s.kernel);
  const int64_t channels = s.group_channels(), filters = s.group_filters();
  const std::vector<int64_t> kernel_pitch = pitches(s.kernel), size_pitch = pitches(s.size);
  for (int64_t index = 0; index < scatter.classes(); ++index) {
    std::vector<Offsets> tap, shift, position, cell;
    for (const Residue& r : scatter.at(index)) {
      const std::size_t d = tap.size();
      const int64_t pitch = image.pitch()[d];
      tap.push_back(scaled(r.tap, 0, kernel_pitch[d]));
      shift.push_back(scaled(r.shift, scatter.before[d], pitch));
      position.push_back(steps(r.count, pitch));
      cell.push_back(scaled(steps(r.count, s.stride[d]), r.residue, size_pitch[d]));
    }
    multiply(
        {w, steps(channels, taps), nested(steps(filters, channels * taps), box(tap)),
         steps(s.groups, filters * channels * taps)},
        {image.data(), nested(steps(filters, plane), box(shift)),
         nested(steps(s.batch, s.filters * plane), box(position)),
         steps(s.groups, filters * plane)},
        {x_grad, steps(channels, points), nested(steps(s.batch, s.channels * points), box(cell)),
         steps(s.groups, channels * points)},
        update, threads);
  }
}

}  // namespace mpctensor::ring
