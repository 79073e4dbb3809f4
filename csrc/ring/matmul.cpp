#include "matmul.h"

#include "offsets.h"

namespace mpctensor::ring {
namespace {

Offsets batch_offsets(const std::vector<int64_t>& batch, const std::vector<int64_t>& strides) {
  Offsets out{0};
  for (std::size_t d = 0; d < batch.size(); ++d) out = nested(out, steps(batch[d], strides[d]));
  return out;
}

bool broadcast(const Offsets& offsets) {
  for (int64_t o : offsets)
    if (o != 0) return false;
  return true;
}

}  // namespace

void matmul(const std::vector<int64_t>& batch, int64_t m, int64_t k, int64_t n, const Stack& a,
            const Stack& b, uint64_t* out, Update update, int threads) {
  const std::size_t rank = batch.size();
  Offsets a_batch = batch_offsets(batch, a.strides);
  Offsets b_batch = batch_offsets(batch, b.strides);
  Offsets out_batch = steps(static_cast<int64_t>(a_batch.size()), m * n);
  Offsets a_row = steps(m, a.strides[rank]), out_row = steps(m, n);
  const Offsets a_col = steps(k, a.strides[rank + 1]);
  const Offsets b_row = steps(k, b.strides[rank]), b_col = steps(n, b.strides[rank + 1]);
  const Offsets out_col = steps(n, 1);
  if (out_batch.size() > 1 && broadcast(b_batch)) {  // one b for all: the batch joins the rows
    a_row = nested(a_batch, a_row);
    out_row = nested(out_batch, out_row);
    a_batch = b_batch = out_batch = {0};
  }
  gemm(static_cast<int64_t>(a_row.size()), n, k, {a.data, a_row.data(), a_col.data()},
       {b.data, b_row.data(), b_col.data()}, {out, out_row.data(), out_col.data()},
       {static_cast<int64_t>(out_batch.size()), a_batch.data(), b_batch.data(), out_batch.data()},
       update, threads);
}

}  // namespace mpctensor::ring
