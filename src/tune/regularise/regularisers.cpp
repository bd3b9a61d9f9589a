#include "tune/regularise/regularisers.h"

#include <algorithm>
#include <cmath>
#include <ranges>

namespace hone {
namespace {

LossOf loss_of(const Task& task, Network& network, const LossOptions& options, bool keeps_output) {
  if (!keeps_output)
    return [&task, &network, options](const Batch& batch) {
      return Outcome{task.forward_loss(network, batch, options), {}, {}};
    };
  return [&task, &network, options](const Batch& batch) {
    const Outputs outputs = network.forward(batch);
    return Outcome{task.loss(outputs, batch, options), outputs, {}};
  };
}

at::Tensor scaled_sum(const Loss& loss, const Batch& batch) {
  return batch.loss_scale == 1 ? loss.sum : loss.sum * batch.loss_scale;
}

Pass with_backward(LossOf loss_of) {
  return [loss_of = std::move(loss_of)](const Batch& batch) {
    Outcome outcome = loss_of(batch);
    const at::Tensor sum = scaled_sum(outcome.loss, batch);
    const double value = sum.item<double>();
    if (!std::isfinite(value)) throw NotFinite{};
    sum.backward();
    return PassResult{value, outcome.loss.count, std::move(outcome.numbers)};
  };
}

// As above; the loss is not looked at.
Pass with_backward_there(LossOf loss_of) {
  return [loss_of = std::move(loss_of)](const Batch& batch) {
    const Loss loss = loss_of(batch).loss;
    const at::Tensor sum = scaled_sum(loss, batch);
    sum.backward();
    return PassResult{0, loss.count, {}, sum.detach()};
  };
}

}  // namespace

Regularisers::Regularisers(const std::vector<ChosenRegulariser>& chosen,
                           const RegulariserContext& context) {
  for (const ChosenRegulariser& one : chosen) all_.push_back({one.name, one.make(context)});
}

Pass Regularisers::pass(const Task& task, Network& network, const LossOptions& options) const {
  const bool keeps_output =
      std::ranges::any_of(all_, [](const One& one) { return one.regulariser->reads_output(); });
  LossOf loss = loss_of(task, network, options, keeps_output);
  for (const One& one : all_) loss = one.regulariser->around_loss(std::move(loss));
  Pass pass = with_backward(std::move(loss));
  for (const One& one : all_) pass = one.regulariser->around_pass(std::move(pass));
  return pass;
}

Pass Regularisers::pass_there(const Task& task, Network& network,
                              const LossOptions& options) const {
  return with_backward_there(loss_of(task, network, options, /*keeps_output=*/false));
}

void Regularisers::before_step(double count) const {
  for (const One& one : all_) one.regulariser->before_step(count);
}

void Regularisers::after_step(const StepDone& step) const {
  for (const One& one : all_) one.regulariser->after_step(step);
}

void Regularisers::begin_evaluation() const {
  for (const One& one : all_) one.regulariser->around_evaluation(/*begins=*/true);
}

void Regularisers::end_evaluation() const {
  for (const One& one : all_ | std::views::reverse)
    one.regulariser->around_evaluation(/*begins=*/false);
}

StateDict Regularisers::state() const {
  StateDict state;
  for (const One& one : all_) {
    for (const auto& [name, value] : one.regulariser->state()) state[one.name + "." + name] = value;
  }
  return state;
}

void Regularisers::load_state(const StateDict& state) const {
  for (const One& one : all_) {
    StateDict own;
    for (const auto& [name, value] : state) {
      if (name.starts_with(one.name + ".")) own[name.substr(one.name.size() + 1)] = value;
    }
    one.regulariser->load_state(own);
  }
}

int64_t Regularisers::graphs_kept() const {
  int64_t graphs = 1;
  for (const One& one : all_) graphs *= one.regulariser->graphs_kept();
  return graphs;
}

int64_t Regularisers::state_bytes() const {
  int64_t bytes = 0;
  for (const One& one : all_) bytes += one.regulariser->state_bytes();
  return bytes;
}

}  // namespace hone
