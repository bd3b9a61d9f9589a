// A regular expression over the dotted names of modules, as Python's re.fullmatch takes it. Whether
// a name fits is decided without going back, so that no expression takes long.
#pragma once

#include <memory>
#include <string>

namespace hone {

class NamePattern {
 public:
  // Literals, ., classes, groups, alternatives, * + ? {n,m}, \d \w \s, ^ and $. Error(kUsage),
  // without a place, for what is wrong or more than names need.
  explicit NamePattern(const std::string& expression);

  bool matches(const std::string& name) const;  // the whole of it

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace hone
