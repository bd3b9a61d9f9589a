// The files in which sentence-transformers keeps what it does to a Transformer's states:
// modules.json, 1_Pooling/config.json, 2_Dense, sentence_bert_config.json,
// config_sentence_transformers.json.
#pragma once

#include <optional>
#include <string>

#include "models/weights.h"
#include "tasks/embedding/options.h"

namespace hone::embedding {

// A layer behind the pooling.
struct Dense {
  std::string activation;   // as Options::dense_activation
  at::Tensor weight, bias;  // [width, hidden], [width] fp32
};

struct SentenceFolder {
  std::optional<Pooling> pooling;  // nothing where the folder has no such files
  std::optional<bool> is_unit;     // whether vectors are scaled to length 1
  int64_t max_seq_length = 0;      // 0: not stated
  std::optional<Dense> dense = {};
};

// Error(kModel) with the place for a module, a kind of pooling or a prompt that would change the
// vectors and that hone does not have.
SentenceFolder read_sentence_folder(const std::string& folder);

// REQUIRES: pooling and is_unit are given. `width` numbers in the state of a token.
void write_sentence_folder(const SentenceFolder& what, int64_t width, const std::string& folder);

}  // namespace hone::embedding
