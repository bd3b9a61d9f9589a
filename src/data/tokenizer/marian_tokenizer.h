// The tokenizer of OPUS-MT's models (Marian: Junczys-Dowmunt et al. 2018,
// https://arxiv.org/abs/1804.00344): a SentencePiece model for each side, whose pieces have the ids
// of one list, as Transformers' MarianTokenizer has it.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/tokenizer/hf_tokenizer.h"

namespace hone {

// Whether there is a source.spm or a target.spm.
bool is_marian_folder(const std::filesystem::path& folder);

// Encodes sources; of_targets() encodes what is to be written. A language code at a text's
// beginning (">>deu<<") is one token, and so is one that the vocabulary lacks: an unknown one.
// Punctuation is not normalised (nor does Transformers do it when it encodes).
class MarianTokenizer final : public HfTokenizer {
 public:
  // source.spm, target.spm and vocab.json of `folder`, with tokenizer_config.json if it is there;
  // where that says "separate_vocabs", target_vocab.json has the target's ids. Throws
  // Error(kModel) at the file with the first defect.
  static std::shared_ptr<const MarianTokenizer> load(const std::filesystem::path& folder);

  using Files = std::map<std::string, std::string>;  // name and bytes

  // `target`: what targets are encoded with; null: this is that.
  MarianTokenizer(TokenizerParts parts, std::shared_ptr<const Files> files,
                  std::unique_ptr<const MarianTokenizer> target)
      : HfTokenizer(std::move(parts)), files_(std::move(files)), target_(std::move(target)) {}

  using Tokenizer::encode;
  void encode(std::string_view text, Encoding& out) const override;
  // Pieces joined, blanks for their marks; a blank behind each special token that is not left out.
  std::string decode(const std::vector<int32_t>& ids, bool skip_special) const override;
  const Tokenizer* of_targets() const override { return target_.get(); }
  // The same files.
  void save(const std::string& folder) const override;

 private:
  std::shared_ptr<const Files> files_;
  std::unique_ptr<const MarianTokenizer> target_;
};

}  // namespace hone
