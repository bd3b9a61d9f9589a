#include "data/tokenizer/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/utf8.h"
#include "data/tokenizer/unicode.h"

namespace hone {
namespace {

bool starts_with_word(std::string_view text) {
  size_t at = 0;
  return !text.empty() && unicode::is_word(next_code_point(text, at));
}

size_t start_of_last_code_point(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && text.size() - at < 4 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80)
    --at;
  return at;
}

bool ends_with_word(std::string_view text) {
  return !text.empty() && starts_with_word(text.substr(start_of_last_code_point(text)));
}

size_t leading_space(std::string_view text) {
  size_t end = 0;
  for (size_t at = 0; at < text.size() && unicode::is_white_space(next_code_point(text, at));)
    end = at;
  return end;
}

size_t start_of_trailing_space(std::string_view text) {
  while (!text.empty()) {
    const size_t at = start_of_last_code_point(text);
    size_t end = at;
    if (!unicode::is_white_space(next_code_point(text, end)) || end != text.size()) break;
    text = text.substr(0, at);
  }
  return text.size();
}

AddedToken read_added_token(const JsonNode& node) {
  AddedToken token;
  token.content = node.at("content").text();
  token.id = static_cast<int32_t>(node.at("id").integer(0, Vocabulary::kMostIds - 1));
  token.single_word = node.boolean_or("single_word", false);
  token.lstrip = node.boolean_or("lstrip", false);
  token.rstrip = node.boolean_or("rstrip", false);
  token.special = node.boolean_or("special", false);
  token.normalized = node.boolean_or("normalized", !token.special);
  return token;
}

}  // namespace

void TokenMatcher::add(const std::string& pattern, int32_t token) {
  if (pattern.empty()) return;
  const auto first = static_cast<unsigned char>(pattern[0]);
  only_first_byte_ = patterns_.empty() || only_first_byte_ == first ? first : -2;
  auto& candidates = by_first_byte_[first];
  const auto is_longer = [&](int32_t other) {
    return patterns_[other].text.size() >= pattern.size();
  };
  candidates.insert(std::find_if_not(candidates.begin(), candidates.end(), is_longer),
                    static_cast<int32_t>(patterns_.size()));
  patterns_.push_back({pattern, token});
}

size_t TokenMatcher::next_candidate(std::string_view text, size_t from) const {
  if (only_first_byte_ >= 0) return text.find(static_cast<char>(only_first_byte_), from);
  while (from < text.size() && by_first_byte_[static_cast<unsigned char>(text[from])].empty())
    ++from;
  return from < text.size() ? from : std::string_view::npos;
}

template <typename IsAllowed>
const TokenMatcher::Pattern* TokenMatcher::longest_at(std::string_view text, size_t at,
                                                      const IsAllowed& is_allowed) const {
  for (const int32_t index : by_first_byte_[static_cast<unsigned char>(text[at])]) {
    const Pattern& pattern = patterns_[index];
    if (text.substr(at).starts_with(pattern.text) && is_allowed(pattern)) return &pattern;
  }
  return nullptr;
}

bool TokenMatcher::any_has(std::string_view part) const {
  return std::any_of(patterns_.begin(), patterns_.end(), [&](const Pattern& pattern) {
    return pattern.text.find(part) != std::string::npos;
  });
}

bool TokenMatcher::is_in(std::string_view text) const {
  for (size_t at = next_candidate(text, 0); at < text.size(); at = next_candidate(text, at + 1)) {
    if (longest_at(text, at, [](const Pattern&) { return true; }) != nullptr) return true;
  }
  return false;
}

void TokenMatcher::split(std::string_view text, const std::vector<AddedToken>& tokens,
                         std::vector<Part>& out, const Allowed& allowed) const {
  size_t done = 0;  // parts up to here are out
  const auto push = [&](size_t begin, size_t end, int32_t token) {
    out.push_back({static_cast<int32_t>(begin), static_cast<int32_t>(end), token});
  };
  const bool can_match = !patterns_.empty();
  for (size_t at = can_match ? next_candidate(text, 0) : text.size(); at < text.size();) {
    const Pattern* pattern = longest_at(text, at, [&](const Pattern& found) {
      return !allowed || allowed(at, at + found.text.size(), tokens[found.token]);
    });
    if (pattern == nullptr) {
      at = next_candidate(text, at + 1);
      continue;
    }
    const AddedToken& token = tokens[pattern->token];
    size_t begin = at, end = at + pattern->text.size();
    at = next_candidate(text, end);
    if (token.single_word &&
        (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end))))
      continue;
    if (token.lstrip) begin = std::max(start_of_trailing_space(text.substr(0, begin)), done);
    if (token.rstrip) end += leading_space(text.substr(end));
    if (begin >= end) continue;  // nothing but white space, and that went with the token before
    if (done < begin) push(done, begin, -1);
    push(begin, end, pattern->token);
    done = end;
  }
  if (done < text.size()) push(done, text.size(), -1);
}

AddedTokens::AddedTokens(const JsonNode& list, const Vocabulary& vocabulary,
                         const Normalizer* normalizer) {
  int32_t next_id = vocabulary.end_id();
  for (const JsonNode& node : list.items()) {
    AddedToken token = read_added_token(node);
    if (token.content.empty()) continue;  // the reference ignores it
    const int32_t written = token.id;
    if (find(token.content) != nullptr)
      throw node.error(fmt::format("\"{}\" is listed twice", token.content));
    const int32_t known = vocabulary.find(token.content);
    token.id = known != Vocabulary::kNone ? known : next_id++;
    if (token.id >= Vocabulary::kMostIds) throw node.error("more tokens than there may be");
    if (token.id != written) {
      log_warn("{}", node.error(fmt::format("\"{}\" has the id {} in the file but {} by its place",
                                            token.content, written, token.id))
                         .what());
    }
    add(std::move(token), normalizer);
  }
}

void AddedTokens::add(AddedToken token, const Normalizer* normalizer) {
  const auto index = static_cast<int32_t>(tokens_.size());
  std::string pattern = token.content;
  if (token.normalized && normalizer != nullptr) {
    NormalizedText text(pattern, 0, static_cast<int32_t>(pattern.size()));
    normalizer->apply(text);
    pattern = std::string(text.view());
  }
  (token.normalized ? in_normalized_ : in_text_).add(pattern, index);
  by_content_[token.content] = index;
  by_id_[token.id] = index;
  tokens_.push_back(std::move(token));
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

}  // namespace hone
