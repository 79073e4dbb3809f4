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
    if (size == extent || planes * product(size) == 0) return;
    copy_.resize(planes * plane_);
    data_ = copy_.data();
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

void run(const Offsets& rows, const Offsets& inner_a, const Offsets& inner_b,
         const Offsets& columns, const uint64_t* a, const uint64_t* b, uint64_t* out,
         const Offsets& out_row, const Offsets& out_col, const Offsets (&group)[3], Update update,
         int threads) {
  gemm(static_cast<int64_t>(rows.size()), static_cast<int64_t>(columns.size()),
       static_cast<int64_t>(inner_a.size()), {a, rows.data(), inner_a.data()},
       {b, inner_b.data(), columns.data()}, {out, out_row.data(), out_col.data()},
       {static_cast<int64_t>(group[0].size()), group[0].data(), group[1].data(), group[2].data()},
       update, threads);
}

}  // namespace

void conv(const uint64_t* x, const uint64_t* w, uint64_t* y, const ConvShape& s, Update update,
          int threads) {
  const Padded image = padded_input(x, s, threads);
  const int64_t plane = image.plane(), points = product(s.output), taps = product(s.kernel);
  const int64_t channels = s.group_channels(), filters = s.group_filters();
  const Offsets tap = lattice(s.kernel, s.dilation, image.pitch());
  const Offsets position = lattice(s.output, s.stride, image.pitch());
  run(steps(filters, channels * taps), steps(channels * taps, 1),
      nested(steps(channels, plane), tap), nested(steps(s.batch, s.channels * plane), position), w,
      image.data(), y, steps(filters, points),
      nested(steps(s.batch, s.filters * points), steps(points, 1)),
      {steps(s.groups, filters * channels * taps), steps(s.groups, channels * plane),
       steps(s.groups, filters * points)},
      update, threads);
}

void conv_weight(const uint64_t* x, const uint64_t* g, uint64_t* w_grad, const ConvShape& s,
                 Update update, int threads) {
  const Padded image = padded_input(x, s, threads);
  const int64_t plane = image.plane(), points = product(s.output), taps = product(s.kernel);
  const int64_t channels = s.group_channels(), filters = s.group_filters();
  const Offsets tap = lattice(s.kernel, s.dilation, image.pitch());
  const Offsets position = lattice(s.output, s.stride, image.pitch());
  run(steps(filters, points), nested(steps(s.batch, s.filters * points), steps(points, 1)),
      nested(steps(s.batch, s.channels * plane), position), nested(steps(channels, plane), tap), g,
      image.data(), w_grad, steps(filters, channels * taps), steps(channels * taps, 1),
      {steps(s.groups, filters * points), steps(s.groups, channels * plane),
       steps(s.groups, filters * channels * taps)},
      update, threads);
}

void conv_input(const uint64_t* g, const uint64_t* w, uint64_t* x_grad, const ConvShape& s,
                Update update, int threads) {
  const std::size_t rank = s.rank();
  std::vector<std::vector<Residue>> axes;
  std::vector<int64_t> before(rank, 0), extent = s.output;
  for (std::size_t d = 0; d < rank; ++d) {
    axes.push_back(residues(s, d));
    int64_t end = extent[d];
    for (const Residue& r : axes[d])
      for (int64_t shift : r.shift) {
        before[d] = std::max(before[d], -shift);
        end = std::max(end, shift + r.count);
      }
    extent[d] = before[d] + end;
  }
  const Padded image(g, s.batch * s.filters, s.output, before, extent, threads);
  const int64_t plane = image.plane(), points = product(s.size), taps = product(s.kernel);
  const int64_t channels = s.group_channels(), filters = s.group_filters();
  const std::vector<int64_t> kernel_pitch = pitches(s.kernel), size_pitch = pitches(s.size);
  const Offsets group[3] = {steps(s.groups, filters * channels * taps),
                            steps(s.groups, filters * plane), steps(s.groups, channels * points)};
  int64_t classes = 1;
  for (const auto& axis : axes) classes *= static_cast<int64_t>(axis.size());
  for (int64_t index = 0; index < classes; ++index) {
    std::vector<Offsets> tap(rank), shift(rank), position(rank), cell(rank);
    int64_t rest = index;
    for (std::size_t d = rank; d-- > 0;) {
      const Residue& r = axes[d][rest % axes[d].size()];
      rest /= static_cast<int64_t>(axes[d].size());
      tap[d] = scaled(r.tap, 0, kernel_pitch[d]);
      shift[d] = scaled(r.shift, before[d], image.pitch()[d]);
      position[d] = steps(r.count, image.pitch()[d]);
      cell[d] = nested({r.residue * size_pitch[d]}, steps(r.count, s.stride[d] * size_pitch[d]));
    }
    run(steps(channels, taps), nested(steps(filters, channels * taps), box(tap)),
        nested(steps(filters, plane), box(shift)),
        nested(steps(s.batch, s.filters * plane), box(position)), w, image.data(), x_grad,
        steps(channels, points), nested(steps(s.batch, s.channels * points), box(cell)), group,
        update, threads);
  }
}

}  // namespace mpctensor::ring
