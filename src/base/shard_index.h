// The index of weights that stand in several files (model.safetensors.index.json).
#pragma once

#include <map>
#include <string>
#include <vector>

namespace hone {

using ShardIndex = std::map<std::string, std::vector<std::string>>;  // file -> tensors in it

// Anybody may have written an index: each file is a plain name in the index's own folder, neither
// hidden nor a path. Error(kModel) otherwise.
ShardIndex read_shard_index(const std::string& path);

}  // namespace hone
