#include "models/t5.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/config_fields.h"
#include "models/encoder_decoder.h"

namespace hone::t5 {
namespace {

// Distances know no longest sequence; this one is long enough for what attention can do.
constexpr int64_t kPositions = int64_t{1} << 15;

constexpr const char* kForm = "feed_forward_proj";

struct Family {
  const char* architecture_stem;
  int64_t words, hidden, intermediate, layers, heads;
  const char* form;
};
constexpr Family kT5{"T5", 32128, 512, 2048, 6, 8, "relu"},
    kMt5{"MT5", 250112, 512, 1024, 8, 6, "gated-gelu"};

const AttentionNames kProducts{.query = "q", .key = "k", .value = "v", .out = "o"};

// Of a block whose feed-forward is its part number `last`.
BlockNames names_of(int64_t last, bool is_gated) {
  const std::string part = fmt::format("layer.{}", last), inner = part + ".DenseReluDense.";
  return {.attention = "layer.0.SelfAttention",
          .products = kProducts,
          .attention_norm = "layer.0.layer_norm",
          .up = inner + (is_gated ? "wi_1" : "wi"),
          .down = inner + "wo",
          .out_norm = part + ".layer_norm",
          .gate = is_gated ? inner + "wi_0" : ""};
}

// "relu", "gelu", "gated-gelu", "gated-silu".
void read_form(const Json& config, const Family& family, BlockOptions& block) {
  constexpr std::string_view kGated = "gated-";
  std::string name = text_field(config, kForm, family.form);
  block.is_gated = name.starts_with(kGated);
  if (block.is_gated) name.erase(0, kGated.size());
  if (block.is_gated && name == "gelu") name = "gelu_new";  // as the reference takes it
  Json plain = Json::object();
  plain[kForm] = name;
  block.activation = activation_field(plain, kForm, name);
}

DistanceBiasPlan read_bias(const Json& config, const std::string& side, bool is_causal) {
  constexpr const char *kBuckets = "relative_attention_num_buckets",
                       *kFarthest = "relative_attention_max_distance";
  const int64_t buckets = count_field(config, kBuckets, 32, 4),
                farthest = count_field(config, kFarthest, 128);
  if (buckets % 2 != 0)
    throw ConfigDefect(kBuckets, fmt::format("\"{}\" {} is not even.", kBuckets, buckets));
  if (farthest <= buckets / 2)
    throw ConfigDefect(kFarthest, fmt::format("\"{}\" {} is not more than half of the {} buckets.",
                                              kFarthest, farthest, buckets));
  return {.name = side + ".block.0.layer.0.SelfAttention.relative_attention_bias",
          .buckets = buckets,
          .bucket_of = is_causal ? logarithmic_buckets_before(buckets, farthest)
                                 : logarithmic_buckets(buckets, farthest)};
}

EncoderPlan read_side(const Json& config, const Family& family, bool is_decoder) {
  const std::string side = is_decoder ? "decoder" : "encoder";
  const int64_t hidden = count_field(config, "d_model", family.hidden),
                heads = count_field(config, "num_heads", family.heads),
                layers = count_field(config, "num_layers", family.layers);
  const double dropout = dropout_field(config, "dropout_rate", 0.1);
  EncoderPlan plan;
  plan.embeddings = {.words = count_field(config, "vocab_size", family.words),
                     .width = hidden,
                     .dropout = dropout,
                     .names = {.norm = ""}};
  plan.embeddings_name = side;
  plan.layers = is_decoder ? count_field(config, "num_decoder_layers", layers) : layers;
  plan.block_name = [side](int64_t layer) { return fmt::format("{}.block.{}", side, layer); };
  plan.block = {
      .hidden = hidden,
      .intermediate = count_field(config, "d_ff", family.intermediate),
      .heads = {.query = heads, .key_value = heads, .dim = count_field(config, "d_kv", 64)},
      .attention_has_bias = false,
      .feed_forward_has_bias = false,
      .norm_kind = NormKind::kRms,
      .norm_eps = number_field(config, "layer_norm_epsilon", 1e-6),
      .dropout = {.attention = dropout,
                  .attention_out = dropout,
                  .feed_forward_out = dropout,
                  .feed_forward_inner = dropout},
      .norm_first = true,
      .attention_scale = 1,
      .is_causal = is_decoder,
  };
  read_form(config, family, plan.block);
  plan.block.names = names_of(is_decoder ? 2 : 1, plan.block.is_gated);
  plan.distance_bias = read_bias(config, side, is_decoder);
  plan.final_norm = side + ".final_layer_norm";
  plan.final_dropout = dropout;
  return plan;
}

EncoderDecoderPlan read_plan(const Json& config, const Family& family) {
  EncoderDecoderPlan plan;
  plan.encoder = read_side(config, family, /*is_decoder=*/false);
  plan.decoder = read_side(config, family, /*is_decoder=*/true);
  BlockNames& names = plan.decoder.block.names;
  names.cross_attention = "layer.1.EncDecAttention";
  names.cross_norm = "layer.1.layer_norm";
  names.cross_products = kProducts;
  plan.shared_words = "shared";
  return plan;
}

// Of a weight by how its name ends, as the reference begins it: matrices so that what they give is
// as large as what they get, and the products of queries and keys are not scaled.
std::function<double(const std::string&)> initial_of(double factor, const BlockOptions& block) {
  const auto root = [factor](int64_t inputs) { return factor / std::sqrt(double(inputs)); };
  const std::pair<const char*, double> ends[] = {
      {"layer_norm.weight", factor},
      {"shared.weight", factor},
      {".q.weight", root(block.hidden * block.heads.dim)},
      {".o.weight", root(block.heads.query * block.heads.dim)},
      {".wo.weight", root(block.intermediate)}};
  return [values = std::vector(std::begin(ends), std::end(ends)),
          other = root(block.hidden)](const std::string& name) {
    const auto found = std::find_if(values.begin(), values.end(),
                                    [&](const auto& value) { return name.ends_with(value.first); });
    return found == values.end() ? other : found->second;
  };
}

ModelConfig read(const Json& config, const Family& family) {
  const EncoderDecoderPlan plan = read_plan(config, family);
  ModelConfig out = plan.described(config);
  out.base_prefix = "transformer";
  out.is_bare = true;
  out.architecture_stem = family.architecture_stem;
  out.max_positions = kPositions;
  EncoderDecoderFacts& facts = *out.encoder_decoder;
  facts.source_positions = kPositions;
  if (facts.start < 0) facts.start = count_field(config, "pad_token_id", 0, 0);
  if (facts.end < 0) facts.end = 1;
  const double factor = number_field(config, "initializer_factor", 1);
  out.initializer_range = factor;  // of an output that is not the table of words
  out.initial = initial_of(factor, plan.decoder.block);
  out.causal_lm = {.out = "lm_head",
                   .is_tied = flag_field(config, "tie_word_embeddings", true),
                   .table = plan.shared_words,
                   .architecture_end = "ForConditionalGeneration",
                   .copies = {"encoder.embed_tokens", "decoder.embed_tokens"},
                   .ties_where_missing = true};
  return out;
}

}  // namespace

// The output reads states that are scaled. Those of version 1.1 are not: its config.json says so,
// or, an older one, that the output is not the table of words, even where a checkpoint has no
// other.
ModelConfig read_config(const Json& config) {
  ModelConfig out = read(config, kT5);
  if (flag_field(config, "scale_decoder_outputs", out.causal_lm->is_tied))
    out.causal_lm->scale = 1 / std::sqrt(double(out.hidden_size));
  return out;
}

ModelConfig read_mt5_config(const Json& config) { return read(config, kMt5); }

}  // namespace hone::t5
