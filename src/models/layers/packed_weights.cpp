#include "models/layers/packed_weights.h"

#include "models/kernels/tensors.h"
#include "models/layers/linear.h"

namespace hone {

bool PackedForm::takes(const at::Tensor& x) const {
  if (!kernels::has_kernel(x)) return false;
  return int8.panels.defined() || plain.is_bf16 == kernels::is_bf16(x);
}

at::Tensor PackedForm::product(const at::Tensor& x, const std::optional<at::Tensor>& bias,
                               std::optional<at::ScalarType> type) const {
  if (plain.panels.defined()) return kernels::product(x, plain, bias, type);
  const at::Tensor y = kernels::int8_product(x, int8, bias.value_or(at::Tensor()));
  return type ? y.to(*type) : y;
}

std::shared_ptr<const PackedForm> PackedSlot::get() const {
  const std::scoped_lock lock(mutex_);
  return form_.lock();
}

void PackedSlot::set(const std::shared_ptr<const PackedForm>& form) {
  const std::scoped_lock lock(mutex_);
  form_ = form;
}

PackedWeights::PackedWeights(torch::nn::Module& module) {
  for (const auto& child : module.modules(/*include_self=*/false)) {
    auto* linear = child->as<LinearImpl>();
    if (linear == nullptr) continue;
    if (auto form = linear->pack()) forms_.push_back(std::move(form));
  }
}

}  // namespace hone
