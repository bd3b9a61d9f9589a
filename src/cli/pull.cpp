#include <iostream>

#include "base/hub.h"
#include "cli/arguments.h"
#include "cli/light.h"

namespace hone {

int run_pull(const CLI::App& arguments) {
  std::cout << pull_model(text_of(arguments, "NAME")) << '\n';
  return 0;
}

}  // namespace hone
