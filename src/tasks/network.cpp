#include "tasks/network.h"

#include "base/random.h"
#include "models/layers/linear.h"

namespace hone {
namespace {
constexpr const char* kHead = "head";
}

Network::Network(std::shared_ptr<Backbone> backbone, std::shared_ptr<Head> head)
    : backbone_(std::move(backbone)), head_(std::move(head)) {
  register_module(backbone_->config().base_prefix, backbone_);
  register_module(kHead, head_);
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

void Network::set_precision(Precision precision) { backbone_->set_precision(precision); }

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

}  // namespace hone
