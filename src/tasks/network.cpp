#include "tasks/network.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/random.h"
#include "models/layers/linear.h"
#include "models/layers/recompute.h"

namespace hone {
namespace {
constexpr const char* kHead = "head";

// A GPU's generator counts from the start of each batch: parts must not draw the same decisions.
void tell_apart(Batch& part, size_t index) {
  for (Packed& stream : part.streams) stream.seed = mix(stream.seed, index);
}

}  // namespace

Network::Network(std::shared_ptr<Backbone> backbone, std::shared_ptr<Head> head)
    : backbone_(std::move(backbone)), head_(std::move(head)) {
  register_module(backbone_->config().base_prefix, backbone_);
  register_module(kHead, head_);
  refuse_shared_names();
}

// By its first part a name is the backbone's or the head's, here and in every checkpoint.
void Network::refuse_shared_names() const {
  const std::string& prefix = backbone_->config().base_prefix;
  for (const auto& item : head_->named_parameters()) {
    if (prefix != kHead && !item.key().starts_with(prefix + ".")) continue;
    throw Error(ErrorKind::kInternal,
                fmt::format("the head has a weight \"{}\", but names that begin with \"{}.\" are "
                            "the backbone's; give it another name",
                            item.key(), prefix));
  }
}

at::Tensor Network::forward(const Batch& batch) {
  if (batch.parts.size() <= 1) return head_->forward(*backbone_, batch);
  // No input of a part has a gradient; one that does has the graph go through here.
  const at::Tensor anchor = at::zeros({}).requires_grad_();
  std::vector<at::Tensor> outputs;
  for (Batch& part : parts_of(batch)) {
    if (!device_.is_cpu()) tell_apart(part, outputs.size());
    const auto run = [this, part](const at::Tensor&) { return head_->forward(*backbone_, part); };
    outputs.push_back(recomputed(run, anchor));
  }
  return at::cat(outputs);
}

void Network::move_to(at::Device device) {
  if (device == device_) return;
  to(device);
  device_ = device;
}

Batch Network::place(Batch batch) const {
  if (device_.is_cpu()) return batch;
  for (Packed& stream : batch.streams) {
    // A GPU's generator counts from the start of each batch: micro-batches of one step must not
    // draw the same decisions.
    if (stream.tokens() > 0)
      stream.seed =
          mix(stream.seed, static_cast<uint64_t>(stream.keys.const_data_ptr<int64_t>()[0]));
    for (at::Tensor* column : {&stream.ids, &stream.positions, &stream.segments, &stream.features,
                               &stream.shift, &stream.keys}) {
      if (column->defined()) *column = column->to(device_);
    }
  }
  for (auto& [name, target] : batch.targets) target = target.to(device_);
  return batch;
}

void Network::set_precision(Precision precision) {
  backbone_->set_precision(precision);
  precision_ = precision;
}

void Network::refresh_shadows() {
  for (const auto& module : modules(/*include_self=*/false)) {
    auto* linear = module->as<LinearImpl>();
    if (linear != nullptr && linear->shadow().defined()) linear->refresh_shadow();
  }
}

std::vector<std::pair<std::string, at::Tensor>> Network::weights() const {
  std::vector<std::pair<std::string, at::Tensor>> result;
  for (const auto& item : named_parameters()) result.emplace_back(item.key(), item.value());
  const std::string prefix = std::string(kHead) + ".";
  for (auto& [name, tensor] : result) {
    if (name.starts_with(prefix))
      name.erase(0, prefix.size());  // a head's weights stand at the top of a checkpoint
  }
  return result;
}

std::vector<std::pair<std::string, at::Tensor>> Network::trained_weights() const {
  auto trained = weights();
  std::erase_if(trained, [](const auto& weight) { return !weight.second.requires_grad(); });
  return trained;
}

StateDict weights_of(const Network& network) {
  StateDict weights;
  for (const auto& [name, value] : network.weights()) weights[name] = value.detach();
  return weights;
}

StateDict trained_weights_of(const Network& network) {
  StateDict weights;
  for (const auto& [name, value] : network.trained_weights()) weights[name] = value.detach();
  return weights;
}

}  // namespace hone
