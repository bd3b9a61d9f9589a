// The tokenizer of a model folder: the parts of tokenizer.json put together.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/bert_encoder.h"
#include "data/tokenizer/decoder.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/piece_encoder.h"
#include "data/tokenizer/post_processor.h"
#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer/tokenizer.h"

namespace hone {

// What a tokenizer is made of, as tokenizer.json has it. Its "truncation" and "padding" are left
// out on purpose: they are settings of the run that wrote the file (MiniLM's says 128), and here a
// run's own settings decide.
struct TokenizerParts {
  Json added_tokens = Json::array();
  Json normalizer, pre_tokenizer, post_processor, decoder;
  std::unique_ptr<Model> model;
  Json config = Json::object();  // tokenizer_config.json
  std::string file;              // for messages
  std::string config_file;
};

class HfTokenizer : public Tokenizer {
 public:
  explicit HfTokenizer(TokenizerParts parts);

  using Tokenizer::encode;
  void encode(std::string_view text, Encoding& out) const override;
  CutEncoding encode(std::string_view text, const TextBorders& borders) const override;
  Sequence post_process(const Encoding& first, const Encoding* second) const override {
    return post_processor_.apply(first, second);
  }
  int64_t special_tokens_added(bool is_pair) const override {
    return post_processor_.special_tokens(is_pair);
  }
  std::string normalized(std::string_view text) const override;
  std::string decode(const std::vector<int32_t>& ids, bool skip_special) const override;
  std::string token(int32_t id) const override;
  std::optional<int32_t> id(std::string_view token) const override;
  int64_t vocab_size() const override { return vocab_size_; }
  int32_t pad_id() const override { return pad_id_; }
  int32_t unk_id() const override { return unk_id_; }
  int32_t mask_id() const override { return mask_id_; }
  int64_t max_length() const override { return max_length_; }
  void save(const std::string& folder) const override;

  // The same by the separate parts, also where BertEncoder or PieceEncoder would do: what those are
  // tested against.
  void encode_by_parts(std::string_view text, Encoding& out) const;

 protected:
  // An added token that decode(…, skip_special) leaves out.
  bool is_special(int32_t id) const;

 private:
  class Writer;
  struct Spaces {
    uint8_t leading, trailing;
  };

  TokenizerParts parts_;
  std::unique_ptr<Normalizer> normalizer_;
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  AddedTokens added_;
  PostProcessor post_processor_;
  Decoder decoder_;
  std::unique_ptr<BertEncoder> bert_;     // where the parts are BERT's
  std::unique_ptr<PieceEncoder> pieces_;  // where they are SentencePiece's
  std::vector<Spaces>
      spaces_;  // blanks at the ends of each of the model's tokens, where offsets leave them out
  int64_t vocab_size_ = 0, max_length_ = 0;
  int32_t pad_id_ = -1, unk_id_ = -1, mask_id_ = -1;

  class Cutter;

  void encode_all(std::string_view text, bool is_fast, Encoding& out) const;
  void encode_between(std::string_view text, const TextBorders& borders, CutEncoding& out) const;
  // Where cuts keep the model from making special tokens of plain bytes that spell them.
  std::vector<int32_t> missing_cuts(std::string_view text, const TextBorders& borders,
                                    const Encoding& encoding) const;
  bool encode_fast(std::string_view text, Span range, int32_t& word, Encoding& out) const;
  // `cutter`, where it is given, says which tokens count and where the text is cut.
  void encode_piece(std::string_view text, Span range, Writer& writer,
                    Cutter* cutter = nullptr) const;
  NormalizedText normalized(std::string_view text, int32_t begin, Span piece) const;
  void encode_normalized(NormalizedText& normalized, Writer& writer, const Cutter* cutter) const;
  void encode_words(NormalizedText& text, Span range, Writer& writer) const;
  void find_spaces();
  Json saved_config() const;
  std::string special_token(const std::string& name) const;
};

}  // namespace hone
