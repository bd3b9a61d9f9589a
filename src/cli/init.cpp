#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include "base/file.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/light.h"

namespace hone {
namespace {

// The examples' paths start at the project's root; a user's at the folder where hone runs.
std::string for_folder(std::string config, const std::string& task, const std::string& folder) {
  const std::string from = "examples/" + task + "/", to = folder == "." ? "" : folder + "/";
  for (size_t at = config.find(from); at != std::string::npos; at = config.find(from, at + to.size())) config.replace(at, from.size(), to);
  return config;
}

}  // namespace

int run_init(const CLI::App& arguments) {
  const std::string task = text_of(arguments, "TASK");
  std::string folder = text_of(arguments, "FOLDER");
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  const std::string path = folder == "." ? "config.yaml" : folder + "/config.yaml";
  if (std::filesystem::exists(path)) throw Error(ErrorKind::kUsage, {path}, "is there already; hone init overwrites nothing.");
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
