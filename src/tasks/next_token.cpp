#include "tasks/next_token.h"

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "models/kernels/cross_entropy.h"

namespace hone {
namespace {

constexpr int64_t kLogitsAtOnce = 256;  // rows whose logits exist at a time

// Cross-entropy of each row [R].
at::Tensor losses_of(const CausalLmHead& head, const Backbone& backbone, const at::Tensor& states,
                     const at::Tensor& ids) {
  at::Tensor losses = at::zeros({ids.size(0)}, ids.options().dtype(at::kFloat));
  for (int64_t begin = 0; begin < ids.size(0); begin += kLogitsAtOnce) {
    const int64_t rows = std::min(kLogitsAtOnce, ids.size(0) - begin);
    const at::Tensor scores =
        at::log_softmax(head.logits(backbone, states.narrow(0, begin, rows)), 1);
    const at::Tensor chosen = scores.gather(1, ids.narrow(0, begin, rows).unsqueeze(1));
    losses.narrow(0, begin, rows).copy_(-chosen.squeeze(1));
  }
  return losses;
}

}  // namespace

// The rows of a batch that is elsewhere are found here, and sent after it: to ask the device how
// many there are would wait for it.
NextTokens::NextTokens(const Batch& batch) {
  const at::Tensor& there = batch.targets.at(kNextToken);
  const auto counted = batch.counted.find(kNextToken);
  rows = (counted == batch.counted.end() ? there : counted->second).ge(0).nonzero().squeeze(1);
  count = rows.numel();
  if (count == 0) rows = at::zeros({1}, rows.options());  // a loss of nothing has a gradient too
  if (rows.device() != there.device())
    rows = (there.is_cuda() ? rows.pin_memory() : rows).to(there.device(), /*non_blocking=*/true);
  ids = there.index_select(0, rows).to(at::kLong);
}

Loss next_token_loss(const Outputs& logits, const Batch& batch, const LossOptions& options) {
  const NextTokens targets(batch);
  return {kernels::cross_entropy_sum(logits[0].index_select(0, targets.rows), targets.ids, -100,
                                     options.label_smoothing),
          static_cast<double>(targets.count)};
}

Loss next_token_forward_loss(Network& network, const Batch& batch, const LossOptions& options) {
  const NextTokens targets(batch);
  auto& head = static_cast<CausalLmHead&>(network.head());
  const at::Tensor states = head.states(network.backbone(), batch, targets.rows);
  return {head.loss(network.backbone(), states, targets.ids, options.label_smoothing),
          static_cast<double>(targets.count)};
}

std::pair<Outputs, Loss> assess_next_tokens(Network& network, const Batch& batch) {
  const NextTokens targets(batch);
  const at::TensorOptions fp32 = targets.rows.options().dtype(at::kFloat);
  at::Tensor output = at::zeros({batch.streams.back().tokens(), 1}, fp32);
  if (targets.count == 0) return {Outputs({{output, RowOf::kToken}}), {at::zeros({}, fp32), 0}};
  auto& head = static_cast<CausalLmHead&>(network.head());
  const at::Tensor states = head.states(network.backbone(), batch, targets.rows);
  const at::Tensor losses = losses_of(head, network.backbone(), states, targets.ids);
  output.index_copy_(0, targets.rows, losses.unsqueeze(1));
  return {Outputs({{output, RowOf::kToken}}), {losses.sum(), static_cast<double>(targets.count)}};
}

}  // namespace hone
