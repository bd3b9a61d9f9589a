#include "data/tokenizer/finder.h"

#include <string>

#include "base/utf8.h"
#include "data/tokenizer/patterns/pattern.h"

namespace hone {
namespace {

std::vector<Span> find_text(std::string_view text, const std::string& wanted) {
  std::vector<Span> out;
  if (wanted.empty()) return out;
  for (size_t at = 0; (at = text.find(wanted, at)) != std::string_view::npos; at += wanted.size())
    out.push_back({static_cast<int32_t>(at), static_cast<int32_t>(at + wanted.size())});
  return out;
}

std::vector<Span> find_expression(std::string_view text, const Pattern& expression) {
  std::vector<Span> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = expression.match(text, at);
    if (end == Pattern::kNone || end == at) {
      next_code_point(text, at);
      continue;
    }
    out.push_back({static_cast<int32_t>(at), static_cast<int32_t>(end)});
    at = end;
  }
  return out;
}

}  // namespace

Finder::Finder(const JsonNode& node) {
  if (const auto text = node.find("String")) {
    matches_ = [wanted = text->text()](std::string_view in) { return find_text(in, wanted); };
  } else {
    matches_ = [expression = Pattern(node.at("Regex"))](std::string_view in) {
      return find_expression(in, expression);
    };
  }
}

}  // namespace hone
