#include "models/deberta.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "models/bert.h"
#include "models/config_fields.h"

namespace hone::deberta {
namespace {

const BlockNames kDebertaNames{
    .attention = "attention",
    .products = {},
    .attention_norm = "attention.output.LayerNorm",
    .up = "intermediate.dense",
    .down = "output.dense",
    .out_norm = "output.LayerNorm",
};

constexpr const char* kParts = "pos_att_type";

// "c2p|p2c" or a list of the names; nothing: none.
std::vector<std::string> named_parts(const Json& config) {
  const auto found = config.find(kParts);
  if (found == config.end() || found->is_null()) return {};
  std::vector<std::string> names;
  if (found->is_array()) {
    for (const Json& name : *found)
      names.push_back(name.is_string() ? name.get<std::string>() : "");
    return names;
  }
  std::string name;
  for (const char c : text_field(config, kParts, "") + "|") {
    if (c == '|') names.push_back(std::exchange(name, ""));
    if (c != '|' && c != ' ')
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return names;
}

void read_parts(const Json& config, DisentangledAttentionOptions& attention) {
  for (const std::string& name : named_parts(config)) {
    bool& part = name == "p2c" ? attention.position_to_content : attention.content_to_position;
    if (name != "c2p" && name != "p2c")
      throw ConfigDefect(kParts, fmt::format("\"{}\" should hold \"c2p\" and \"p2c\" alone, not "
                                             "\"{}\".",
                                             kParts, name));
    if (part) throw ConfigDefect(kParts, fmt::format("\"{}\" has \"{}\" twice.", kParts, name));
    part = true;
    ++attention.parts;
  }
}

// Exact near by, logarithmic farther off: of a distance `far` >= 0 (T5's idea, in fp32 as the
// reference computes it, since a bucket hangs on the last bit).
int64_t log_bucket(int64_t far, int64_t buckets, int64_t most) {
  const int64_t mid = buckets / 2;
  if (far <= mid) return far;
  const float whole = std::log(static_cast<float>(static_cast<double>(most - 1) / double(mid))),
              part = std::log(static_cast<float>(far) / static_cast<float>(mid));
  return static_cast<int64_t>(std::ceil(part / whole * static_cast<float>(mid - 1))) + mid;
}

// As many buckets before as after a token; those of far distances are the outermost.
RelativePositionsOptions relative_positions(int64_t reach, int64_t log_buckets, int64_t most) {
  RelativePositionsOptions options;
  options.buckets = 2 * reach;
  options.bucket_of = [=](int64_t distance) {
    const int64_t far = std::abs(distance),
                  bucket = log_buckets > 0 ? log_bucket(far, log_buckets, most) : far;
    return std::clamp<int64_t>(reach + (distance > 0 ? -bucket : bucket), 0, 2 * reach - 1);
  };
  return options;
}

void refuse_buckets(int64_t buckets, int64_t most) {
  if (buckets >= 2 && most - 1 > buckets / 2) return;
  throw ConfigDefect(
      "position_buckets",
      fmt::format("\"position_buckets\" {} leaves nothing for distances to share: it should be at "
                  "least 2 and less than twice the greatest distance, {}.",
                  buckets, most - 1));
}

void read_positions(const Json& config, bool reads_log_buckets, DebertaPlan& plan) {
  if (!flag_field(config, "relative_attention", false)) return;
  if (!plan.attention.content_to_position && !plan.attention.position_to_content)
    throw ConfigDefect("relative_attention",
                       "\"relative_attention\" is true, but \"pos_att_type\" names nothing that "
                       "would read positions.");
  int64_t most = count_field(config, "max_relative_positions", -1, -1);
  if (most < 1) most = plan.longest;
  const int64_t log_buckets =
      reads_log_buckets ? count_field(config, "position_buckets", -1, -1) : -1;
  if (log_buckets > 0) refuse_buckets(log_buckets, most);
  plan.positions = relative_positions(log_buckets > 0 ? log_buckets : most, log_buckets, most);
  plan.positions.hidden = plan.block.hidden;
  plan.positions.norm_eps = plan.block.norm_eps;
  plan.positions.dropout = plan.embeddings.dropout;
}

void refuse_other_sizes(const Json& config, const DebertaPlan& plan) {
  const auto refuse = [&](const char* key, int64_t only, const char* of) {
    const int64_t found = count_field(config, key, only);
    if (found != only)
      throw ConfigDefect(
          key, fmt::format("\"{}\" {} is not supported; only {} of {} is.", key, found, only, of));
  };
  refuse("pooler_hidden_size", plan.block.hidden, "\"hidden_size\"");
  refuse("attention_head_size", plan.block.heads.dim, "an even share of \"hidden_size\"");
}

TokenEmbeddingsOptions read_embeddings(const Json& config, int64_t words, int64_t hidden,
                                       int64_t longest) {
  const int64_t width = count_field(config, "embedding_size", hidden);
  TokenEmbeddingsOptions embeddings;
  embeddings.words = count_field(config, "vocab_size", words);
  embeddings.width = width;
  embeddings.padding = padding_field(config, embeddings.words, 0);
  if (width != hidden) embeddings.projected = hidden;
  if (flag_field(config, "position_biased_input", true)) embeddings.positions = longest;
  embeddings.segments = count_field(config, "type_vocab_size", 0, 0);
  embeddings.norm_eps = number_field(config, "layer_norm_eps", 1e-7);
  embeddings.dropout = dropout_field(config, "hidden_dropout_prob", 0.1);
  return embeddings;
}

}  // namespace

DebertaPlan read_plan(const Json& config, const Defaults& defaults, bool reads_log_buckets) {
  const int64_t hidden = count_field(config, "hidden_size", defaults.hidden);
  DebertaPlan plan;
  plan.longest = count_field(config, "max_position_embeddings", 512);
  plan.embeddings = read_embeddings(config, defaults.words, hidden, plan.longest);
  plan.layers = count_field(config, "num_hidden_layers", defaults.layers);
  plan.block_name = [](int64_t layer) { return fmt::format("encoder.layer.{}", layer); };
  plan.block = {
      .hidden = hidden,
      .intermediate = count_field(config, "intermediate_size", defaults.intermediate),
      .heads = heads_field(config, "num_attention_heads", defaults.heads, "hidden_size", hidden),
      .activation = activation_field(config, "hidden_act", "gelu"),
      .norm_eps = plan.embeddings.norm_eps,
      .dropout = {.attention_out = plan.embeddings.dropout,
                  .feed_forward_out = plan.embeddings.dropout},
      .names = kDebertaNames,
  };
  plan.attention = {.hidden = hidden,
                    .heads = plan.block.heads,
                    .dropout = dropout_field(config, "attention_probs_dropout_prob", 0.1)};
  read_parts(config, plan.attention);
  read_positions(config, reads_log_buckets, plan);
  refuse_other_sizes(config, plan);
  return plan;
}

ModelConfig described(const Json& config, const DebertaPlan& plan) {
  ModelConfig out = plan.described(config);
  out.base_prefix = "deberta";
  out.max_positions = plan.longest;
  out.initializer_range = number_field(config, "initializer_range", 0.02);
  out.token_head.dropout = plan.embeddings.dropout;
  out.sentence_head = {.dropout_before_dense = dropout_field(config, "pooler_dropout", 0),
                       .dense = "pooler.dense",
                       .activation = activation_field(config, "pooler_hidden_act", "gelu"),
                       .dropout = dropout_field(config, "cls_dropout", plan.embeddings.dropout)};
  out.masked_lm = bert::masked_lm(plan);
  // Checkpoints of before Transformers renamed it, which config.json's "legacy" says by default.
  if (!flag_field(config, "legacy", true))
    out.masked_lm = {.dense = "lm_predictions.lm_head.dense",
                     .norm = "lm_predictions.lm_head.LayerNorm",
                     .bias = "lm_predictions.lm_head.bias",
                     .width = plan.block.hidden,
                     .activation = plan.block.activation,
                     .norm_eps = plan.block.norm_eps};
  return out;
}

ModelConfig read_config(const Json& config) {
  if (flag_field(config, "talking_head", false))
    throw ConfigDefect("talking_head", "\"talking_head\" is true, which is not supported.");
  DebertaPlan plan = read_plan(config, {}, /*reads_log_buckets=*/false);
  plan.attention.is_joined = true;
  ModelConfig out = described(config, plan);
  out.architecture_stem = "Deberta";
  return out;
}

}  // namespace hone::deberta
