// `hone tokenizer train`: a tokenizer learned from texts, saved as tokenizer.json and what stands
// beside it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "data/reader.h"
#include "data/tokenizer/training/bpe_trainer.h"
#include "data/tokenizer/training/unigram_trainer.h"

namespace hone {

struct TrainTokenizerOptions {
  std::string algorithm;                     // byte_level_bpe | bpe | unigram | wordpiece
  std::vector<std::string> text = {"text"};  // the fields that are learned from
  std::vector<std::string> normalizer;       // steps in their order; "bert_uncased", "nfkc", …
  std::string pre_tokenizer;                 // metaspace | whitespace | whitespace_split | bert
  std::vector<std::string> special_tokens;
  BpeTrainerOptions bpe;          // for all but unigram
  UnigramTrainerOptions unigram;  // for unigram

  // Defaults depend on the algorithm. An option of another one is an error.
  static TrainTokenizerOptions read(Config& config);
};

struct TrainedTokenizer {
  int64_t texts = 0, words = 0, different_words = 0, vocab_size = 0;
};

// Reads `source` to its end, learns, and saves in `folder`, which must not exist or be empty.
// Error(kData) where no text has a word. The result depends on the texts' words and how often each
// stands there, not on threads or their order.
TrainedTokenizer train_tokenizer(const TrainTokenizerOptions& options, const SourceOptions& source,
                                 const std::string& folder);

}  // namespace hone
