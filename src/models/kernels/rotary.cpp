#include "models/kernels/rotary.h"

#include <ATen/ATen.h>

#include "models/kernels/tensors.h"

namespace hone::kernels {

at::Tensor rotary_frequencies(double theta, int64_t columns) {
  TORCH_CHECK(theta > 0 && columns % 2 == 0,
              "[rotary] expected theta > 0 and an even number of "
              "columns, received ",
              theta, " and ", columns);
  return at::pow(theta, at::arange(0, columns, 2, at::kFloat) / columns).reciprocal();
}

Rotary rotary_of(const at::Tensor& frequencies, int64_t positions, double factor) {
  const at::Tensor angles =
      at::arange(positions, frequencies.options()).unsqueeze(1) * frequencies.unsqueeze(0);
  return {angles.cos() * factor, angles.sin() * factor};
}

at::Tensor rotate(const at::Tensor& x, const at::Tensor& positions, const Rotary& rotary) {
  const at::ScalarType type = is_bf16(x) ? at::kFloat : x.scalar_type();
  const int64_t pairs = rotary.cosine.size(1);
  const auto angles = [&](const at::Tensor& table) {
    return table.index_select(0, positions).unsqueeze(1).to(type);
  };
  const at::Tensor cosine = angles(rotary.cosine), sine = angles(rotary.sine), wide = x.to(type),
                   a = wide.narrow(2, 0, pairs), b = wide.narrow(2, pairs, pairs),
                   rest = wide.slice(2, 2 * pairs);
  return at::cat({a * cosine - b * sine, b * cosine + a * sine, rest}, 2).to(x.scalar_type());
}

}  // namespace hone::kernels
