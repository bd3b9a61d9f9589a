// Where tests find material that is too large, or not ours, to commit.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace hone {

inline std::string shared_path(const std::string& name) {
  const char* root = std::getenv("HONE_SHARED");
  return std::string(root != nullptr ? root : "../shared") + "/" + name;
}

}  // namespace hone

#define HONE_NEEDS_SHARED(path)       \
  if (!std::filesystem::exists(path)) \
  GTEST_SKIP() << "no " << (path) << "; set HONE_SHARED to the folder that holds it"
