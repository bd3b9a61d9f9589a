#include "base/hub_repository.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"

namespace hone {
namespace {

std::string environment(const char* name, const std::string& fallback = "") {
  const char* value = std::getenv(name);
  return value && *value ? value : fallback;
}

bool environment_flag(const char* name) {
  std::string value = environment(name);
  std::transform(value.begin(), value.end(), value.begin(), ::toupper);
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

std::string hugging_face_home() {
  const std::string home = environment("XDG_CACHE_HOME", environment("HOME", ".") + "/.cache");
  return environment("HF_HOME", home + "/huggingface");
}

}  // namespace

std::string hub_endpoint() {
  std::string url = environment("HF_ENDPOINT", "https://huggingface.co");
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::string hub_token() {
  std::string value = environment("HF_TOKEN");
  const std::string path = environment("HF_TOKEN_PATH", hugging_face_home() + "/token");
  if (value.empty() && std::filesystem::exists(path)) value = read_file(path, ErrorKind::kUsage);
  std::erase_if(value, [](unsigned char c) { return std::isspace(c); });
  return value;
}

std::string hub_cache() { return environment("HF_HUB_CACHE", hugging_face_home() + "/hub"); }

bool is_hub_offline() { return environment_flag("HF_HUB_OFFLINE"); }

std::string Repository::folder() const {
  std::string name = id;
  if (const size_t slash = name.find('/'); slash != std::string::npos) name.replace(slash, 1, "--");
  return hub_cache() + "/models--" + name;
}

std::string Repository::name() const { return revision == "main" ? id : id + "@" + revision; }

std::optional<Repository> parse_repository(const std::string& name) {
  Repository repository;
  const size_t at = name.find('@');
  repository.id = name.substr(0, at);
  if (at != std::string::npos) repository.revision = name.substr(at + 1);
  static constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
  const bool is_plain = repository.id.find_first_not_of(kAllowed) == std::string::npos &&
                        repository.id.find("..") == std::string::npos &&
                        repository.revision.find_first_not_of(kAllowed) == std::string::npos &&
                        repository.revision.find("..") == std::string::npos;
  if (!is_plain || repository.id.empty() || repository.revision.empty() ||
      repository.id.front() == '.' || repository.id.front() == '/' || repository.id.back() == '/' ||
      repository.revision.front() == '/' ||
      std::count(repository.id.begin(), repository.id.end(), '/') > 1) {
    return std::nullopt;
  }
  return repository;
}

}  // namespace hone
