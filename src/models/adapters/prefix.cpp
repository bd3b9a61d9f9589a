#include "models/adapters/prefix.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <cmath>

#include "base/random.h"
#include "models/adapters/adapter.h"
#include "models/layers/adopt.h"
#include "models/layers/initialise.h"

namespace hone {
namespace {

constexpr double kProjectedRate = 5e-5;  // of the prefix-tuning paper, which has such a network

// torch.nn.Linear's own beginning.
void begin_linear(const at::Tensor& weight, const at::Tensor& bias, uint64_t seed) {
  const double range = 1 / std::sqrt(static_cast<double>(weight.size(1)));
  fill_uniform(weight, range, seed);
  fill_uniform(bias, range, mix(seed, 1));
}

// Names and defaults are those of peft.PrefixTuningConfig.
struct PrefixKeys {
  PrefixOptions options;

  template <typename Visit>
  void for_each(Visit&& visit) {
    visit("num_virtual_tokens", options.num_virtual_tokens);
    visit("prefix_projection", options.prefix_projection);
    visit("encoder_hidden_size", options.encoder_hidden_size);
    visit("prefix_init_text", options.init_text);  // PEFT has none
  }
  void check(const Config& section) const {
    const auto refuse = [&](const char* key, int64_t value, const char* rule) {
      throw section.error(key, fmt::format("\"{}\" is {}; {}", key, value, rule));
    };
    if (options.num_virtual_tokens < 1)
      refuse("num_virtual_tokens", options.num_virtual_tokens, "one token at least");
    if (options.encoder_hidden_size < 0)
      refuse("encoder_hidden_size", options.encoder_hidden_size, "it must be 1 or more");
    if (options.prefix_projection && !options.init_text.empty())
      throw section.error(
          "prefix_init_text",
          "\"prefix_init_text\" is for keys and values that are trained themselves, "
          "not for those that a network makes (prefix_projection)");
  }
  void saved(Json& json) const { json.erase("prefix_init_text"); }
};

ChosenAdapter read_prefix(Config& section) {
  ChosenAdapter chosen;
  const PrefixOptions options = read_method_options<PrefixKeys>(section, chosen).options;
  chosen.prefix = options;
  if (options.prefix_projection) chosen.learning_rate = kProjectedRate;
  return chosen;
}

}  // namespace

Prefix::Prefix(const PrefixOptions& options, const KeyValueShape& shape, uint64_t seed)
    : options_(options), shape_(shape) {
  const int64_t all = shape.layers * 2 * shape.width(), length = options.num_virtual_tokens;
  embedding_ = adopt_weight(*this, "embedding.weight",
                            at::zeros({length, options.prefix_projection ? shape.width() : all}));
  fill_normal(embedding_, 1, seed);
  if (!options.prefix_projection) return;
  const int64_t inner =
      options.encoder_hidden_size > 0 ? options.encoder_hidden_size : shape.width();
  inner_weight_ = adopt_weight(*this, "transform.0.weight", at::zeros({inner, shape.width()}));
  inner_bias_ = adopt_weight(*this, "transform.0.bias", at::zeros({inner}));
  outer_weight_ = adopt_weight(*this, "transform.2.weight", at::zeros({all, inner}));
  outer_bias_ = adopt_weight(*this, "transform.2.bias", at::zeros({all}));
  begin_linear(inner_weight_, inner_bias_, mix(seed, 2));
  begin_linear(outer_weight_, outer_bias_, mix(seed, 3));
}

void Prefix::begin_as(const at::Tensor& keys_and_values) {
  const c10::AutoGradMode no_grad(false);
  embedding_.copy_(keys_and_values);
}

at::Tensor Prefix::flat() {
  if (!options_.prefix_projection) return embedding_;
  const at::Tensor inner = at::linear(embedding_, inner_weight_, inner_bias_).tanh();
  return at::linear(inner, outer_weight_, outer_bias_);
}

std::shared_ptr<const KeyValuePrefix> Prefix::before(const Packed& tokens) {
  const at::Tensor values = flat().view({length(), shape_.layers, 2, shape_.heads, shape_.dim});
  return std::make_shared<KeyValuePrefix>(values, tokens);
}

// The rate: what P-tuning v2's released scripts take most often for BERT and RoBERTa.
AdapterInfo prefix_tuning() {
  return {.name = "prefix_tuning",
          .peft_type = "PREFIX_TUNING",
          .help = "keys and values before the tokens; P-tuning v2",
          .learning_rate = 5e-3,
          .read = read_prefix,
          .idle_keys = {"token_dim", "num_transformer_submodules", "num_attention_heads",
                        "num_layers", "init_weights", "prefix_projection", "encoder_hidden_size"}};
}

}  // namespace hone
