// A pre-trained Transformer as the rest of the program sees it, and the list of families.
#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/table.h"
#include "models/kernels/activation.h"
#include "models/layers/key_value_prefix.h"
#include "models/layers/norm.h"
#include "models/layers/rows.h"
#include "models/packed.h"
#include "models/precision.h"
#include "models/weights.h"

namespace hone {

class Backbone;
class KeyValueCache;
class Prefix;
class SoftPrompt;
class StateCache;
struct ModelConfig;
struct Prompted;
struct SourceMemory;

// How a family builds a head in Transformers, so that a saved folder loads there with equal logits:
// dropout, dense, activation, norm, dropout, output. What has no name is not there.
struct HeadStyle {
  bool uses_pooler = false;  // BERT: first token through the encoder's own pooler (dense + tanh),
                             // then "classifier". A backbone has a pooler only where this is true
                             // of its sentence head: the task's own head decides
  bool averages = false;     // a sample is the mean of its tokens instead of its first one,
  bool takes_last = false;   // or its last one, which of a causal model alone has seen all others
  double dropout_before_dense = 0;  // RoBERTa and ELECTRA: as `dropout`; DeBERTa: its own
  std::string dense = {};           // name of a layer before the output layer: "classifier.dense",
                                    // "pre_classifier"
  bool dense_has_bias = true;
  kernels::Activation activation = kernels::Activation::kTanh;  // of that layer
  std::string norm = {};                                        // after it: "head.norm"
  NormKind norm_kind = NormKind::kLayer;
  double norm_eps = 1e-5;
  // The layers before the output are those of the pre-training head: a fresh head keeps them
  // (ModernBERT).
  bool goes_on_from_pretraining = false;
  std::string out = "classifier";  // name of the output layer: "classifier", "classifier.out_proj"
  bool out_has_bias = true;
  double dropout =
      0.1;  // from config.json (classifier_dropout, seq_classif_dropout, hidden_dropout_prob)
};

// How a family builds the head of its masked-language-model pre-training in Transformers: dense,
// activation, norm, then a product with the table of words itself (the two are one weight).
struct MaskedLmStyle {
  std::string dense, norm;  // names: "cls.predictions.transform.dense"
  std::string bias;         // of the product; "": none
  int64_t width = 0;        // what the dense layer gives: as wide as the table
  bool dense_has_bias = true;
  kernels::Activation activation = kernels::Activation::kGelu;
  NormKind norm_kind = NormKind::kLayer;
  double norm_eps = 1e-12;
};

// The product with the vocabulary of a model that predicts the next token.
struct CausalLmStyle {
  std::string out;         // name of its weight where it has one of its own: "lm_head"
  bool is_tied = true;     // the product is with the table of words itself
  double soft_cap = 0;     // logits become cap * tanh(logits / cap); 0: none (Gemma 2)
  std::string table = {};  // that table's name in a checkpoint of the bare network: "embed_tokens"
  std::string architecture_end = "ForCausalLM";  // "Llama" + "ForCausalLM"; GPT-2's: "LMHeadModel"
  double scale = 1;                              // of the states before the product (T5)
  std::string bias = {};  // name of a bias [1, V] that is not trained (BART, Marian); "": none
  // Names under which a checkpoint may hold that table once more (T5: "encoder.embed_tokens").
  std::vector<std::string> copies = {};
  // A checkpoint without an output of its own is tied, whatever config.json says of it: T5 1.1, as
  // Transformers saves it.
  bool ties_where_missing = false;
};

// What a task needs to know of a family that reads a source and writes a target. `causal_lm` is its
// product with the target's vocabulary, ModelConfig::vocab_size that vocabulary.
struct EncoderDecoderFacts {
  int64_t source_vocabulary = 0;  // tokens that the encoder knows
  int64_t source_positions = 0;   // the longest source; ModelConfig::max_positions: of a target
  int64_t start = -1;             // decoder_start_token_id; -1: config.json has none
  int64_t end = -1;               // eos_token_id, likewise
  bool reads_text = true;         // Whisper's source are states that come from elsewhere
};

// What backward needs of one token, in numbers. As much again, of one layer, is in flight.
struct ActivationCounts {
  int64_t layers = 0;
  int64_t layer = 0, layer_fp32 = 0;  // of a layer: in the type of its products, and in fp32 always
  int64_t layer_input = 0;            // what recomputing keeps of it
  int64_t embeddings = 0;             // fp32
};

// A network as config.json describes it, before anything is built.
class NetworkPlan {
 public:
  virtual ~NetworkPlan() = default;
  virtual std::shared_ptr<Backbone> build(const ModelConfig& config) const = 0;
  // How many weights its matrices and tables have.
  virtual double weights() const = 0;
  // What all names of a layer's weights begin with, in a checkpoint of the bare encoder.
  virtual std::string layer_name(int64_t layer) const = 0;
  // Kept for backward, of one token.
  int64_t activation_bytes(Precision precision, bool recomputes) const;

