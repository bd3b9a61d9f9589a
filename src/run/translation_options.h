// Which models translate training texts, and how.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"

namespace hone {

// The section `augment.translation`.
struct TranslationOptions {
  struct Model {
    std::string path;               // a folder or a hub name
    std::vector<std::string> task;  // "key=value", in place of its task's options
  };
  Model there, back;
  std::string cache;  // a file; "": in the run's folder

  // Error(kUsage) at its place for what cannot be.
  static TranslationOptions read(Config& section);
};

}  // namespace hone
