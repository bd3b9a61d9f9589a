#include "data/chat/encode_chat.h"

#include <algorithm>
#include <utility>

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

}  // namespace

EncodedChat encode_chat(const Tokenizer& tokenizer, const Rendered& rendered) {
  CutEncoding cut = tokenizer.encode(rendered.text, borders_of(rendered));
  EncodedChat chat;
  chat.ids = std::move(cut.encoding.ids);
  chat.offsets = std::move(cut.encoding.offsets);
  chat.is_answer.assign(chat.ids.size(), 0);
  for (size_t i = 0; i + 1 < cut.before.size(); i += 2)
    std::fill(chat.is_answer.begin() + static_cast<std::ptrdiff_t>(cut.before[i]),
              chat.is_answer.begin() + static_cast<std::ptrdiff_t>(cut.before[i + 1]), 1);
  return chat;
}

}  // namespace hone