 protected:
  virtual ActivationCounts activations() const = 0;
};

// The facts of config.json that tasks and the loop need; `raw` keeps everything for saving.
struct ModelConfig {
  Json raw;
  std::string model_type;         // "bert", "roberta", "distilbert", "electra", …
  std::string base_prefix;        // of weights in a fine-tuned checkpoint: "bert", "roberta", …
  std::string architecture_stem;  // "Bert" + "ForTokenClassification"
  std::string own_code;  // what config.json names of the checkpoint's own ("auto_map"); never run
  int64_t hidden_size = 0, num_layers = 0, vocab_size = 0;
  int64_t max_positions =
      0;  // longest sequence the position table allows (RoBERTa: without its offset)
  double initializer_range = 0.02;
  // Of a weight by its name below the network: the deviation that a matrix is drawn with, and what
  // a norm's weight begins as; null: initializer_range, and 1.
  std::function<double(const std::string& name)> initial = nullptr;
  HeadStyle sentence_head, token_head;
  std::optional<HeadStyle> choice_head;  // of multiple choice, where it is not the sentence head
  std::optional<MaskedLmStyle> masked_lm = {};              // nothing: no such head is known here
  std::optional<CausalLmStyle> causal_lm = {};              // likewise
  std::optional<EncoderDecoderFacts> encoder_decoder = {};  // nothing: one stream
  bool is_causal = false;     // a token sees those before it alone: the last one has seen all
  bool has_span_head = true;  // Transformers has one of question answering, with these names
  // How names of matrices end that checkpoints store with rows and columns exchanged (GPT-2).
  std::vector<std::string> transposed = {};
  // How names of weights end that a formula gives and a checkpoint may lack (Marian's positions).
  std::vector<std::string> computed = {};
  // Sequences that are longer than this have other rotary angles than shorter ones; 0: none have.
  int64_t angles_change_behind = 0;
  // Whether what was computed of a sequence is computed again where it outgrows that (LongRoPE, as
  // Transformers does it; dynamic scaling lets it stand).
  bool recomputes_where_angles_change = false;
  bool is_bare = false;  // checkpoints have no base_prefix before the network's names (T5)
  std::shared_ptr<const NetworkPlan> plan;

  // Reads config.json, with `changes` over its keys; Error(kModel) with the place, Error(kUsage)
  // for a change that cannot be.
  static ModelConfig load(const std::string& folder, const Json& changes = Json::object());

  // config.json decides how much memory a network takes, and anybody may have written it. Refuses
  // what the weights cannot fill before anything is built: more layers than they have, or larger
  // ones. Layers that would not be used are told.
  void compare_with(const StateDict& weights, const std::string& folder) const;
  bool is_computed(const std::string& weight) const;  // by its name; see `computed`
  // The network's weight of this name in the form that checkpoints store it in: the same memory.
  at::Tensor stored(const std::string& name, const at::Tensor& weight) const;
};

// What is asked of a forward pass beside its hidden states.
struct Want {
  at::Tensor rows = {};  // [R] int64: hidden states of these rows alone, without what the last
                         // block would do for others; undefined: of all
  std::vector<at::Tensor>* states = nullptr;  // gets what each block gives, in order, before a
                                              // final norm; the last one's of `rows` alone
  // Keys and values of tokens that came before these, sequence by sequence; those of these are
  // added to it. Not while training. See models/layers/key_value_cache.h.
  KeyValueCache* cache = nullptr;
  // Of an encoder-decoder that writes: the sources so far (models/layers/source.h); null: the batch
  // has one for each of its sequences.
  SourceMemory* sources = nullptr;
  // `rows` count, and undefined ones are, those of Backbone::prompted(stream): virtual tokens are
  // rows too. Else they are the stream's own.
  bool of_prompted = false;
};

// The lowest layers that no trained weight takes part in, adapters and what stands before a text
// counted.
struct FrozenLayers {
  int64_t layers = 0;
  double dropout = 0;  // the largest probability of theirs, the embeddings' included
};

class Backbone : public torch::nn::Module {
 public:
  // Hidden states [N, H], or [R, H] of the wanted rows, in bf16 after set_precision(kBf16), else
  // fp32. `streams`: one, or source and target of an encoder-decoder, whose states are the
  // target's. REQUIRES: no empty sequence.
  virtual at::Tensor forward(std::span<const Packed> streams, const Want& want = {}) = 0;
  // BERT's pooler on first tokens, [S, H] -> [S, H], whose rows are `rows`. REQUIRES:
  // config().sentence_head.uses_pooler.
  virtual at::Tensor pool(const at::Tensor& first, const Rows& rows);

