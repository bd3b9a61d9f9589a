#include "tune/regularise/weight_average.h"

#include <ATen/ATen.h>

namespace hone {

WeightAverage::WeightAverage(const char* name, const RegulariserContext& context)
    : name_(name), network_(context.pipeline.network()), optimizer_(context.optimizer) {
  for (const Parameter& parameter : optimizer_.parameters())
    averages_.push_back(parameter.value.detach().clone());
}

void WeightAverage::move(double share) {
  optimizer_.flush();
  const c10::AutoGradMode no_grad(false);
  for (size_t i = 0; i < averages_.size(); ++i) averages_[i].lerp_(value(i), share);
}

void WeightAverage::around_evaluation(bool /*begins*/) {
  optimizer_.flush();
  const c10::AutoGradMode no_grad(false);
  for (size_t i = 0; i < averages_.size(); ++i) {
    const at::Tensor trained = value(i).clone();
    value(i).copy_(averages_[i]);
    averages_[i].copy_(trained);
  }
  network_.refresh_shadows();
}

StateDict WeightAverage::state() const {
  StateDict state;
  for (size_t i = 0; i < averages_.size(); ++i) state[weight_name(i)] = averages_[i];
  return state;
}

void WeightAverage::load_state(const StateDict& state) {
  for (size_t i = 0; i < averages_.size(); ++i) {
    const auto found = state.find(weight_name(i));
    if (found == state.end() || found->second.sizes() != averages_[i].sizes())
      throw Error(ErrorKind::kModel, fmt::format("regularise.{}: the average of \"{}\" is missing "
                                                 "or of another shape",
                                                 name_, weight_name(i)));
    averages_[i].copy_(found->second);
  }
}

int64_t WeightAverage::state_bytes() const {
  int64_t bytes = 0;
  for (const at::Tensor& average : averages_) bytes += static_cast<int64_t>(average.nbytes());
  return bytes;
}

}  // namespace hone
