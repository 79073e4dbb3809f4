// Python's door to the kernels: the module mpctensor._C.
//
// One bind_<room>() a folder of csrc/. Pointers arrive as std::uintptr_t and have been checked
// (type, contiguity, size) by mpctensor/kernels/<room>.py, the only caller. Every kernel runs with
// the GIL released and takes the number of threads as its last argument.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "bounds/bounds.h"
#include "compare/compare.h"
#include "cpu.h"
#include "prg/prg.h"
#include "ring/conv.h"
#include "ring/join.h"
#include "ring/matmul.h"
#include "ring/pointwise.h"
#include "truncate/truncate.h"

namespace py = pybind11;

namespace mpctensor {
namespace {

// ---------------------------------------------------------------------------------------- cpu
void bind_cpu(py::module_& m) {
  m.def("isa", &isa_name);
  m.def("force_isa", &force_isa, py::arg("name"));
}

// --------------------------------------------------------------------------------------- ring
const std::uint64_t* words(std::uintptr_t pointer) {
  return reinterpret_cast<const std::uint64_t*>(pointer);
}
std::uint64_t* mutable_words(std::uintptr_t pointer) {
  return reinterpret_cast<std::uint64_t*>(pointer);
}

using Ints = std::vector<std::int64_t>;
using Convolution = void (*)(const std::uint64_t*, const std::uint64_t*, std::uint64_t*,
                             const ring::ConvShape&, ring::Update, int);

// sizes: batch, channels, filters, groups; the other lists have one entry a spatial dimension.
template <Convolution map>
void ring_convolution(std::uintptr_t out, std::uintptr_t first, std::uintptr_t second,
                      const std::array<std::int64_t, 4>& sizes, const Ints& size,
                      const Ints& kernel, const Ints& output, const Ints& stride,
                      const Ints& padding, const Ints& dilation, bool accumulate, bool negate,
                      int threads) {
  const ring::ConvShape shape{sizes[0], sizes[1], sizes[2], sizes[3], size,
                              kernel,   output,   stride,   padding,  dilation};
  map(words(first), words(second), mutable_words(out), shape, {accumulate, negate}, threads);
}

void ring_matmul(std::uintptr_t out, std::uintptr_t a, std::uintptr_t b, const Ints& batch,
                 std::int64_t m, std::int64_t k, std::int64_t n, const Ints& a_strides,
                 const Ints& b_strides, bool accumulate, bool negate, int threads) {
  ring::matmul(batch, m, k, n, {words(a), a_strides}, {words(b), b_strides}, mutable_words(out),
               {accumulate, negate}, threads);
}

void ring_product_share(std::uintptr_t out, std::uintptr_t cx, std::uintptr_t y, std::uintptr_t rx,
                        std::uintptr_t cy, std::uintptr_t z, std::int64_t n, int threads) {
  const ring::ProductShare formula{words(cx), words(y), words(rx),
                                   words(cy), words(z), mutable_words(out)};
  ring::pointwise(formula, n, threads);
}

void ring_square_share(std::uintptr_t out, std::uintptr_t c, std::uintptr_t r, std::uintptr_t z,
                       bool first, std::int64_t n, int threads) {
  const ring::SquareShare formula{words(c), words(r), words(z), mutable_words(out), first};
  ring::pointwise(formula, n, threads);
}

void ring_bit_product_share(std::uintptr_t out, std::uintptr_t plane, std::uintptr_t g,
                            std::uintptr_t cg, std::uintptr_t beta, std::uintptr_t beta_rg,
                            std::int64_t n, int threads) {
  const ring::BitProductShare formula{words(plane), words(g),       words(cg),
                                      words(beta),  words(beta_rg), mutable_words(out)};
  ring::pointwise(formula, n, threads);
}

void ring_bit_share(std::uintptr_t out, std::uintptr_t plane, std::uintptr_t beta, bool first,
                    std::int64_t n, int threads) {
  const ring::BitShare formula{words(plane), words(beta), mutable_words(out), first};
  ring::pointwise(formula, n, threads);
}

// The message is bytes that Python holds; short ones are not worth letting others run.
void ring_join(std::uintptr_t out, const py::buffer& message, bool add) {
  const py::buffer_info info = message.request();
  const auto* bytes = static_cast<const unsigned char*>(info.ptr);
  const std::int64_t n = info.size * info.itemsize / 8;
  if (n < 4096) return ring::join(mutable_words(out), bytes, n, add);
  const py::gil_scoped_release others_run;
  ring::join(mutable_words(out), bytes, n, add);
}

void bind_ring(py::module_& m) {
  using without_gil = py::call_guard<py::gil_scoped_release>;
  m.def("ring_matmul", &ring_matmul, without_gil());
  m.def("ring_conv", &ring_convolution<ring::conv>, without_gil());
  m.def("ring_conv_input", &ring_convolution<ring::conv_input>, without_gil());
  m.def("ring_conv_weight", &ring_convolution<ring::conv_weight>, without_gil());
  m.def("ring_product_share", &ring_product_share, without_gil());
  m.def("ring_square_share", &ring_square_share, without_gil());
  m.def("ring_bit_product_share", &ring_bit_product_share, without_gil());
  m.def("ring_bit_share", &ring_bit_share, without_gil());
  m.def("ring_join", &ring_join);
}

// ---------------------------------------------------------------------------------------- prg
// Keys arrive as the bytes object's own memory: they are not copied.
const unsigned char* key_bytes(std::string_view keys) {
  return reinterpret_cast<const unsigned char*>(keys.data());
}

int key_count(std::string_view keys) { return static_cast<int>(keys.size() / prg::kKeyBytes); }

void prg_combine(std::uintptr_t out, std::uintptr_t base, std::string_view keys,
                 std::uint64_t stream, std::uint64_t start, std::int64_t n, int op, int threads) {
  prg::combine(mutable_words(out), words(base), key_bytes(keys), key_count(keys), stream, start, n,
               static_cast<prg::Op>(op), threads);
}

void aes_blocks(std::uintptr_t out, const std::string& implementation, std::string_view key,
                std::uint64_t stream, std::uint64_t first, std::int64_t blocks) {
  prg::aes_blocks(implementation, key_bytes(key), stream, first, blocks, mutable_words(out));
}

// Pointer (0: PRG output), key, stream.
using RawSource = std::tuple<std::uintptr_t, std::string_view, std::uint64_t>;

prg::Source source(const RawSource& raw) {
  const auto& [pointer, key, stream] = raw;
  return {words(pointer), key_bytes(key), stream};
}

void bind_prg(py::module_& m) {
  using without_gil = py::call_guard<py::gil_scoped_release>;
  m.def("prg_combine", &prg_combine, without_gil());
  m.def("aes_blocks", &aes_blocks);
}

// ------------------------------------------------------------------------------------- bounds
std::uint64_t stream(std::uintptr_t in, std::int64_t n, std::uintptr_t out, std::int64_t m,
                     int threads) {
  return bounds::stream(words(in), n, mutable_words(out), m, threads);
}

std::uint64_t aes(std::string_view key, std::int64_t blocks, int threads) {
  return bounds::aes(key_bytes(key), blocks, threads);
}

void bind_bounds(py::module_& m) {
  using without_gil = py::call_guard<py::gil_scoped_release>;
  m.def("stream", &stream, without_gil());
  m.def("aes", &aes, without_gil());
}

// ----------------------------------------------------------------------------------- truncate
void wrap_open(std::uintptr_t out, std::uintptr_t x, std::uint64_t offset, const RawSource& mask,
               std::int64_t n, int threads) {
  truncate::wrap_open(words(x), offset, source(mask), n, mutable_words(out), threads);
}

void wrap_deal(std::uintptr_t out, std::uintptr_t a, std::uintptr_t b, std::string_view key,
               std::uint64_t stream, std::int64_t n, int threads) {
  truncate::wrap_deal(words(a), words(b), key_bytes(key), stream, n, mutable_words(out), threads);
}

void wrap_shift(std::uintptr_t out, std::uintptr_t x, int party, std::uintptr_t e0,
                std::uintptr_t e1, const RawSource& own, const RawSource& product, int f,
                std::int64_t n, int threads) {
  const truncate::Wrap wrap{party, words(e0), words(e1), source(own), source(product)};
  truncate::wrap_shift(wrap, words(x), f, n, mutable_words(out), threads);
}

void wrap_divide(std::uintptr_t out, std::uintptr_t x, int party, std::uintptr_t e0,
                 std::uintptr_t e1, const RawSource& own, const RawSource& product, std::uint64_t d,
                 std::uintptr_t coins, std::int64_t n, int threads) {
  const truncate::Wrap wrap{party, words(e0), words(e1), source(own), source(product)};
  truncate::wrap_divide(wrap, words(x), d, words(coins), n, mutable_words(out), threads);
}

void open_shift_deal(std::uintptr_t rho, std::uintptr_t mu, std::uintptr_t r, int f,
                     std::string_view keys, std::uint64_t stream, std::int64_t n, int threads) {
  truncate::open_shift_deal(words(r), f, {key_bytes(keys), key_count(keys), stream}, n,
                            mutable_words(rho), mutable_words(mu), threads);
}

void open_shift(std::uintptr_t out, std::uintptr_t c, const RawSource& rho, const RawSource& mu,
                int f, bool first, std::int64_t n, int threads) {
  truncate::open_shift(words(c), source(rho), source(mu), f, first, n, mutable_words(out), threads);
}

void open_divide_deal(std::uintptr_t v1, std::uintptr_t v0, std::uintptr_t r, std::uint64_t d,
                      std::string_view keys, std::uint64_t stream, std::int64_t n, int threads) {
  truncate::open_divide_deal(words(r), d, {key_bytes(keys), key_count(keys), stream}, n,
                             mutable_words(v1), mutable_words(v0), threads);
}

void open_divide(std::uintptr_t out, std::uintptr_t c, const RawSource& v1, const RawSource& v0,
                 std::uint64_t d, bool first, std::int64_t n, int threads) {
  truncate::open_divide(words(c), source(v1), source(v0), d, first, n, mutable_words(out), threads);
}

void bind_truncate(py::module_& m) {
  using without_gil = py::call_guard<py::gil_scoped_release>;
  m.def("wrap_offset", &truncate::offset_of);
  m.def("wrap_open", &wrap_open, without_gil());
  m.def("wrap_deal", &wrap_deal, without_gil());
  m.def("wrap_shift", &wrap_shift, without_gil());
  m.def("wrap_divide", &wrap_divide, without_gil());
  m.def("open_shift_deal", &open_shift_deal, without_gil());
  m.def("open_shift", &open_shift, without_gil());
  m.def("open_divide_deal", &open_divide_deal, without_gil());
  m.def("open_divide", &open_divide, without_gil());
}

// ------------------------------------------------------------------------------------ compare
// Keys of several parties, one after the other, and the stream.
using RawStreams = std::tuple<std::string_view, std::uint64_t>;

compare::Streams streams(const RawStreams& raw) {
  const auto& [keys, stream] = raw;
  return {key_bytes(keys), key_count(keys), stream};
}

void rows_deal(std::uintptr_t out, int kind, std::uintptr_t r, const RawStreams& others,
               std::int64_t n, int threads) {
  compare::rows_deal(static_cast<compare::Kind>(kind), words(r), streams(others), n,
                     mutable_words(out), threads);
}

void lookup(std::uintptr_t message, std::uintptr_t tops, int kind, std::uintptr_t c,
            std::int64_t threshold, const RawSource& rows, const RawSource& masks, bool first,
            std::int64_t n, int threads) {
  compare::lookup(static_cast<compare::Kind>(kind), words(c), threshold, source(rows),
                  source(masks), first, n, mutable_words(message), mutable_words(tops), threads);
}

void merge_deal(std::uintptr_t out, int kind, int level, const RawStreams& masks,
                const RawStreams& others, std::int64_t n, int threads) {
  compare::merge_deal(static_cast<compare::Kind>(kind), level, streams(masks), streams(others), n,
                      mutable_words(out), threads);
}

void merge(std::uintptr_t message, std::uintptr_t next_tops, int kind, int level,
           std::uintptr_t opened, std::uintptr_t tops, const RawSource& masks,
           const RawSource& monomials, const RawSource& next_masks, bool first, std::int64_t n,
           int threads) {
  const compare::Merge state{words(opened),     words(tops),        source(masks),
                             source(monomials), source(next_masks), first};
  compare::merge(static_cast<compare::Kind>(kind), level, state, n, mutable_words(message),
                 mutable_words(next_tops), threads);
}

void bit_hat(std::uintptr_t out, std::uintptr_t c, std::int64_t threshold, std::uintptr_t opened,
             bool flip, std::int64_t n, int threads) {
  compare::bit_hat(words(c), threshold, words(opened), flip, n, mutable_words(out), threads);
}

void beta_deal(std::uintptr_t out, std::uintptr_t r, const RawStreams& masks, std::int64_t n,
               int threads) {
  compare::beta_deal(words(r), streams(masks), n, mutable_words(out), threads);
}

void bit_values(std::uintptr_t out, std::uintptr_t plane, const RawStreams& others, std::int64_t n,
                int threads) {
  compare::bit_values(words(plane), streams(others), n, mutable_words(out), threads);
}

void pack(std::uintptr_t out, std::uintptr_t bits, std::int64_t n, int threads) {
  compare::pack(words(bits), n, mutable_words(out), threads);
}

void select_deal(std::uintptr_t beta_value, std::uintptr_t beta_r, std::uintptr_t beta,
                 std::uintptr_t r, const RawStreams& others, std::int64_t n, int threads) {
  compare::select_deal(words(beta), words(r), streams(others), n, mutable_words(beta_value),
                       mutable_words(beta_r), threads);
}

void select_shift_deal(const std::array<std::uintptr_t, compare::kShiftValues>& out,
                       std::uintptr_t beta, std::uintptr_t r, int f, const RawStreams& others,
                       std::int64_t n, int threads) {
  std::uint64_t* const parts[compare::kShiftValues] = {mutable_words(out[0]), mutable_words(out[1]),
                                                       mutable_words(out[2]), mutable_words(out[3]),
                                                       mutable_words(out[4])};
  compare::select_shift_deal(words(beta), words(r), f, streams(others), n, parts, threads);
}

void select_share(std::uintptr_t out, std::uintptr_t hat, std::uintptr_t c, const RawSource& r,
                  const RawSource& beta, const RawSource& beta_r, bool first, std::int64_t n,
                  int threads) {
  compare::select_share(words(hat), words(c), source(r), source(beta), source(beta_r), first, n,
                        mutable_words(out), threads);
}

void select_shift_share(std::uintptr_t out, std::uintptr_t hat, std::uintptr_t c, int f,
                        const std::array<RawSource, compare::kShiftValues>& values, bool first,
                        std::int64_t n, int threads) {
  const prg::Source sources[compare::kShiftValues] = {source(values[0]), source(values[1]),
                                                      source(values[2]), source(values[3]),
                                                      source(values[4])};
  compare::select_shift_share(words(hat), words(c), f, sources, first, n, mutable_words(out),
                              threads);
}

void bind_compare(py::module_& m) {
  using without_gil = py::call_guard<py::gil_scoped_release>;
  m.def("rows_deal", &rows_deal, without_gil());
  m.def("lookup", &lookup, without_gil());
  m.def("merge_deal", &merge_deal, without_gil());
  m.def("merge", &merge, without_gil());
  m.def("bit_hat", &bit_hat, without_gil());
  m.def("beta_deal", &beta_deal, without_gil());
  m.def("bit_values", &bit_values, without_gil());
  m.def("pack", &pack, without_gil());
  m.def("select_deal", &select_deal, without_gil());
  m.def("select_shift_deal", &select_shift_deal, without_gil());
  m.def("select_share", &select_share, without_gil());
  m.def("select_shift_share", &select_shift_share, without_gil());
}

}  // namespace
}  // namespace mpctensor

PYBIND11_MODULE(_C, m) {
  using namespace mpctensor;
  init_isa();
  bind_cpu(m);
  bind_ring(m);
  bind_prg(m);
  bind_bounds(m);
  bind_truncate(m);
  bind_compare(m);
}
