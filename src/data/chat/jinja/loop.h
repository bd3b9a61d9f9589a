// The variable `loop` of a for block, and the items it goes through: each is asked for only when it
// is needed, as a condition may depend on what the block did before.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/chat/jinja/runtime.h"

namespace hone::jinja {

class Loop final : public Object {
 public:
  using Test = std::function<bool(const Value&)>;      // which items are gone through; empty: all
  using Recurse = std::function<Value(const Value&)>;  // loop(items); empty: not recursive

  Loop(std::vector<Value> items, Test test, Recurse recurse, int64_t depth0)
      : items_(std::move(items)),
        test_(std::move(test)),
        recurse_(std::move(recurse)),
        depth0_(depth0) {}

  bool advance();  // to the next item; false behind the last one
  const Value& current() const { return *current_; }
  int64_t depth0() const { return depth0_; }

  std::string type() const override { return "loop"; }
  std::optional<Value> attribute(Runtime& runtime, const std::string& name) override;
  bool is_callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override;

 private:
  std::vector<Value> items_;
  size_t next_ = 0;
  Test test_;
  bool is_testing_ = false;
  bool is_tested_ = false;  // what is left of items_ is to be gone through
  Recurse recurse_;
  int64_t depth0_, index0_ = -1;
  std::optional<Value> before_, current_, after_;
  std::optional<std::vector<Value>> last_changed_;

  class Method;

  std::optional<Value> pull();
  const std::optional<Value>& peek();
  int64_t length();
  Value neighbour(const std::optional<Value>& item, const char* which) const;
};

}  // namespace hone::jinja