  void set_precision(Precision precision);  // of all its Linear layers
  void set_recompute(bool recomputes) {
    recomputes_ = recomputes;
  }  // blocks keep their input alone for backward: less memory, a third more time
  // BERT's rule: normal(0, initializer_range) matrices, zero biases, norms that scale nothing,
  // where the family has no other (ModelConfig::initial); of all parameters, or of those named. A
  // fresh backbone has zero matrices: call this for what no checkpoint brought.
  void initialise(uint64_t seed, const std::vector<std::string>& only = {});
  virtual int64_t embedding_width() const { return config_.hidden_size; }  // of Packed::shift
  // The table of word embeddings [vocabulary, embedding_width()] fp32: what the head of a masked
  // language model multiplies with too. Error(kInternal) where there is none.
  virtual const at::Tensor& word_table() const;
  const ModelConfig& config() const { return config_; }

  // Whether its blocks heed Packed::layer_drop.
  virtual bool drops_layers() const { return false; }
  // Nothing where the network cannot keep what they give.
  virtual std::optional<FrozenLayers> frozen_layers() const { return std::nullopt; }
  // In training, what so many layers give is the cache's from now on; null: no more. REQUIRES:
  // frozen_layers() has as many, which drop nothing.
  virtual void keep_lower(std::shared_ptr<StateCache> /*cache*/, int64_t /*layers*/) {}

  // What keys and values a prefix must have; nothing where the network takes none.
  virtual std::optional<KeyValueShape> prefix_shape() const { return std::nullopt; }
  // From now on it stands before the first token of each sequence, whose positions begin behind it.
  // REQUIRES: it has prefix_shape(), and there is none yet.
  void set_prefix(std::shared_ptr<Prefix> prefix);
  const std::shared_ptr<Prefix>& prefix() const { return prefix_; }  // null: none

  // Whether virtual tokens may stand before its texts.
  virtual bool takes_prompt() const { return false; }
  // From now on they do. REQUIRES: takes_prompt(), and there are none yet.
  void set_prompt(std::shared_ptr<SoftPrompt> prompt);
  const std::shared_ptr<SoftPrompt>& prompt() const { return prompt_; }  // null: none
  // The tokens that the network works on: virtual ones and the text's, or the text's alone.
  Packed prompted(const Packed& text) const;
  // Positions of each sequence that a prefix or virtual tokens take.
  int64_t positions_taken() const;

 protected:
  explicit Backbone(ModelConfig config) : config_(std::move(config)) {}

  Precision precision() const { return precision_; }
  // The same tokens and what is wanted of them. REQUIRES: there is a prompt.
  Prompted begin_prompted(const Packed& text, Want& want) const;
  // Leaves the states of virtual tokens out of those wanted; the last is of wanted rows alone.
  static void end_prompted(const Prompted& tokens, const Want& want);
  // run(x), where `run` reads no other parameters than these; recomputed in backward where that is
  // asked for.
  at::Tensor through(const std::vector<at::Tensor>& parameters,
                     const std::function<at::Tensor(const at::Tensor&)>& run,
                     const at::Tensor& x) const;
  // The same as a function (models/block_stack.h). REQUIRES: the backbone outlives it.
  auto runner() const {
    return [this](const std::vector<at::Tensor>& parameters,
                  const std::function<at::Tensor(const at::Tensor&)>& run,
                  const at::Tensor& x) { return through(parameters, run, x); };
  }

 private:
  ModelConfig config_;
  Precision precision_ = Precision::kFp32;
  bool recomputes_ = false;
  std::shared_ptr<Prefix> prefix_;
  std::shared_ptr<SoftPrompt> prompt_;
};

struct FamilyInfo {
  const char* name;  // model_type
  ModelConfig (*read_config)(const Json& config);
};
Table<FamilyInfo>& families();  // models/registry.cpp: one line each

std::shared_ptr<Backbone> make_backbone(const ModelConfig& config);

}  // namespace hone
