// Random encoder-decoders small enough for unit tests.
#pragma once

#include <numeric>
#include <string>
#include <vector>

#include "models/backbone.h"
#include "support/tiny_model.h"

namespace hone::testing_support {

// Sizes under the names of T5 and of BART's relatives. Both sides differ in layers, and each width
// from the others.
inline Json tiny_encoder_decoder_config(const std::string& model_type) {
  return {{"model_type", model_type},
          {"vocab_size", 45},
          {"d_model", 24},
          {"d_kv", 6},
          {"d_ff", 40},
          {"num_heads", 3},
          {"num_layers", 2},
          {"num_decoder_layers", 3},
          {"relative_attention_num_buckets", 8},
          {"relative_attention_max_distance", 12},
          {"dropout_rate", 0.1},
          {"encoder_layers", 2},
          {"decoder_layers", 3},
          {"encoder_attention_heads", 4},
          {"decoder_attention_heads", 2},
          {"encoder_ffn_dim", 40},
          {"decoder_ffn_dim", 36},
          {"max_position_embeddings", 40},
          {"dropout", 0.1},
          {"attention_dropout", 0.1},
          {"activation_dropout", 0.1},
          {"scale_embedding", true},
          {"init_std", 0.2},
          {"initializer_factor", 1},
          {"decoder_start_token_id", 2},
          {"eos_token_id", 3},
          {"pad_token_id", 0}};
}

// Its configuration, read; `changes`: of config.json.
inline ModelConfig tiny_encoder_decoder(const std::string& model_type,
                                        const Json& changes = Json::object()) {
  Json described = tiny_encoder_decoder_config(model_type);
  described.update(changes);
  ModelConfig config = families().find(model_type)->read_config(described);
  config.model_type = model_type;
  return config;
}

inline std::shared_ptr<Backbone> random_backbone(const ModelConfig& config, uint64_t seed = 1) {
  const auto backbone = make_backbone(config);
  backbone->initialise(seed);
  backbone->eval();
  return backbone;
}

// With the vocabulary of tiny_model.h, in a folder.
inline void write_tiny_encoder_decoder(const std::string& folder,
                                       const std::string& model_type = "marian",
                                       const Json& changes = Json::object(), uint64_t seed = 1) {
  write_tiny_bert(folder);
  Json described = tiny_encoder_decoder_config(model_type);
  described.update(changes);
  write_file(folder + "/config.json", described.dump(1));
  const ModelConfig config = ModelConfig::load(folder);
  const auto backbone = random_backbone(config, seed);
  StateDict weights;
  for (const auto& item : backbone->named_parameters()) {
    const std::string name = config.is_bare ? item.key() : config.base_prefix + "." + item.key();
    weights[name] = item.value().detach();
  }
  write_safetensors(folder + "/model.safetensors", weights);
}

}  // namespace hone::testing_support
