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

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// The examples' paths start at the project's root, a user's at the folder where hone runs; the run
// is named after the user's folder, so that it does not meet the example's. The first line is about
// the example.
std::string for_folder(std::string config, const std::string& task, const std::string& folder) {
  config.erase(0, config.find('\n') + 1);
  replace_all(config, "examples/" + task + "/", folder == "." ? "" : folder + "/");
  const std::string name = std::filesystem::absolute(folder).lexically_normal().filename().string();
  if (!name.empty()) replace_all(config, "runs/" + task, "runs/" + name);
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
