// Tokenizers of byte-level BPE whose files say less than a tokenizer.json: vocab.json with
// merges.txt, a rank file, CLIP's list of merges. What they leave out (patterns, special tokens
// around a text) is known by the family.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/hf_tokenizer.h"
#include "data/tokenizer/json_node.h"

namespace hone {

// Of a folder, or of one such file. Nothing where there is none.
std::optional<TokenizerParts> read_bpe_parts(const std::filesystem::path& path,
                                             const JsonNode& config);

// vocab.json and merges.txt of `folder`: GPT-2, RoBERTa (BART has the same), DeBERTa, Qwen2 and
// CLIP, told apart by "tokenizer_class" and by the special tokens that the vocabulary has.
TokenizerParts read_merges_parts(const std::filesystem::path& folder, const JsonNode& config);

// A rank file, tiktoken's form: a token's bytes in base64 and its rank a line, where the rank is
// the id and the lower one is merged first.
struct RankFile {
  Vocabulary vocabulary;  // in the alphabet of byte_level.h
  Bpe::Merges merges;     // every pair of tokens that makes a token, by the rank of what it makes
};
constexpr std::string_view kRankEnding = ".tiktoken";
bool is_rank_file(const std::filesystem::path& file);  // by its first line
RankFile read_rank_file(const std::string& path);      // Error(kModel) with file:line
// The one of a folder: tokenizer.model or tiktoken.model of that form, or NAME.tiktoken.
std::optional<std::filesystem::path> find_rank_file(const std::filesystem::path& folder);
// Tokens of "added_tokens_decoder" get the ids that it says. The pattern is known by the file's
// name or "tokenizer_class".
TokenizerParts read_rank_parts(const std::filesystem::path& file, const JsonNode& config);

// OpenAI's bpe_simple_vocab_16e6.txt.gz (or unpacked): merges, from which ids follow.
constexpr std::string_view kClipFiles[] = {"bpe_simple_vocab_16e6.txt.gz",
                                           "bpe_simple_vocab_16e6.txt"};
TokenizerParts read_clip_parts(const std::filesystem::path& file, const JsonNode& config);

// The pieces that the forms share.
Json byte_level_part(bool adds_prefix_space, bool trims_offsets, bool uses_regex = true);
// Bytes, then blanks where words end: what Transformers makes of CLIP's tokens.
Json decoder_with_suffix(const std::string& suffix);
Json split_by_pattern(const std::string& pattern);  // then bytes
void make_clip(TokenizerParts& parts, const JsonNode& config, const std::filesystem::path& folder);

}  // namespace hone
