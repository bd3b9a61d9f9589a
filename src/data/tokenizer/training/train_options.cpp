#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/training/train_tokenizer.h"

namespace hone {
namespace {

using Names = std::vector<std::string>;

const Names kAlgorithms = {"byte_level_bpe", "bpe", "unigram", "wordpiece"};
const Names kNormalizers = {"bert_uncased", "bert_cased", "nfc",           "nfd", "nfkc",
                            "nfkd",         "lowercase",  "strip_accents", "nmt", "strip"};
const Names kPreTokenizers = {"metaspace", "whitespace", "whitespace_split", "bert"};
const Names kBertTokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
const Names kRobertaTokens = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"};

int64_t number_from(Config& config, const std::string& key, int64_t fallback, int64_t least) {
  const int64_t value = config.get(key, fallback);
  if (value < least)
    throw config.error(key, fmt::format("\"{}\" is {}; the least is {}", key, value, least));
  return value;
}

std::u32string read_alphabet(Config& config, bool is_byte_level) {
  std::u32string out;
  for (const std::string& text : config.get("initial_alphabet", Names{})) out += from_utf8(text);
  for (int byte = 0; is_byte_level && byte < 256; ++byte)
    out += from_utf8(to_byte_alphabet(std::string(1, static_cast<char>(byte))));
  return out;
}

void read_bpe(Config& config, TrainTokenizerOptions& out) {
  BpeTrainerOptions& options = out.bpe;
  options.special_tokens = out.special_tokens;
  options.vocab_size = number_from(config, "vocab_size", options.vocab_size, 1);
  options.min_frequency = number_from(config, "min_frequency", 0, 0);
  options.initial_alphabet = read_alphabet(config, out.algorithm == "byte_level_bpe");
  if (config.has("limit_alphabet"))
    options.limit_alphabet = number_from(config, "limit_alphabet", 1, 1);
  if (config.has("max_token_length"))
    options.max_token_length = number_from(config, "max_token_length", 1, 1);
  if (out.algorithm == "wordpiece")
    options.continuing_subword_prefix = config.get("continuing_subword_prefix", "##");
  if (out.algorithm == "bpe") options.end_of_word_suffix = config.get("end_of_word_suffix", "");
}

void read_unigram(Config& config, TrainTokenizerOptions& out) {
  UnigramTrainerOptions& options = out.unigram;
  options.special_tokens = out.special_tokens;
  options.vocab_size = number_from(config, "vocab_size", options.vocab_size, 1);
  options.initial_alphabet = read_alphabet(config, false);
  options.max_piece_length = number_from(config, "max_piece_length", options.max_piece_length, 1);
  options.n_sub_iterations = number_from(config, "n_sub_iterations", options.n_sub_iterations, 1);
  options.shrinking_factor = config.get("shrinking_factor", options.shrinking_factor);
  if (options.shrinking_factor <= 0 || options.shrinking_factor >= 1)
    throw config.error("shrinking_factor", "\"shrinking_factor\" is not between 0 and 1");
  const auto unk = std::find(out.special_tokens.begin(), out.special_tokens.end(), "[UNK]");
  if (unk != out.special_tokens.end()) options.unk_token = *unk;
}

void check_names(const Config& config, const std::string& key, const Names& names,
                 const Names& known) {
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) == known.end())
      throw config.error(key, fmt::format("\"{}\" is none of {}{}", name, fmt::join(known, ", "),
                                          did_you_mean(name, known)));
  }
}

void check_special_tokens(const Config& config, Names tokens) {
  std::sort(tokens.begin(), tokens.end());
  const auto twice = std::adjacent_find(tokens.begin(), tokens.end());
  if (twice != tokens.end())
    throw config.error("special_tokens", fmt::format("\"{}\" is listed twice", *twice));
  if (!tokens.empty() && tokens.front().empty())
    throw config.error("special_tokens", "an empty token");
}

bool has_unknown(const Names& tokens) {
  return std::any_of(tokens.begin(), tokens.end(),
                     [](const std::string& token) { return token == "[UNK]" || token == "<unk>"; });
}

}  // namespace

TrainTokenizerOptions TrainTokenizerOptions::read(Config& config) {
  TrainTokenizerOptions out;
  out.algorithm = config.choice("algorithm", "byte_level_bpe", kAlgorithms);
  const bool is_wordpiece = out.algorithm == "wordpiece", is_unigram = out.algorithm == "unigram";
  out.text = config.get("text", out.text);
  out.special_tokens = config.get("special_tokens", is_wordpiece ? kBertTokens : kRobertaTokens);
  check_special_tokens(config, out.special_tokens);
  if (is_unigram && !has_unknown(out.special_tokens))
    out.special_tokens.insert(out.special_tokens.begin(), "<unk>");
  if (is_wordpiece && !has_unknown(out.special_tokens))
    throw config.error("special_tokens", "WordPiece needs [UNK] or <unk> among them");
  out.normalizer = config.get("normalizer", is_wordpiece ? Names{"bert_uncased"}
                                            : is_unigram ? Names{"nfkc"}
                                                         : Names{});
  check_names(config, "normalizer", out.normalizer, kNormalizers);
  if (out.algorithm != "byte_level_bpe")
    out.pre_tokenizer =
        config.choice("pre_tokenizer", is_wordpiece ? "bert" : "metaspace", kPreTokenizers);
  if (is_unigram) {
    read_unigram(config, out);
  } else {
    read_bpe(config, out);
  }
  return out;
}

}  // namespace hone
