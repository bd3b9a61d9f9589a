// Weights on disk: safetensors (also sharded by model.safetensors.index.json), PyTorch's pickled
// archives through a restricted reader, and TensorFlow's checkpoints.
// https://github.com/huggingface/safetensors#format
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace hone {

using StateDict = std::map<std::string, at::Tensor>;

// Whether load_state_dict finds files of weights there.
bool has_weights(const std::string& folder);

// Every tensor of a folder's weights (model.safetensors, its shards, else pytorch_model.bin, its
// shards, else a ….ckpt.index), without the names of wrappers ("module."). Tensors of a safetensors
// file share one private mapping of it (copy on write). Error(kModel) names file, tensor and
// defect.
StateDict load_state_dict(const std::string& folder);

StateDict read_safetensors(const std::string& path, Json* metadata = nullptr);
// Written atomically, keys in the order of the map, aligned to 8 bytes; `metadata` values are
// strings.
void write_safetensors(const std::string& path, const StateDict& tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

// A restricted unpickler: only the opcodes and the globals that a plain state dict of tensors
// needs; anything else is an Error that names the global or opcode refused.
StateDict read_pickled(const std::string& path);

// The variables of a TensorFlow checkpoint ("….ckpt.index", whose data stand beside it) under the
// names and in the form that Transformers gives BERT's; what an optimizer saved is left out.
StateDict read_tensorflow(const std::string& index);

struct LoadReport {
  std::vector<std::string> missing, unexpected;
};
// Copies tensors into named parameters and buffers. Names may carry the base-model prefix or lack
// it; old names
// ("LayerNorm.gamma") are known. A wrong shape, a NaN and an infinite value are Errors; `missing`
// ones are left as initialised. `loaded` is told the name of each that has its values.
LoadReport load_into(const std::vector<std::pair<std::string, at::Tensor>>& parameters,
                     const StateDict& weights, const std::string& base_prefix,
                     const std::string& source,
                     const std::function<void(const std::string& name)>& loaded = nullptr);

}  // namespace hone
