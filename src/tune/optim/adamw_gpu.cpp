#include "tune/optim/adamw_gpu.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <cstring>

#include "models/kernels/gpu/memory.h"

namespace hone {
namespace {

namespace gpu = kernels::gpu;
using gpu::address;
using gpu::device::MovedParameter;
using gpu::device::MovedPiece;
using gpu::device::StepNumbers;

constexpr unsigned kThreads = 256;

// Values of the host where the kernels read them; the copy waits for nobody.
template <class T>
at::Tensor placed(const std::vector<T>& values, const at::TensorOptions& options) {
  const bool is_elsewhere = options.device().is_cuda();
  const auto bytes = static_cast<int64_t>(values.size() * sizeof(T));
  const at::Tensor here =
      at::empty({bytes}, at::TensorOptions(at::kByte).pinned_memory(is_elsewhere));
  std::memcpy(here.mutable_data_ptr(), values.data(), static_cast<size_t>(bytes));
  return here.to(options.device(), /*non_blocking=*/true);
}

MovedParameter as_moved(const GpuParameter& of) {
  return {.value = address<float>(of.value),
          .gradient = address<const float>(of.gradient),
          .exp_avg = address<float>(of.exp_avg),
          .exp_avg_sq = address<float>(of.exp_avg_sq),
          .shadow = address<gpu::device::u16>(of.shadow),
          .count = of.value.numel(),
          .decay = static_cast<float>(of.decay),
          .step_size = static_cast<float>(of.step_size),
          .inverse_root = static_cast<float>(of.inverse_root)};
}

}  // namespace

at::Tensor make_step_numbers(const at::TensorOptions& options) {
  static_assert(sizeof(StepNumbers) == 3 * sizeof(double));
  return at::zeros({3}, options.dtype(at::kDouble).requires_grad(false));
}

void GpuAdamW::take(const std::vector<GpuParameter>& parameters) {
  std::vector<MovedParameter> moved;
  std::vector<int64_t> counts;
  kept_.clear();
  for (const GpuParameter& one : parameters) {
    moved.push_back(as_moved(one));
    counts.push_back(one.value.numel());
    kept_.insert(kept_.end(), {one.value, one.gradient, one.exp_avg, one.exp_avg_sq, one.shadow});
  }
  if (moved.empty()) return counts_.clear();
  const at::TensorOptions options = parameters.front().value.options().requires_grad(false);
  parameters_ = placed(moved, options);
  if (counts != counts_) cut(counts, options);
}

void GpuAdamW::cut(const std::vector<int64_t>& counts, const at::TensorOptions& options) {
  std::vector<MovedPiece> pieces;
  for (size_t i = 0; i < counts.size(); ++i) {
    const int64_t count = (counts[i] + gpu::device::kPieceValues - 1) / gpu::device::kPieceValues;
    for (int64_t begin = 0; begin < count; ++begin)
      pieces.push_back({static_cast<int>(i), static_cast<int>(begin)});
  }
  counts_ = counts;
  pieces_ = placed(pieces, options);
  squares_ = at::empty({static_cast<int64_t>(pieces.size())}, options.dtype(at::kDouble));
}

void GpuAdamW::measure(double count, double max_norm, const at::Tensor& numbers) {
  const auto pieces = counts_.empty() ? 0 : static_cast<unsigned>(squares_.size(0));
  if (pieces > 0)
    gpu::launch(on_, {"optimizer.cu", "gradient_squares"}, {pieces, 1, 1}, {kThreads, 1, 1},
                address<const MovedParameter>(parameters_), address<const MovedPiece>(pieces_),
                address<double>(squares_));
  gpu::launch(on_, {"optimizer.cu", "clip_step"}, {1, 1, 1}, {kThreads, 1, 1},
              address<const double>(squares_), static_cast<int>(pieces), count, max_norm,
              address<StepNumbers>(numbers));
}

void GpuAdamW::update(const gpu::device::AdamWNumbers& step, const at::Tensor& numbers) {
  if (counts_.empty()) return;
  gpu::launch(on_, {"optimizer.cu", "adamw"}, {static_cast<unsigned>(squares_.size(0)), 1, 1},
              {kThreads, 1, 1}, address<const MovedParameter>(parameters_),
              address<const MovedPiece>(pieces_), step, address<const StepNumbers>(numbers));
}

void GpuAdamW::update(const gpu::device::AdamWNumbers& step, double scale) {
  const std::vector<StepNumbers> numbers = {
      {.loss = 0, .squares = 0, .scale = static_cast<float>(scale), .is_failed = 0}};
  if (!counts_.empty()) update(step, placed(numbers, parameters_.options()));
}

}  // namespace hone
