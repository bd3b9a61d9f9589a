#include "data/tokenizer/streamed_text.h"

#include <algorithm>

namespace hone {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // of bytes that are no character yet

// The bytes at the end of a text that begin one of these.
size_t begun_at_end(std::string_view text, const std::vector<std::string>& strings) {
  size_t longest = 0;
  for (const std::string& string : strings) {
    for (size_t size = std::min(text.size(), string.size()); size > longest; --size) {
      if (text.ends_with(std::string_view(string).substr(0, size))) longest = size;
    }
  }
  return longest;
}

}  // namespace

size_t find_first_of(std::string_view text, const std::vector<std::string>& strings, size_t from) {
  size_t first = std::string_view::npos;
  for (const std::string& string : strings) {
    if (!string.empty()) first = std::min(first, text.find(string, from));
  }
  return first;
}

std::string StreamedText::add(int32_t token) {
  if (is_stopped_) return "";
  ids_.push_back(token);
  decode(/*is_complete=*/false);
  if (const size_t stop = find_first_of(text_, stops_, shown_); stop != std::string::npos) {
    is_stopped_ = true;
    return show(stop);
  }
  const std::string_view held = std::string_view(text_).substr(shown_);
  return show(text_.size() - begun_at_end(held, stops_));
}

std::string StreamedText::finish() {
  if (is_stopped_) return "";
  decode(/*is_complete=*/true);
  return show(std::min(text_.size(), find_first_of(text_, stops_, shown_)));
}

// Adds the text of the tokens behind known_, as their neighbours before them make it.
void StreamedText::decode(bool is_complete) {
  if (known_ == ids_.size()) return;
  const auto text_from = [&](size_t begin, size_t end) {
    return tokenizer_.decode({ids_.begin() + static_cast<std::ptrdiff_t>(begin),
                              ids_.begin() + static_cast<std::ptrdiff_t>(end)},
                             /*skip_special=*/true);
  };
  const std::string before = text_from(context_, known_);
  std::string after = text_from(context_, ids_.size());
  if (!is_complete && after.ends_with(kReplacement)) return;
  // Bytes that are no character can change the text of their neighbours.
  const std::string added =
      after.starts_with(before) ? after.substr(before.size()) : text_from(known_, ids_.size());
  text_ += added;
  if (!added.empty()) context_ = known_;
  known_ = ids_.size();
}

std::string StreamedText::show(size_t end) {
  std::string piece = text_.substr(shown_, end - shown_);
  shown_ = end;
  return piece;
}

}  // namespace hone
