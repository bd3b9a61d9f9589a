// What Replace and Split look for: "pattern" of tokenizer.json, {"String": …} or {"Regex": …}.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/sample.h"
#include "data/tokenizer/json_node.h"
#include "data/tokenizer/patterns/pattern.h"

namespace hone {

class Finder {
 public:
  // An expression that patterns/pattern.h does not read is an Error(kModel).
  explicit Finder(const JsonNode& node);

  // Appends the leftmost matches one after the other, none of them empty, as bytes of `text`.
  // Thread-safe.
  void append_matches(std::string_view text, std::vector<Span>& out) const;
  std::vector<Span> matches(std::string_view text) const {
    std::vector<Span> out;
    append_matches(text, out);
    return out;
  }

 private:
  std::variant<std::string, Pattern> wanted_;
};

}  // namespace hone
