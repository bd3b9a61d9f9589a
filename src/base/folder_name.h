// Names that a user gives and that become folders, or parts of other names: of test sets, stages,
// tasks and entries of a suite.
#pragma once

#include <string_view>

namespace hone {

constexpr const char* kFolderNameRule = "it must be made of letters, digits, \"_\" and \"-\"";

inline bool is_folder_name(std::string_view name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
  return !name.empty() && name.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace hone
