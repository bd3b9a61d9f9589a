// A pre-trained Transformer as the rest of the program sees it, and the list of families.
#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/packed.h"
#include "models/precision.h"
#include "models/weights.h"

namespace hone {

// How a family builds its sentence-classification head in Transformers, so that a saved folder
// loads there with equal logits.
struct SentenceHeadStyle {
  bool uses_pooler = false;  // BERT: first token through the encoder's own pooler (dense + tanh),
                             // then "classifier". A backbone has a pooler only where this is true:
                             // a task whose head does not pool clears it first
  std::string dense;         // name of a dense layer before the output layer: "classifier.dense",
                             // "pre_classifier" or ""
  std::string activation;    // of that layer: "tanh", "relu", "gelu"
  std::string out = "classifier";  // name of the output layer: "classifier", "classifier.out_proj"
  bool dropout_before_dense =
      false;  // RoBERTa and ELECTRA: dropout, dense, activation, dropout, out
  double dropout =
      0.1;  // from config.json (classifier_dropout, seq_classif_dropout, hidden_dropout_prob)
};

// The facts of config.json that tasks and the loop need; `raw` keeps everything for saving.
struct ModelConfig {
  Json raw;
  std::string model_type;         // "bert", "roberta", "distilbert", "electra", …
  std::string base_prefix;        // of weights in a fine-tuned checkpoint: "bert", "roberta", …
  std::string architecture_stem;  // "Bert" + "ForTokenClassification"
  int64_t hidden_size = 0, num_layers = 0, num_heads = 0, intermediate_size = 0, vocab_size = 0;
  int64_t max_positions =
      0;  // longest sequence the position table allows (RoBERTa: without its offset)
  int64_t checkpoint_bytes = 0;  // of the weights beside config.json; 0: not looked at yet
  double initializer_range = 0.02;
  double token_dropout = 0.1;  // before a token-classification layer
  SentenceHeadStyle sentence_head;

  static ModelConfig load(
      const std::string& folder);  // reads config.json; Error(kModel) with the place

  // config.json decides how much memory a network takes, and anybody may have written it. Sets
  // checkpoint_bytes, and refuses what the weights cannot fill before anything is built: more
  // layers than they have, or larger ones. Layers that would not be used are told.
  void compare_with(const StateDict& weights, const std::string& folder);
};

class Backbone : public torch::nn::Module {
 public:
  // Hidden states [N, H] of the N real tokens of one stream; bf16 after set_precision(kBf16), else
  // fp32. Encoder-decoders will add forward(source, target) beside it; a head calls the one it
  // needs.
  virtual at::Tensor forward(const Packed& tokens) = 0;
  // Hidden states [S, H] of each sequence's first token: those rows of forward(), without what the
  // last block would do for rows that nobody reads.
  virtual at::Tensor forward_first(const Packed& tokens);
  // BERT's pooler on first tokens, [S, H] -> [S, H]. REQUIRES: config().sentence_head.uses_pooler.
  virtual at::Tensor pool(const at::Tensor& first);
  virtual void set_precision(Precision precision) = 0;
  virtual void set_recompute(bool recomputes) = 0;  // blocks keep their input alone for backward:
                                                    // less memory, a third more time
  // BERT's rule: normal(0, initializer_range) matrices, zero biases, unit norms; of all parameters,
  // or of those named. A fresh backbone has zero matrices: call this for what no checkpoint
  // brought.
  void initialise(uint64_t seed, const std::vector<std::string>& only = {});
  const ModelConfig& config() const { return config_; }

 protected:
  explicit Backbone(ModelConfig config) : config_(std::move(config)) {}
  ModelConfig config_;
};

struct FamilyInfo {
  const char* model_type;
  ModelConfig (*read_config)(const Json& config);
  std::shared_ptr<Backbone> (*make)(const ModelConfig& config);
};
const std::vector<FamilyInfo>& families();  // models/registry.cpp: one line each

// Error(kModel) where so many weights cannot come from config.checkpoint_bytes.
void refuse_too_large(double weights, const ModelConfig& config);

std::shared_ptr<Backbone> make_backbone(
    const ModelConfig& config);  // Error(kModel) for an unknown model_type, with the known ones

}  // namespace hone
