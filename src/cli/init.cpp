#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/light.h"

namespace hone {
namespace {

// A folder's name may hold characters that mean something in YAML: such a value goes in quotes.
std::string yaml_text(const std::string& text) {
  const bool is_plain = text.find_first_not_of(
                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "0123456789_./-") == std::string::npos;
  return is_plain ? text : Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Replaces each value that begins with `prefix`, up to its end, by one that begins with `instead`.
void replace_values(std::string& config, const std::string& prefix, const std::string& instead) {
  for (size_t at = config.find(prefix); at != std::string::npos;) {
    const size_t end = config.find_first_of(" ,}\n", at);
    const std::string value =
        yaml_text(instead + config.substr(at + prefix.size(), end - at - prefix.size()));
    config.replace(at, end - at, value);
    at = config.find(prefix, at + value.size());
  }
}

// The examples' paths start at the project's root, a user's at the folder where hone runs; the run
// is named after the user's folder, so that it does not meet the example's. The first line is about
// the example.
std::string for_folder(std::string config, const std::string& task, const std::string& folder) {
  config.erase(0, config.find('\n') + 1);
  replace_values(config, "examples/" + task + "/", folder == "." ? "" : folder + "/");
  const std::string name = std::filesystem::absolute(folder).lexically_normal().filename().string();
  if (!name.empty()) replace_values(config, "runs/" + task, "runs/" + name);
  return config;
}

}  // namespace

int run_init(const CLI::App& arguments) {
  const std::string task = text_of(arguments, "TASK");
  std::string folder = text_of(arguments, "FOLDER");
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  const std::string path = folder == "." ? "config.yaml" : folder + "/config.yaml";
  if (std::filesystem::exists(path))
    throw Error(ErrorKind::kUsage, {path}, "is there already; hone init overwrites nothing.");
  for (const Starter& starter : starters()) {
    if (starter.task != task) continue;
    std::filesystem::create_directories(folder);
    write_file(path, for_folder(starter.config, task, folder));
    std::cout << path << '\n';
    log_info("name your files in it, then: hone check {}; hone train {}", path, path);
  }
  return 0;
}

}  // namespace hone
