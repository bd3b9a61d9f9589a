#include "models/weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "base/model_files.h"
#include "base/shard_index.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

using Reader = StateDict (*)(const std::string& path);

StateDict read_plain_safetensors(const std::string& path) { return read_safetensors(path); }

// The tensors that an index maps to shards, each from its own shard.
StateDict read_shards(const std::string& index, Reader read) {
  StateDict out;
  for (const auto& [shard, tensors] : read_shard_index(index)) {
    const std::string path = (fs::path(index).parent_path() / shard).string();
    StateDict part = read(path);
    for (const std::string& tensor : tensors) {
      auto found = part.extract(tensor);
      if (found.empty())
        throw Error(ErrorKind::kModel, Where{path},
                    fmt::format("tensor \"{}\" is not here, though {} says so.", tensor,
                                fs::path(index).filename().string()));
      out.insert(std::move(found));
    }
  }
  return out;
}

// Names of old TensorFlow conversions, as Transformers renames them.
std::string modern_name(std::string name) {
  for (const auto& [old_end, new_end] :
       {std::pair{".gamma", ".weight"}, std::pair{".beta", ".bias"}}) {
    if (name.ends_with(old_end))
      return name.replace(name.size() - std::string_view(old_end).size(), std::string::npos,
                          new_end);
  }
  return name;
}

// Buffers that old versions of Transformers saved; their values follow from the shape.
bool is_derived_buffer(const std::string& name) {
  constexpr const char* kBuffers[] = {"embeddings.position_ids", "embeddings.token_type_ids",
                                      ".attn.bias", ".attn.masked_bias",  // GPT-2's causal mask
                                      ".rotary_emb.inv_freq"};
  return std::any_of(std::begin(kBuffers), std::end(kBuffers),
                     [&](const char* buffer) { return name.ends_with(buffer); });
}

// Wrappers of torch.nn (DataParallel, torch.compile) put their name before every other.
StateDict without_wrappers(StateDict weights) {
  for (const std::string_view wrapper : {"module.", "_orig_mod.", "module."}) {
    const bool is_wrapped =
        !weights.empty() && std::all_of(weights.begin(), weights.end(), [&](const auto& item) {
          return item.first.starts_with(wrapper);
        });
    if (!is_wrapped) continue;
    StateDict bare;
    for (const auto& [name, tensor] : weights) bare.emplace(name.substr(wrapper.size()), tensor);
    weights = std::move(bare);
  }
  return weights;
}

// The first number of `values` that is none, by its place; -1 where all are finite.
int64_t first_not_finite(const at::Tensor& values) {
  if (!values.is_floating_point() || std::isfinite(values.sum().item<double>())) return -1;
  const at::Tensor bad = at::isfinite(values).logical_not().flatten();
  return bad.any().item<bool>() ? bad.to(at::kByte).argmax().item<int64_t>() : -1;
}

// The weights under the names that parameters may be asked by.
class WeightNames {
 public:
  WeightNames(const StateDict& weights, const std::string& prefix)
      : prefix_(prefix.empty() ? "" : prefix + ".") {
    for (const auto& [name, tensor] : weights)
      by_name_.emplace(modern_name(name), &*weights.find(name));
  }

  const StateDict::value_type* find(const std::string& parameter) const {
    for (const std::string& name : {parameter, prefix_ + parameter, without_prefix(parameter)}) {
      if (const auto it = by_name_.find(name); it != by_name_.end()) return it->second;
    }
    return nullptr;
  }

 private:
  std::string without_prefix(const std::string& name) const {
    return name.starts_with(prefix_) ? name.substr(prefix_.size()) : name;
  }

  std::string prefix_;
  std::map<std::string, const StateDict::value_type*> by_name_;
};

void copy_weight(const at::Tensor& parameter, const std::string& name, const at::Tensor& weight,
                 const std::string& source) {
  const Where where{source};
  if (weight.sizes() != parameter.sizes()) {
    throw Error(
        ErrorKind::kModel, where,
        fmt::format(
            "\"{}\" has shape {} but the model wants {}; does config.json belong to these weights?",
            name, weight.sizes().vec(), parameter.sizes().vec()));
  }
  if (weight.is_floating_point() != parameter.is_floating_point()) {
    throw Error(
        ErrorKind::kModel, where,
        fmt::format("\"{}\" has type {} but the model wants {}.", name,
                    c10::toString(weight.scalar_type()), c10::toString(parameter.scalar_type())));
  }
  parameter.detach().copy_(weight);
  if (const int64_t at = first_not_finite(parameter.detach()); at >= 0) {
    throw Error(ErrorKind::kModel, where,
                fmt::format("\"{}\" has the value {} (number {} of {}): the weights are damaged, "
                            "or their training had diverged.",
                            name, parameter.detach().flatten()[at].item<double>(), at + 1,
                            parameter.numel()));
  }
}

// The one TensorFlow checkpoint of a folder; "" where there is none.
std::string tensorflow_index(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& item : fs::directory_iterator(folder)) {
    if (item.path().string().ends_with(".ckpt.index")) found.push_back(item.path().string());
  }
  if (found.size() > 1)
    throw Error(ErrorKind::kModel, Where{folder},
                fmt::format("has {} TensorFlow checkpoints; leave one.", found.size()));
  return found.empty() ? "" : found[0];
}

StateDict read_weights(const std::string& folder) {
  const auto in_folder = [&](const char* name) { return (fs::path(folder) / name).string(); };
  const auto exists = [&](const char* name) { return fs::exists(in_folder(name)); };
  if (exists("model.safetensors")) return read_safetensors(in_folder("model.safetensors"));
  if (exists("model.safetensors.index.json"))
    return read_shards(in_folder("model.safetensors.index.json"), read_plain_safetensors);
  if (exists("pytorch_model.bin")) return read_pickled(in_folder("pytorch_model.bin"));
  if (exists("pytorch_model.bin.index.json"))
    return read_shards(in_folder("pytorch_model.bin.index.json"), read_pickled);
  if (const std::string index = tensorflow_index(folder); !index.empty())
    return read_tensorflow(index);
  throw Error(
      ErrorKind::kModel, Where{folder},
      "has no weights" + foreign_in(folder,
                                    ": none of model.safetensors, model.safetensors.index.json, "
                                    "pytorch_model.bin, pytorch_model.bin.index.json is there."));
}

}  // namespace

bool has_weights(const std::string& folder) {
  constexpr const char* kFiles[] = {"model.safetensors", "model.safetensors.index.json",
                                    "pytorch_model.bin", "pytorch_model.bin.index.json"};
  return std::any_of(std::begin(kFiles), std::end(kFiles),
                     [&](const char* name) { return fs::exists(fs::path(folder) / name); }) ||
         !tensorflow_index(folder).empty();
}

StateDict load_state_dict(const std::string& folder) {
  return without_wrappers(read_weights(folder));
}

LoadReport load_into(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
                     const StateDict& weights, const std::string& base_prefix,
                     const std::string& source,
                     const std::function<void(const std::string& name)>& loaded) {
  const WeightNames names(weights, base_prefix);
  std::set<std::string> used;
  LoadReport report;
  for (const auto& [name, parameter] : parameters) {
    if (const auto* weight = names.find(name)) {
      copy_weight(parameter, weight->first, weight->second, source);
      used.insert(weight->first);
      if (loaded) loaded(name);
    } else {
      report.missing.push_back(name);
    }
  }
  for (const auto& [name, tensor] : weights) {
    if (!used.contains(name) && !is_derived_buffer(name)) report.unexpected.push_back(name);
  }
  return report;
}

}  // namespace hone
