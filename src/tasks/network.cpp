#include "tasks/network.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <c10/util/accumulate.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/random.h"
#include "models/layers/linear.h"
#include "models/layers/recompute.h"

namespace hone {
namespace {
constexpr const char* kHead = "head";

// What a GPU draws itself, it draws from the start of each batch: parts must not draw alike.
void tell_apart(Batch& part, size_t index) {
  for (Packed& stream : part.streams) stream.drawn = mix(stream.drawn, index);
}

// Where a batch's tensors go: one copy of all that were staged, and one of each that was not.
class Placement {
 public:
  Placement(const Batch& batch, at::Device device) : from_(batch.staged), device_(device) {
    if (from_.defined()) to_ = from_.to(device, /*non_blocking=*/true);
  }

  const at::Tensor& all() const { return to_; }  // undefined where nothing was staged
  at::Tensor of(const at::Tensor& x) const {
    if (!x.defined()) return x;
    if (!from_.defined() || !x.is_contiguous() || !x.storage().is_alias_of(from_.storage()))
      return x.to(device_);
    const auto bytes = static_cast<int64_t>(x.nbytes()),
               begin = x.storage_offset() * static_cast<int64_t>(x.element_size());
    return to_.slice(0, begin, begin + bytes).view(x.scalar_type()).view(x.sizes());
  }

 private:
  at::Tensor from_, to_;
  at::Device device_;
};

// What is left of an output while all of a part are one row of numbers, as `recomputed` takes them.
struct Form {
  std::vector<int64_t> sizes;
  RowOf row_of;
};

std::vector<Form> forms_of(const Outputs& outputs) {
  std::vector<Form> forms;
  for (const Output& output : outputs.all())
    forms.push_back({output.values.sizes().vec(), output.row_of});
  return forms;
}

at::Tensor as_one_row(const Outputs& outputs) {
  std::vector<at::Tensor> flat;
  for (const Output& output : outputs.all()) flat.push_back(output.values.flatten());
  return flat.size() == 1 ? flat.front() : at::cat(flat);
}

Outputs from_one_row(const at::Tensor& row, const std::vector<Form>& forms) {
  std::vector<Output> outputs;
  int64_t at = 0;
  for (const Form& form : forms) {
    const int64_t size = c10::multiply_integers(form.sizes);
    outputs.push_back({row.slice(0, at, at + size).view(form.sizes), form.row_of});
    at += size;
  }
  return Outputs(std::move(outputs));
}

// The outputs of all parts; what is the whole batch's is in each of them.
Outputs joined(const std::vector<Outputs>& parts) {
  std::vector<Output> outputs = parts.front().all();
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].row_of == RowOf::kBatch) continue;
    std::vector<at::Tensor> values;
    for (const Outputs& part : parts) values.push_back(part[i]);
    outputs[i].values = at::cat(values);
  }
  return Outputs(std::move(outputs));
}

void refuse_frozen_forms(const Network& network) {
  for (const auto& module : network.modules(/*include_self=*/false)) {
    const auto* linear = module->as<LinearImpl>();
    if (linear != nullptr && linear->frozen_weight().is_defined())
      throw Error(ErrorKind::kUsage,
                  "a base model in bf16 alone, int8 or nf4 (peft.base) is for the CPU: set device: "
                  "cpu, or base: full; an adapter that was trained beside one can be merged (hone "
                  "merge)");
  }
}

}  // namespace

Network::Network(std::shared_ptr<Backbone> backbone, std::shared_ptr<Head> head)
    : backbone_(std::move(backbone)), head_(std::move(head)) {
  register_module(backbone_->config().base_prefix, backbone_);
  register_module(kHead, head_);
  head_->tie(*backbone_);
  refuse_shared_names();
  for (const std::shared_ptr<Head>& part : head_->parts())
    parts_.push_back(std::make_shared<Network>(backbone_, part));
}

void Network::train(bool on) {
  torch::nn::Module::train(on);
  for (const auto& part : parts_) part->train(on);
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

Outputs Network::forward(const Batch& batch) {
  if (batch.parts.size() <= 1) return head_->forward(*backbone_, batch);
  // No input of a part has a gradient; one that does has the graph go through here.
  const at::Tensor anchor = at::zeros({}).requires_grad_();
  std::vector<Outputs> parts;
  for (Batch& part : parts_of(batch)) {
    if (!device_.is_cpu()) tell_apart(part, parts.size());
    parts.push_back(recomputed_part(part, anchor));
  }
  return joined(parts);
}

Outputs Network::recomputed_part(const Batch& part, const at::Tensor& anchor) {
  const auto forms = std::make_shared<std::vector<Form>>();
  const auto run = [this, part, forms](const at::Tensor&) {
    const Outputs outputs = head_->forward(*backbone_, part);
    *forms = forms_of(outputs);
    return as_one_row(outputs);
  };
  const at::Tensor row = recomputed(run, anchor);
  return from_one_row(row, *forms);
}

void Network::move_to(at::Device device) {
  if (device == device_) return;
  refuse_frozen_forms(*this);
  to(device);
  device_ = device;
  for (const auto& part : parts_) part->device_ = device;
}

Batch Network::stage(Batch batch) const {
  return device_.is_cuda() ? staged(std::move(batch), /*is_pinned=*/true) : batch;
}

Batch Network::place(Batch batch) const {
  if (device_.is_cpu()) return batch;
  const Placement placement(batch, device_);
  for (Packed& stream : batch.streams) {
    if (stream.tokens() > 0)
      stream.drawn = static_cast<uint64_t>(stream.keys.const_data_ptr<int64_t>()[0]);
    stream.placed_ends = placement.of(stream.cu_seqlens);
    for (at::Tensor* column : {&stream.ids, &stream.positions, &stream.segments, &stream.features,
                               &stream.shift, &stream.keys, &stream.placed_seed})
      *column = placement.of(*column);
  }
  batch.counted = batch.targets;
  for (auto& [name, target] : batch.targets) target = placement.of(target);
  batch.staged = placement.all();
  return batch;
}

void Network::set_precision(Precision precision) {
  backbone_->set_precision(precision);
  head_->set_precision(precision);
  precision_ = precision;
  for (const auto& part : parts_) part->precision_ = precision;
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

std::vector<std::pair<std::string, at::Tensor>> Network::stored_weights() const {
  auto stored = weights();
  for (auto& [name, tensor] : stored) tensor = backbone_->config().stored(name, tensor);
  return stored;
}

StateDict weights_of(const Network& network) {
  StateDict weights;
  for (const auto& [name, value] : network.weights()) weights[name] = value.detach();
  return weights;
}

StateDict stored_weights_of(const Network& network) {
  StateDict weights;
  const ModelConfig& config = network.backbone().config();
  const std::string dropped = config.is_bare ? config.base_prefix + "." : "";
  for (const auto& [name, value] : network.stored_weights())
    weights[name.starts_with(dropped) ? name.substr(dropped.size()) : name] = value.detach();
  return weights;
}

StateDict trained_weights_of(const Network& network) {
  StateDict weights;
  for (const auto& [name, value] : network.trained_weights()) weights[name] = value.detach();
  return weights;
}

}  // namespace hone
