// Short names of files: the last part of each path, and as many before it as tell it from others.
#pragma once

#include <map>
#include <set>
#include <string>

#include "data/record.h"

namespace hone {

class ShortPaths {
 public:
  explicit ShortPaths(const std::set<std::string>& paths);
  std::string place(const Where& where) const;                                // "test.jsonl:3"
  const std::map<std::string, std::string>& names() const { return names_; }  // path -> short name

 private:
  std::map<std::string, std::string> names_;
};

}  // namespace hone
