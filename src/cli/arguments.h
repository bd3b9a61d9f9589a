// Reading parsed arguments by name.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace hone {

inline std::string text_of(const CLI::App& arguments, const std::string& name) {
  return arguments.get_option(name)->as<std::string>();
}
inline bool flag_of(const CLI::App& arguments, const std::string& name) {
  return arguments.get_option(name)->count() > 0;
}
inline int64_t number_of(const CLI::App& arguments, const std::string& name) {
  return arguments.get_option(name)->as<int64_t>();
}
inline std::vector<std::string> list_of(const CLI::App& arguments, const std::string& name) {
  return arguments.get_option(name)->results();
}

}  // namespace hone
