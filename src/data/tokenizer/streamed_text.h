// The text of tokens as they come: what can be shown of it now, and whether it has come to a stop
// string.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace hone {

// Where the first of these begins in a text; npos: none is in it, as an empty one never is.
size_t find_first_of(std::string_view text, const std::vector<std::string>& strings,
                     size_t from = 0);

// Special tokens have no text. What the pieces of `add` and `finish` make together is what
// Tokenizer::decode makes of all tokens, up to the first stop string; but where bytes that are no
// UTF-8 stand beside others, whose text a decoder may change when it has been shown.
class StreamedText {
 public:
  // The tokenizer outlives this.
  StreamedText(const Tokenizer& tokenizer, std::vector<std::string> stop_strings)
      : tokenizer_(tokenizer), stops_(std::move(stop_strings)) {}

  // What can be shown now. A character of which bytes are missing is held back, and so is what
  // could still become a stop string.
  std::string add(int32_t token);
  bool is_stopped() const { return is_stopped_; }  // a stop string has come: nothing more is shown
  // What was held back, of an answer that is complete.
  std::string finish();

 private:
  void decode(bool is_complete);
  std::string show(size_t end);

  const Tokenizer& tokenizer_;
  std::vector<std::string> stops_;
  std::vector<int32_t> ids_;
  size_t known_ = 0;    // tokens whose text is in text_
  size_t context_ = 0;  // from here on tokens are decoded again: a token's text may depend on its
                        // neighbour
  std::string text_;
  size_t shown_ = 0;  // bytes of text_
  bool is_stopped_ = false;
};

}  // namespace hone
