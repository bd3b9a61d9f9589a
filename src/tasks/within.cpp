#include "tasks/within.h"

#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/segment_reduce.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace hone {
namespace {

at::Tensor ends_on(const at::Tensor& x, const at::Tensor& ends) {
  return ends.to(x.device(), at::kLong);
}

at::Tensor reduce_within(const at::Tensor& x, const at::Tensor& ends, const char* how) {
  return at::segment_reduce(x, how, /*lengths=*/{}, /*indices=*/{}, ends_on(x, ends), /*axis=*/0,
                            /*unsafe=*/true);
}

}  // namespace

at::Tensor spread_within(const at::Tensor& x, const at::Tensor& ends, int64_t rows) {
  const std::optional<int64_t> known = rows;  // nothing is asked of a GPU
  return x.index_select(0, at::repeat_interleave(ends_on(x, ends).diff(), known));
}

at::Tensor mean_within(const at::Tensor& x, const at::Tensor& ends) {
  return reduce_within(x, ends, "mean");
}

at::Tensor log_softmax_within(const at::Tensor& x, const at::Tensor& ends) {
  const int64_t rows = x.size(0);
  const at::Tensor highest = reduce_within(x.detach(), ends, "max");
  const at::Tensor shifted = x - spread_within(highest, ends, rows);
  return shifted - spread_within(reduce_within(shifted.exp(), ends, "sum").log(), ends, rows);
}

std::vector<double> probabilities_of(const at::Tensor& x) {
  const auto* values = x.const_data_ptr<float>();
  const double top = *std::max_element(values, values + x.numel());
  std::vector<double> p(static_cast<size_t>(x.numel()));
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += p[i] = std::exp(values[i] - top);
  for (double& value : p) value /= sum;
  return p;
}

}  // namespace hone
