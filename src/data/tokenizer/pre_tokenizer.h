// Splits a normalised text into words, the units the model sees: "pre_tokenizer" of tokenizer.json.
#pragma once

#include <memory>
#include <vector>

#include "data/sample.h"
#include "data/tokenizer/json_node.h"
#include "data/tokenizer/normalized_text.h"

namespace hone {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;

  // Puts in place of each word, bytes of text.view(), the words that it falls into, none of them
  // empty and all in order. Those of Metaspace and ByteLevel that put a blank before a word change
  // the text too. Thread-safe.
  virtual void apply(NormalizedText& text, std::vector<Span>& words) const = 0;

  virtual bool changes_text() const { return false; }
  virtual bool is_byte_level() const { return false; }  // the model sees bytes
  virtual bool is_bert() const { return false; }        // BertPreTokenizer and nothing else
};

// Null for null: the whole text is one word. BertPreTokenizer, Whitespace, WhitespaceSplit,
// Punctuation, Digits, CharDelimiterSplit, Split, Metaspace, ByteLevel and Sequence; any other is
// an Error(kModel) that says so.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(const JsonNode& node);

}  // namespace hone
