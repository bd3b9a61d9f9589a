// Splits a normalised text into words, the units the model sees: "pre_tokenizer" of tokenizer.json.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "data/sample.h"
#include "data/tokenizer/json_node.h"

namespace hone {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;

  // Appends the words of bytes [begin, end) of `text`, none of them empty. Thread-safe.
  virtual void split(std::string_view text, Span range, std::vector<Span>& out) const = 0;

  // ByteLevel: the model sees bytes; with add_prefix_space a text that does not begin with a blank
  // gets one.
  virtual bool is_byte_level() const { return false; }
  virtual bool adds_prefix_space() const { return false; }
  virtual bool is_bert() const { return false; }  // BertPreTokenizer and nothing else
};

// Null for null: the whole text is one word. BertPreTokenizer, Whitespace, WhitespaceSplit,
// Punctuation, ByteLevel and Sequence; any other is an Error(kModel) that says so.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonNode& node);

}  // namespace hone
