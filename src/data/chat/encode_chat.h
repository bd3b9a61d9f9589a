// A rendered conversation as ids, with the tokens that carry a loss.
#pragma once

#include <cstdint>
#include <vector>

#include "data/chat/chat_template.h"
#include "data/tokenizer/tokenizer.h"

namespace hone {

struct EncodedChat {
  std::vector<int32_t> ids;
  std::vector<Span> offsets;       // bytes of the rendered text; {0, 0} of what the tokenizer adds
  std::vector<uint8_t> is_answer;  // 1: the assistant wrote this token
};

// The text is cut where an answer begins and where it ends, so that no token belongs to both sides:
// the ids before an answer are those of a prompt that ends there. Special tokens are found outside
// of Rendered::plain only. As in Transformers a model's own template writes all special tokens
// itself, and the tokenizer adds none, so that none is doubled; before what a template of hone's
// renders stands what the tokenizer puts before a text (BOS).
EncodedChat encode_chat(const Tokenizer& tokenizer, const Rendered& rendered);

}  // namespace hone
