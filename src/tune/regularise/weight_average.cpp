#include "tune/regularise/weight_average.h"

#include <ATen/ATen.h>

namespace hone {

WeightAverage::WeightAverage(const char* name, const RegulariserContext& context)
    : name_(name),
      network_(context.pipeline.network()),
      optimizer_(context.optimizer),
      averages_(copy()) {}

WeightAverage::Weights WeightAverage::copy() const {
  optimizer_.flush();
  Weights weights;
  for (size_t i = 0; i < optimizer_.parameters().size(); ++i) weights.push_back(value(i).clone());
  return weights;
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
  add_to(state, "", averages_);
  return state;
}

void WeightAverage::load_state(const StateDict& state) { read_from(state, "", averages_); }

void WeightAverage::add_to(StateDict& state, const std::string& prefix,
                           const Weights& weights) const {
  for (size_t i = 0; i < weights.size(); ++i) state[prefix + weight_name(i)] = weights[i];
}

void WeightAverage::read_from(const StateDict& state, const std::string& prefix,
                              Weights& weights) const {
  for (size_t i = 0; i < weights.size(); ++i) {
    const std::string name = prefix + weight_name(i);
    const auto found = state.find(name);
    if (found == state.end() || found->second.sizes() != weights[i].sizes())
      throw Error(ErrorKind::kModel, fmt::format("regularise.{}: \"{}\" is missing or of another "
                                                 "shape; the checkpoint is of another model",
                                                 name_, name));
    weights[i].copy_(found->second);
  }
}

int64_t WeightAverage::state_bytes() const {
  int64_t bytes = 0;
  for (const at::Tensor& average : averages_) bytes += static_cast<int64_t>(average.nbytes());
  return bytes;
}

}  // namespace hone
