#include "data/tokenizer/finder.h"

#include "base/utf8.h"

namespace hone {
namespace {

void find(const std::string& wanted, std::string_view text, std::vector<Span>& out) {
  if (wanted.empty()) return;
  for (size_t at = 0; (at = text.find(wanted, at)) != std::string_view::npos; at += wanted.size())
    out.push_back({static_cast<int32_t>(at), static_cast<int32_t>(at + wanted.size())});
}

void find(const Pattern& wanted, std::string_view text, std::vector<Span>& out) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = wanted.match(text, at);
    if (end == Pattern::kNone || end == at) {
      next_code_point(text, at);
      continue;
    }
    out.push_back({static_cast<int32_t>(at), static_cast<int32_t>(end)});
    at = end;
  }
}

std::variant<std::string, Pattern> read(const JsonNode& node) {
  if (const auto text = node.find("String")) return text->text();
  return Pattern(node.at("Regex"));
}

}  // namespace

Finder::Finder(const JsonNode& node) : wanted_(read(node)) {}

void Finder::append_matches(std::string_view text, std::vector<Span>& out) const {
  std::visit([&](const auto& wanted) { find(wanted, text, out); }, wanted_);
}

}  // namespace hone
