// What Replace and Split look for: "pattern" of tokenizer.json, {"String": …} or {"Regex": …}.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "data/sample.h"
#include "data/tokenizer/json_node.h"

namespace hone {

class Finder {
 public:
  // An expression that patterns/pattern.h does not read is an Error(kModel).
  explicit Finder(const JsonNode& node);

  // Leftmost matches one after the other, none of them empty, as bytes of `text`. Thread-safe.
  std::vector<Span> matches(std::string_view text) const { return matches_(text); }

 private:
  std::function<std::vector<Span>(std::string_view text)> matches_;
};

}  // namespace hone
