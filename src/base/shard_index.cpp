#include "base/shard_index.h"

#include <fmt/format.h>

#include "base/json.h"

namespace hone {
namespace {

bool is_plain_name(const std::string& name) {
  return !name.empty() && !name.starts_with('.') && name.find_first_of("/\\") == std::string::npos;
}

}  // namespace

ShardIndex read_shard_index(const std::string& path) {
  const Json document = read_json(path, ErrorKind::kModel);
  const Json map = document.is_object() ? document.value("weight_map", Json()) : Json();
  if (!map.is_object())
    throw Error(ErrorKind::kModel, {path},
                "has no \"weight_map\", an object that names the file of each tensor.");
  ShardIndex shards;
  for (const auto& [tensor, shard] : map.items()) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    if (!is_plain_name(name))
      throw Error(ErrorKind::kModel, {path},
                  fmt::format("\"weight_map\": the shard of \"{}\" should be a file name in this "
                              "folder, not {}.",
                              tensor, shard.dump()));
    shards[name].push_back(tensor);
  }
  return shards;
}

}  // namespace hone
