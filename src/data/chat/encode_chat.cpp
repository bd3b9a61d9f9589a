#include "data/chat/encode_chat.h"

#include <algorithm>
#include <iterator>

namespace hone {
namespace {

TextBorders borders_of(const Rendered& rendered) {
  TextBorders borders;
  borders.plain = rendered.plain;
  for (const Span answer : rendered.answers) {
    borders.cuts.push_back(answer.start);
    borders.cuts.push_back(answer.end);
  }
  return borders;
}

// What the tokenizer puts before a text.
std::vector<int32_t> ids_before(const Tokenizer& tokenizer) {
  const Sequence sequence = tokenizer.post_process(tokenizer.encode("a"));
  const auto first = std::find(sequence.texts.begin(), sequence.texts.end(), 0);
  return {sequence.ids.begin(), sequence.ids.begin() + (first - sequence.texts.begin())};
}

}  // namespace

EncodedChat encode_chat(const Tokenizer& tokenizer, const Rendered& rendered) {
  CutEncoding cut = tokenizer.encode(rendered.text, borders_of(rendered));
  EncodedChat chat;
  if (rendered.takes_bos) chat.ids = ids_before(tokenizer);
  chat.offsets.assign(chat.ids.size(), Span{});
  const size_t added = chat.ids.size();
  chat.ids.insert(chat.ids.end(), cut.encoding.ids.begin(), cut.encoding.ids.end());
  chat.offsets.insert(chat.offsets.end(), cut.encoding.offsets.begin(), cut.encoding.offsets.end());
  chat.is_answer.assign(chat.ids.size(), 0);
  for (size_t i = 0; i + 1 < cut.before.size(); i += 2)
    std::fill(chat.is_answer.begin() + static_cast<std::ptrdiff_t>(added + cut.before[i]),
              chat.is_answer.begin() + static_cast<std::ptrdiff_t>(added + cut.before[i + 1]), 1);
  return chat;
}

}  // namespace hone
