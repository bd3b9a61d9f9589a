// Reading parsed arguments by name.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/console.h"

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

// The whole command, to be run again.
inline std::string command_line(const CLI::App& arguments) {
  std::string line = arguments.get_name();
  for (const CLI::Option* option : arguments.get_options()) {
    if (option->count() == 0) continue;
    if (!option->get_positional()) line += " --" + option->get_lnames().front();
    if (option->get_expected_max() == 0) continue;  // a flag
    for (const std::string& word : option->results()) line += " " + console::shell_quoted(word);
  }
  return line;
}

}  // namespace hone
