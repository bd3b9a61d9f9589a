// What a text goes through before it is split: "normalizer" of tokenizer.json.
#pragma once

#include <memory>
#include <optional>

#include "data/tokenizer/json_node.h"
#include "data/tokenizer/normalized_text.h"

namespace hone {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(NormalizedText& text) const = 0;  // thread-safe
};

struct BertNormalizerOptions {
  bool clean_text = true;             // drops control characters, makes every white space a blank
  bool handle_chinese_chars = true;   // blanks around Chinese characters
  std::optional<bool> strip_accents;  // not set: as lowercase
  bool lowercase = true;

  bool strips_accents() const { return strip_accents.value_or(lowercase); }
  bool operator==(const BertNormalizerOptions&) const = default;
};

class BertNormalizer final : public Normalizer {
 public:
  explicit BertNormalizer(const BertNormalizerOptions& options) : options_(options) {}
  void apply(NormalizedText& text) const override;
  const BertNormalizerOptions& options() const { return options_; }

 private:
  BertNormalizerOptions options_;
};

// SentencePiece's own ways, which Hugging Face's parts do not have: of Precompiled its longest keys
// (Charsmap::apply_longest), of Strip no white space but blanks.
constexpr const char *kLongestKeys = "longest_keys", *kBlanksAlone = "blanks_alone";

// Null for null. BertNormalizer, Sequence, NFC, NFD, NFKC, NFKD, Nmt, Lowercase, StripAccents,
// Strip, Prepend, Replace and Precompiled; any other is an Error(kModel) that says so.
std::unique_ptr<Normalizer> make_normalizer(const JsonNode& node);

}  // namespace hone
