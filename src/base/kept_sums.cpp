#include "base/kept_sums.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/hub_cache.h"
#include "base/json.h"
#include "base/log.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

std::string sums_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  const std::string cache = variable("XDG_CACHE_HOME");
  return (cache.empty() ? variable("HOME") + "/.cache" : cache) + "/hone/sums";
}

std::string sums_file(const std::string& folder) {
  return fmt::format("{}/{}.json", sums_folder(), sha256(fs::canonical(folder).string()));
}

// What a file looks like without reading it.
Json stamp_of(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return nullptr;
  const int64_t modified = status.st_mtim.tv_sec * int64_t{1'000'000'000} + status.st_mtim.tv_nsec;
  return {{"size", status.st_size}, {"modified", modified}};
}

Json sums_of(const std::string& folder) {
  Json files = Json::object();
  for (const std::string& path : model_files(folder)) {
    files[fs::path(path).filename().string()] = {{"stamp", stamp_of(path)},
                                                 {"sha256", sha256_file(path)}};
  }
  return {{"folder", fs::canonical(folder).string()}, {"files", files}};
}

// Anybody may have cut the cache's files: what cannot be read counts as not kept.
Json kept_files(const std::string& path) {
  if (!fs::exists(path)) return nullptr;
  try {
    const Json files = read_json(path, ErrorKind::kUsage).value("files", Json());
    return files.is_object() ? files : Json();
  } catch (const std::exception& error) {
    log_warn("{}: these checksums are not used: {}", path, error.what());
    return nullptr;
  }
}

}  // namespace

void keep_sums(const std::string& folder) {
  try {
    fs::create_directories(sums_folder());
    write_file(sums_file(folder), to_text(sums_of(folder), 2) + "\n");
  } catch (const std::exception& error) {
    log_warn("{}: its checksums cannot be kept: {}", folder, error.what());
  }
}

bool verify_kept_sums(const std::string& folder) {
  const std::string sums = sums_file(folder);
  const Json files = kept_files(sums);
  if (files.is_null()) return false;
  for (const auto& [name, kept] : files.items()) {
    const std::string path = folder + "/" + name;
    const bool is_comparable = kept.is_object() && fs::exists(path);
    if (!is_comparable || kept.value("sha256", Json()) == sha256_file(path)) continue;
    if (stamp_of(path) == kept.value("stamp", Json()))
      throw Error(ErrorKind::kModel, {path},
                  fmt::format("is damaged: its bytes are not those that \"hone check\" saw, though "
                              "its size and date are. Fetch it again; if it is right as it is, "
                              "remove {}.",
                              sums));
    log_warn(
        "{}: is another file than \"hone check\" saw; if you replaced it, run \"hone check\" again",
        path);
  }
  return true;
}

}  // namespace hone
