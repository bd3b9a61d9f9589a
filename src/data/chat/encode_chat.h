// A rendered conversation as ids, with the tokens that carry a loss.
#pragma once

#include <cstdint>
#include <vector>

#include "data/chat/chat_template.h"
#include "data/tokenizer/tokenizer.h"

namespace hone {

struct EncodedChat {
  std::vector<int32_t> ids;
  std::vector<Span> offsets;       // bytes of the rendered text
  std::vector<uint8_t> is_answer;  // 1: the assistant wrote this token
};

// The text is cut where an answer begins and where it ends, so that no token belongs to both sides:
// the ids before an answer are those of a prompt that ends there. Special tokens are found outside
// of Rendered::plain only. As in Transformers a template writes all special tokens itself, BOS
// among them, and the tokenizer adds none: none is doubled.
EncodedChat encode_chat(const Tokenizer& tokenizer, const Rendered& rendered);

}  // namespace hone
