#include "models/kernels/rotary.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "models/kernels/rotary_simd.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

// The kernel has no backward pass.
bool can_rotate_rows(const at::Tensor& x, const Rotary& rotary) {
  return has_kernel(x) && !is_recorded({x}) && x.stride(2) == 1 &&
         rotary.cosine.scalar_type() == at::kFloat && rotary.cosine.is_contiguous() &&
         rotary.sine.is_contiguous() && 2 * rotary.cosine.size(1) <= x.size(2);
}

at::Tensor rotated_rows(const at::Tensor& x, const at::Tensor& positions, const Rotary& rotary) {
  const at::Tensor places = positions.to(at::kLong).contiguous();
  const int64_t* place = places.const_data_ptr<int64_t>();
  TORCH_CHECK(places.numel() == x.size(0) &&
                  std::all_of(place, place + places.numel(),
                              [&](int64_t p) { return p >= 0 && p < rotary.cosine.size(0); }),
              "[rotate] expected ", x.size(0), " positions below ", rotary.cosine.size(0));
  at::Tensor out = at::empty(x.sizes(), x.options());
  const RotaryRows rows{.is_bf16 = is_bf16(x),
                        .heads = x.size(1),
                        .dim = x.size(2),
                        .pairs = rotary.cosine.size(1),
                        .x = x.const_data_ptr(),
                        .row = x.stride(0),
                        .head = x.stride(1),
                        .positions = place,
                        .cosine = rotary.cosine.const_data_ptr<float>(),
                        .sine = rotary.sine.const_data_ptr<float>(),
                        .out = out.mutable_data_ptr()};
  at::parallel_for(0, x.size(0), row_grain(x.size(1) * x.size(2)),
                   [&](int64_t begin, int64_t end) { rotate_rows(rows, begin, end); });
  return out;
}

}  // namespace

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
  if (can_rotate_rows(x, rotary)) return rotated_rows(x, positions, rotary);
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
