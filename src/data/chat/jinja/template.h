// A chat template's language: the part of Jinja2 (3.1) that published templates use, rendered as
// ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True) renders it. Sandboxed by
// construction: a template sees its variables, and of Python's methods and Jinja2's filters those
// that are listed here. Steps, depth and sizes of texts are bounded (runtime.h).
//
// What differs from Jinja2 in what it accepts, never in what it gives: no include, import, extends,
// block, autoescape or translation; whole numbers have 64 bits.
#pragma once

#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "data/chat/jinja/parser.h"
#include "data/chat/jinja/value.h"

namespace hone::jinja {

using Variables = std::vector<std::pair<std::string, Value>>;

class Template {
 public:
  // `file` is for messages. Error(kModel) with line and column where it cannot be parsed.
  Template(std::string_view source, std::string file);

  // Thread-safe. Error(kData) where the variables do not go with it, Error(kModel) where it asks
  // for what is not to be had or leaves its bounds; both at the template's line and column.
  Text render(const Variables& variables, const std::tm& now) const;

  bool has_generation() const { return parsed_.has_generation; }
  const std::string& file() const { return file_; }

 private:
  std::string source_, file_;
  Parsed parsed_;
};

}  // namespace hone::jinja
