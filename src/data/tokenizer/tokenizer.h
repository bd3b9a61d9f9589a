// Text to ids with byte offsets kept throughout: normalizer -> pre-tokenizer -> model ->
// post-processor, and a decoder back. The parts and their names follow Hugging Face tokenizers
// (tokenizer.json), so any model of the same shape comes in as one file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "data/sample.h"

namespace hone {

// What loading may need to be told where a folder has only vocab.txt.
struct TokenizerOptions {
  std::optional<bool> do_lower_case;  // --do-lower-case; else tokenizer_config.json's value; else
                                      // an error that says so
};

// Ids of one text without special tokens.
struct Encoding {
  std::vector<int32_t> ids;
  std::vector<Span> offsets;   // bytes in the text given
  std::vector<int32_t> words;  // index of the pre-token each piece came from, from 0
};

// What is known about a text before it is encoded: a rendered conversation.
struct TextBorders {
  std::vector<Span> plain;    // no special token is found in these bytes, whatever they spell
  std::vector<int32_t> cuts;  // no token goes across these places
};

struct CutEncoding {
  Encoding encoding;
  std::vector<size_t> before;  // for each cut the number of tokens before it
};

class Tokenizer {
 public:
  // A model folder (tokenizer.json wins over vocab.txt; tokenizer_config.json gives options), or
  // one such file. Throws Error(kModel) with the place of the first defect.
  static std::shared_ptr<const Tokenizer> load(const std::string& path,
                                               const TokenizerOptions& options = {});

  virtual ~Tokenizer() = default;

  // Thread-safe. Special tokens written in the text ("[SEP]") are found as the reference does.
  virtual void encode(std::string_view text, Encoding& out) const = 0;
  Encoding encode(std::string_view text) const {
    Encoding out;
    encode(text, out);
    return out;
  }

  // The same within borders, both lists in the order of the text: what stands between two cuts is
  // split as it would be with nothing behind it, and normalised as a part of the whole, so that the
  // tokens before a cut are those of a text that ends there. Added tokens that are not special are
  // found in plain bytes too.
  virtual CutEncoding encode(std::string_view text, const TextBorders& borders) const = 0;

  // Adds the special tokens around one or two encodings (BERT: [CLS] a [SEP] b [SEP], segments 0
  // and 1; RoBERTa: <s> a </s></s> b </s>). REQUIRES: the sum fits the caller's limit; see
  // special_tokens_added.
  virtual Sequence post_process(const Encoding& first, const Encoding* second = nullptr) const = 0;
  virtual int64_t special_tokens_added(bool is_pair) const = 0;

  // A text as the vocabulary writes it, before it is cut into words: lower-cased, composed, …
  virtual std::string normalized(std::string_view text) const = 0;

  virtual std::string decode(const std::vector<int32_t>& ids, bool skip_special) const = 0;
  virtual std::string token(int32_t id) const = 0;  // "" where there is no such id
  virtual std::optional<int32_t> id(std::string_view token) const = 0;
  virtual int64_t vocab_size() const = 0;  // with added tokens
  virtual int32_t pad_id() const = 0;      // -1 where there is none
  virtual int32_t unk_id() const = 0;      // of what the vocabulary lacks; -1 where there is none
  virtual int32_t mask_id() const = 0;     // of a token that is to be guessed; -1: there is none
  virtual int64_t max_length() const = 0;  // model_max_length, 0 where not stated

  // What texts that are to be written are encoded with, where that differs (Marian: a model of
  // pieces for each side); null: this. It lives as long as this.
  virtual const Tokenizer* of_targets() const { return nullptr; }

  // Writes tokenizer files that Transformers loads (tokenizer.json, vocab.txt where it applies,
  // tokenizer_config.json, special_tokens_map.json; Marian's own).
  virtual void save(const std::string& folder) const = 0;
};

}  // namespace hone
