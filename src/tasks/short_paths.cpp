#include "tasks/short_paths.h"

#include <algorithm>

namespace hone {
namespace {

// The last `parts` parts of a path.
std::string path_tail(const std::string& path, int parts) {
  size_t begin = path.size();
  for (; parts > 0 && begin > 0 && begin != std::string::npos; --parts)
    begin = path.rfind('/', begin - 1);
  return begin == std::string::npos || begin == 0 ? path : path.substr(begin + 1);
}

}  // namespace

ShortPaths::ShortPaths(const std::set<std::string>& paths) {
  for (const std::string& path : paths) {
    const auto is_other = [&](const std::string& name, int parts) {
      return std::any_of(paths.begin(), paths.end(), [&](const std::string& other) {
        return other != path && path_tail(other, parts) == name;
      });
    };
    int parts = 1;
    while (path_tail(path, parts) != path && is_other(path_tail(path, parts), parts)) ++parts;
    names_[path] = path_tail(path, parts);
  }
}

std::string ShortPaths::place(const Where& where) const {
  Where named = where;
  if (const auto found = names_.find(where.file); found != names_.end()) named.file = found->second;
  return named.str();
}

}  // namespace hone
