#include "data/chat/answer_spans.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace hone {
namespace {

// Some bytes around `at`, as whole characters, in quotes.
std::string excerpt(const std::string& text, size_t at) {
  constexpr size_t kBefore = 20, kBehind = 30;
  const auto is_inside = [&](size_t i) {
    return i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80;
  };
  size_t begin = at > kBefore ? at - kBefore : 0, end = std::min(at + kBehind, text.size());
  while (begin > 0 && is_inside(begin)) --begin;
  while (is_inside(end)) ++end;
  return to_text(Json(text.substr(std::min(begin, text.size()), end - begin)));
}

void require_beginning(const std::string& part, const std::string& whole, const std::string& what,
                       const std::string& file) {
  if (whole.starts_with(part)) return;
  const auto [a, b] = std::mismatch(part.begin(), part.end(), whole.begin(), whole.end());
  const auto at = static_cast<size_t>(a - part.begin());
  throw Error(ErrorKind::kModel, Where{file},
              fmt::format("the assistant's answers cannot be told from what this template renders: "
                          "{} gives {} at byte {}, where the whole conversation has {}. Mark what "
                          "the assistant writes in a copy of the template ({{% generation %}} … "
                          "{{% endgeneration %}}) and name it by the option chat_template, or "
                          "learn the last answer of each conversation only (train_on: "
                          "last_answer)",
                          what, excerpt(part, at), at, excerpt(whole, at)));
}

// What the messages before number `count` give. That the template cannot render them says why an
// answer cannot be told.
std::string text_before(const TextOf& text_of, size_t count, bool add_prompt) {
  try {
    return text_of(count, add_prompt).bytes;
  } catch (const Error& error) {
    throw Error(error.kind(), error.where(),
                fmt::format("to tell the answers, the first {} messages were rendered by "
                            "themselves: {}",
                            count, error.message()));
  }
}

bool is_assistant(const Json& message) { return message.value("role", Json()) == "assistant"; }

}  // namespace

std::vector<Span> spans_marked(const jinja::Text& text, char mark) {
  std::vector<Span> spans;
  for (size_t at = 0; at < text.size();) {
    const auto has_mark = [&](size_t i) { return (text.marks[i] & mark) != 0; };
    size_t end = at + 1;
    while (end < text.size() && has_mark(end) == has_mark(at)) ++end;
    if (has_mark(at)) spans.push_back({static_cast<int32_t>(at), static_cast<int32_t>(end)});
    at = end;
  }
  return spans;
}

std::vector<Span> answers_by_prefixes(const Json& messages, const jinja::Text& whole,
                                      const TextOf& text_of, bool is_last_only,
                                      const std::string& file) {
  std::vector<Span> answers;
  for (size_t i = messages.size(); i-- > 0;) {
    if (!is_assistant(messages[i])) continue;
    const std::string before = text_before(text_of, i, true),
                      until = text_before(text_of, i + 1, false);
    require_beginning(before, whole.bytes,
                      fmt::format("the {} before message {}, with the generation prompt,",
                                  i == 1 ? "message" : "messages", i + 1),
                      file);
    require_beginning(until, whole.bytes, fmt::format("the conversation up to message {}", i + 1),
                      file);
    require_beginning(before, until,
                      fmt::format("what stands before the answer of message {}", i + 1), file);
    answers.insert(answers.begin(),
                   {static_cast<int32_t>(before.size()), static_cast<int32_t>(until.size())});
    if (is_last_only) break;
  }
  return answers;
}

}  // namespace hone
