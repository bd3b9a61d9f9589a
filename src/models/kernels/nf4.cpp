#include "models/kernels/nf4.h"

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "models/kernels/nf4_simd.h"
#include "models/kernels/tensors.h"

namespace hone::kernels {
namespace {

constexpr int64_t kBlocksAtOnce = 256;  // of a task that is worth waking a thread for
constexpr int64_t kValuesAtOnce = kBlocksAtOnce * kNf4Block;

int64_t blocks_of(int64_t values) { return (values + kNf4Block - 1) / kNf4Block; }

// Sums that several threads share have another order.
class OneThread {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

float mean_in_order(const at::Tensor& values) {
  const OneThread one;
  return values.mean().item<float>();
}

// Of two that are equally near, the lower one.
uint8_t nearest_code(float value, const float* codes) {
  const auto above = std::min<int64_t>(std::lower_bound(codes, codes + 256, value) - codes, 255);
  const int64_t below = std::max<int64_t>(above - 1, 0);
  const bool is_below = std::abs(value - codes[below]) <= std::abs(value - codes[above]);
  return static_cast<uint8_t>(is_below ? below : above);
}

// Scales less their mean as codes, each block's over its largest absolute value.
void round_scales(const at::Tensor& scales, Nf4& out) {
  const int64_t count = scales.numel();
  const at::Tensor code = scale_code_values();
  out.scale_mean = mean_in_order(scales);
  out.scale_codes = at::empty({count}, at::kByte);
  out.scale_scales = at::empty({(count + kNf4ScaleBlock - 1) / kNf4ScaleBlock}, at::kFloat);
  const at::Tensor rest = scales - out.scale_mean;
  const auto* const values = rest.const_data_ptr<float>();
  auto* const codes = out.scale_codes.mutable_data_ptr<uint8_t>();
  for (int64_t begin = 0; begin < count; begin += kNf4ScaleBlock) {
    const int64_t end = std::min(begin + kNf4ScaleBlock, count);
    float limit = 0;
    for (int64_t i = begin; i < end; ++i) limit = std::max(limit, std::abs(values[i]));
    out.scale_scales.mutable_data_ptr<float>()[begin / kNf4ScaleBlock] = limit;
    for (int64_t i = begin; i < end; ++i)
      codes[i] = limit > 0 ? nearest_code(values[i] / limit, code.const_data_ptr<float>()) : 0;
  }
}

// One for each block [blocks].
at::Tensor scales_of(const Nf4& weight) {
  if (weight.scales.defined()) return weight.scales;
  const int64_t count = weight.scale_codes.numel();
  const at::Tensor code = scale_code_values();
  at::Tensor scales = at::empty({count}, at::kFloat);
  const auto* const values = code.const_data_ptr<float>();
  const auto* const codes = weight.scale_codes.const_data_ptr<uint8_t>();
  const auto* const limits = weight.scale_scales.const_data_ptr<float>();
  auto* const out = scales.mutable_data_ptr<float>();
  for (int64_t i = 0; i < count; ++i) {
    const float product = values[codes[i]] * limits[i / kNf4ScaleBlock];
    out[i] = product + weight.scale_mean;
  }
  return scales;
}

int64_t rows_of_parts(const std::vector<Nf4>& parts) {
  int64_t rows = 0;
  for (const Nf4& part : parts) rows += part.rows;
  return rows;
}

at::Tensor make_scale_code() {
  std::vector<at::Tensor> parts = {at::zeros({1}), at::ones({1})};
  for (int exponent = 0; exponent < 7; ++exponent) {
    const at::Tensor bounds = at::linspace(0.1, 1, (1 << exponent) + 1, at::kFloat);
    const at::Tensor middles = (bounds.slice(0, 0, -1) + bounds.slice(0, 1)) / 2.0;
    const at::Tensor values = middles * std::pow(10.0, exponent - 6);
    parts.push_back(values), parts.push_back(-values);
  }
  return std::get<0>(at::cat(parts).sort()).contiguous();
}

}  // namespace

at::Tensor scale_code_values() {
  static const at::Tensor code = make_scale_code();
  return code;
}

int64_t Nf4::bytes() const {
  int64_t bytes = 0;
  for (const at::Tensor& part : {packed, scales, scale_codes, scale_scales}) {
    if (part.defined()) bytes += static_cast<int64_t>(part.nbytes());
  }
  return bytes;
}

Nf4 to_nf4(const at::Tensor& weight, bool double_quant) {
  TORCH_CHECK(weight.is_cpu() && weight.scalar_type() == at::kFloat && weight.dim() == 2,
              "[to_nf4] expected a matrix in fp32 on the CPU, received ", weight.sizes(), " ",
              weight.scalar_type(), " on ", weight.device());
  const at::Tensor plain = weight.detach().contiguous();
  const int64_t values = plain.numel(), blocks = blocks_of(values);
  Nf4 out{.rows = weight.size(0), .columns = weight.size(1)};
  out.packed = at::empty({(values + 1) / 2}, at::kByte);
  at::Tensor scales = at::empty({blocks}, at::kFloat);
  at::parallel_for(0, blocks, kBlocksAtOnce, [&](int64_t first, int64_t end) {
    round_nf4_blocks(plain.const_data_ptr<float>(), {first, end, values},
                     scales.mutable_data_ptr<float>(), out.packed.mutable_data_ptr<uint8_t>());
  });
  if (double_quant)
    round_scales(scales, out);
  else
    out.scales = scales;
  return out;
}

void write_nf4(const Nf4& weight, const at::Tensor& out) {
  TORCH_CHECK(has_kernel(out) && out.is_contiguous() &&
                  out.sizes() == at::IntArrayRef({weight.rows, weight.columns}),
              "[write_nf4] expected fp32 or bf16 [", weight.rows, ", ", weight.columns,
              "] in a row on the CPU, received ", out.sizes(), " ", out.scalar_type());
  const Nf4Weight one(std::vector<Nf4>{weight});
  const int64_t columns = weight.columns, row_bytes = columns * out.element_size();
  auto* const to = static_cast<std::byte*>(out.mutable_data_ptr());
  const int64_t rows_at_once = std::max<int64_t>(1, kValuesAtOnce / std::max<int64_t>(1, columns));
  at::parallel_for(0, weight.rows, rows_at_once, [&](int64_t first, int64_t end) {
    one.write({first, end - first, 0, columns}, to + first * row_bytes, is_bf16(out));
  });
}

Nf4Weight::Nf4Weight(const std::vector<Nf4>& parts)
    : WrittenWeight(rows_of_parts(parts), parts.at(0).columns) {
  int64_t row = 0;
  for (const Nf4& part : parts) {
    TORCH_CHECK(part.columns == columns(), "[Nf4Weight] parts of ", columns(), " and ",
                part.columns, " columns");
    parts_.push_back({part, scales_of(part), row});
    row += part.rows;
  }
}

void Nf4Weight::write(const WeightBox& box, void* out, bool is_bf16) const {
  const int64_t row_bytes = box.columns * (is_bf16 ? 2 : 4);
  for (const Part& part : parts_) {
    const int64_t first = std::max(box.row, part.row),
                  end = std::min(box.row + box.rows, part.row + part.weight.rows);
    if (first >= end) continue;
    const Nf4Memory memory{part.weight.packed.const_data_ptr<uint8_t>(),
                           part.scales.const_data_ptr<float>(), columns()};
    write_nf4_box(memory, {first - part.row, end - first, box.column, box.columns},
                  static_cast<std::byte*>(out) + (first - box.row) * row_bytes, is_bf16);
  }
}

}  // namespace hone::kernels
