// A random decoder small enough for unit tests, in a folder of its own: config.json,
// model.safetensors, and the vocabulary of tiny_model.h.
#pragma once

#include "support/tiny_model.h"

namespace hone::testing_support {

// Sizes under the names of GPT-2 and of the Llama kind.
inline Json tiny_decoder_config(const std::string& model_type) {
  return {{"model_type", model_type},
          {"vocab_size", 45},
          {"hidden_size", 16},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 6},
          {"intermediate_size", 24},
          {"max_position_embeddings", 48},
          {"sliding_window", 5},
          {"n_embd", 16},
          {"n_layer", 2},
          {"n_head", 4},
          {"n_positions", 48},
          {"initializer_range", 0.2},
          {"tie_word_embeddings", true}};
}

// `changes`: of config.json.
inline void write_tiny_decoder(const std::string& folder, const std::string& model_type = "llama",
                               const Json& changes = Json::object(), uint64_t seed = 1) {
  write_tiny_bert(folder);  // for its vocabulary
  Json described = tiny_decoder_config(model_type);
  described.update(changes);
  write_file(folder + "/config.json", described.dump(1));
  const ModelConfig config = ModelConfig::load(folder);
  const auto backbone = make_backbone(config);
  backbone->initialise(seed);
  StateDict weights;
  for (const auto& item : backbone->named_parameters())
    weights[config.base_prefix + "." + item.key()] =
        config.stored(item.key(), item.value()).detach();
  if (!config.causal_lm->is_tied)
    weights[config.causal_lm->out + ".weight"] = backbone->word_table().detach().flip(0);
  write_safetensors(folder + "/model.safetensors", weights);
}

}  // namespace hone::testing_support
