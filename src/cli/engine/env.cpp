#include <fmt/format.h>

#include <iostream>

#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "models/adapters/adapter.h"
#include "models/backbone.h"
#include "models/kernels/gpu/launcher.h"
#include "run/environment.h"
#include "tasks/task.h"
#include "tune/machine.h"

namespace hone {

int run_env(const CLI::App& arguments) {
  const at::Device device = resolve_device("auto");
  Json environment = environment_json(device);
  environment["precision"] = precision_name(resolve_precision("auto", device));
  if (device.is_cuda()) {
    const std::string missing = kernels::gpu::missing_kernels(device);
    environment["gpu_kernels"] = missing.empty() ? "ready" : missing;
  }
  environment["tasks"] = Json::array();
  for (const TaskInfo& info : tasks()) environment["tasks"].push_back(info.name);
  environment["models"] = families().names();
  environment["adapters"] = adapters().names();
  if (flag_of(arguments, "--json")) {
    std::cout << to_text(environment) << '\n';
    return 0;
  }
  for (const auto& [name, value] : environment.items()) {
    std::string text = value.is_string()  ? value.get<std::string>()
                       : value.is_array() ? ""
                                          : value.dump();
    if (value.is_array()) {
      for (const Json& item : value) text += (text.empty() ? "" : ", ") + item.get<std::string>();
    }
    std::cout << fmt::format("{:<10} {}\n", name, text);
  }
  return 0;
}

}  // namespace hone
