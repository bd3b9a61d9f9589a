// A template as tokens, white space around tags treated as Jinja2 does with trim_blocks and
// lstrip_blocks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"

namespace hone::jinja {

enum class TokenKind {
  kData,           // text between tags
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kName,
  kString,  // its escapes read
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  std::string text;
  size_t at = 0;  // byte in the source
  int64_t integer = 0;
  double number = 0;

  bool is_operator(std::string_view which) const {
    return kind == TokenKind::kOperator && text == which;
  }
  bool is_name(std::string_view which) const { return kind == TokenKind::kName && text == which; }
};

// Line ends become LF, and one at the end of the template is left out.
std::string normalized_source(std::string_view source);

// `source` as normalized_source gives it. Error(kModel) with line and column in `file`.
std::vector<Token> tokenize(const std::string& source, const std::string& file);

// What a message calls it: "the end of the template", "\"endif\"".
std::string told(const Token& token);

}  // namespace hone::jinja
