// A model's name on the hub, and what the environment says of the hub and its cache.
#pragma once

#include <optional>
#include <string>

namespace hone {

// Variables that are set and empty count as not set.
std::string hub_endpoint();  // HF_ENDPOINT, without a slash at its end
std::string hub_token();     // HF_TOKEN, else the file HF_TOKEN_PATH; "" where there is none
std::string hub_cache();     // the folder HF_HUB_CACHE, else below HF_HOME
bool is_hub_offline();       // HF_HUB_OFFLINE

// "org/name@revision"
struct Repository {
  std::string id, revision = "main";

  std::string folder() const;  // in the cache
  std::string name() const;    // as it is written, without the revision "main"
};

// Nothing where the name cannot be one of the hub.
std::optional<Repository> parse_repository(const std::string& name);

}  // namespace hone
