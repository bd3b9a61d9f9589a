// A tokenizer from SentencePiece's own file and the configuration beside it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "data/tokenizer/hf_tokenizer.h"

namespace hone {

// The file of a folder (spiece.model, sentencepiece.bpe.model, spm.model, tokenizer.model); ""
// where there is none.
std::filesystem::path find_sentencepiece(const std::filesystem::path& folder);

// The parts that Transformers' converters (convert_slow_tokenizer.py) make for "tokenizer_class" of
// `config`, or else for "model_type" of config.json beside the file: ids moved, special tokens,
// normalizer, template. Without either the tokenizer does what SentencePiece itself does, and puts
// no special tokens around a text. Throws Error(kModel).
TokenizerParts read_sentencepiece_parts(const std::filesystem::path& file, const Json& config,
                                        const std::string& config_file);

// What SentencePiece itself does with a text, without special tokens: control symbols stand in
// none. Pieces are numbered anew without those; `unknown_piece` is the number of what no piece
// covers. Throws Error(kModel) at `where`.
struct BareSentencePiece {
  std::unique_ptr<Model> model;
  int64_t unknown_piece;
  Json normalizer, pre_tokenizer;
};
BareSentencePiece read_bare_sentencepiece(std::string_view bytes, const Where& where);

}  // namespace hone
