// The names that a place in a template sees: its own, then those of the places around it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/chat/jinja/value.h"

namespace hone::jinja {

class Scope {
 public:
  explicit Scope(Scope* around) : around_(around) {}

  // As a new one; what it is kept for stays.
  void reset(Scope* around) {
    around_ = around;
    values_.clear();
  }

  // A macro or a loop looks back at it, and so at those around it, until the end.
  void keep() {
    for (Scope* scope = this; scope != nullptr && !scope->is_kept_; scope = scope->around_)
      scope->is_kept_ = true;
  }
  bool is_kept() const { return is_kept_; }

  const Value* find(const std::string& name) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->around_) {
      for (const auto& [known, value] : scope->values_) {
        if (known == name) return &value;
      }
    }
    return nullptr;
  }

  void set(const std::string& name, Value value) {
    for (auto& [known, old] : values_) {
      if (known != name) continue;
      old = std::move(value);
      return;
    }
    values_.emplace_back(name, std::move(value));
  }

 private:
  Scope* around_;
  bool is_kept_ = false;
  std::vector<std::pair<std::string, Value>> values_;
};

}  // namespace hone::jinja
