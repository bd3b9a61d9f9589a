// What config.json says of decoders: defaults, windows, rotary positions, and what cannot be.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "models/encoder_backbone.h"
#include "models/layers/rows.h"
#include "models/rotary_fields.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::error_of;
using testing_support::TemporaryFolder;

ModelConfig load_decoder(const std::string& model_type, const std::string& keys = "") {
  const TemporaryFolder folder;
  const std::string more = keys.empty() ? "" : ",\n  " + keys;
  write_file(folder / "config.json",
             fmt::format("{{\n  \"model_type\": \"{}\"{}\n}}", model_type, more));
  return ModelConfig::load(folder.path());
}

std::string error_loading_decoder(const std::string& model_type, const std::string& keys) {
  return error_of([&] { load_decoder(model_type, keys); });
}

const EncoderPlan& decoder_plan(const ModelConfig& config) {
  return dynamic_cast<const EncoderPlan&>(*config.plan);
}

// Of each layer, as attention counts it.
std::vector<int64_t> windows_of(const ModelConfig& config) {
  const EncoderPlan& plan = decoder_plan(config);
  std::vector<int64_t> windows;
  for (int64_t layer = 0; layer < plan.layers; ++layer) {
    BlockOptions block = plan.block;
    if (plan.vary) plan.vary(layer, block);
    windows.push_back(block.window);
  }
  return windows;
}

constexpr const char* kDecoders[] = {"gemma2", "gpt2",  "llama", "mistral",
                                     "phi3",   "qwen2", "qwen3"};

TEST(Decoders, PredictTheNextTokenAndSeeThoseBeforeAlone) {
  for (const char* model_type : kDecoders) {
    const ModelConfig config = load_decoder(model_type);
    EXPECT_TRUE(config.is_causal) << model_type;
    ASSERT_TRUE(config.causal_lm) << model_type;
    EXPECT_EQ(config.causal_lm->out, "lm_head") << model_type;
    EXPECT_TRUE(config.sentence_head.takes_last) << model_type;
    EXPECT_FALSE(config.sentence_head.out_has_bias) << model_type;
    EXPECT_FALSE(config.masked_lm) << model_type;
  }
}

TEST(Decoders, FillInTransformersDefaults) {
  const ModelConfig gpt2 = load_decoder("gpt2");
  EXPECT_EQ(gpt2.hidden_size, 768);
  EXPECT_EQ(gpt2.max_positions, 1024);
  EXPECT_EQ(decoder_plan(gpt2).block.intermediate, 3072);
  EXPECT_TRUE(gpt2.causal_lm->is_tied);
  EXPECT_EQ(gpt2.causal_lm->architecture_end, "LMHeadModel");
  const ModelConfig llama = load_decoder("llama");
  EXPECT_EQ(llama.max_positions, 2048);
  EXPECT_EQ(decoder_plan(llama).block.heads.key_value, 32);
  EXPECT_EQ(decoder_plan(llama).block.rotary.theta, 10000);
  EXPECT_EQ(decoder_plan(llama).block.rotary.columns, 128);
  EXPECT_FALSE(llama.causal_lm->is_tied);
  const ModelConfig mistral = load_decoder("mistral");
  EXPECT_EQ(decoder_plan(mistral).block.heads.key_value, 8);
  EXPECT_EQ(mistral.max_positions, 131072);
  const ModelConfig qwen3 = load_decoder("qwen3", R"("hidden_size": 1024,
  "num_attention_heads": 16, "num_key_value_heads": 8)");
  EXPECT_EQ(decoder_plan(qwen3).block.heads.dim, 128);
  const ModelConfig gemma2 = load_decoder("gemma2");
  EXPECT_EQ(decoder_plan(gemma2).block.attention_soft_cap, 50);
  EXPECT_EQ(gemma2.causal_lm->soft_cap, 30);
  EXPECT_TRUE(gemma2.causal_lm->is_tied);
}

TEST(Decoders, TakeNullForNothingWhereAnAbsentKeyIsADefault) {
  const ModelConfig gemma2 = load_decoder("gemma2", R"("attn_logit_softcapping": null,
  "final_logit_softcapping": null)");
  EXPECT_EQ(decoder_plan(gemma2).block.attention_soft_cap, 0);
  EXPECT_EQ(gemma2.causal_lm->soft_cap, 0);
  const std::string two = R"("num_hidden_layers": 2, )";
  EXPECT_EQ(windows_of(load_decoder("mistral", R"("num_hidden_layers": 2)")),
            std::vector<int64_t>({4095, 4095}));
  EXPECT_EQ(windows_of(load_decoder("mistral", two + R"("sliding_window": null)")),
            std::vector<int64_t>({0, 0}));
  EXPECT_EQ(
      decoder_plan(load_decoder("mistral", R"("num_key_value_heads": null)")).block.heads.key_value,
      32);
}

// A window of so many tokens, the token's own among them, is one less on each side.
TEST(Decoders, HaveWindowsInTheLayersThatAreNamed) {
  const std::string four = R"("num_hidden_layers": 4, "sliding_window": 6)";
  EXPECT_EQ(windows_of(load_decoder("gemma2", four)), std::vector<int64_t>({5, 0, 5, 0}));
  EXPECT_EQ(windows_of(load_decoder("phi3", four)), std::vector<int64_t>({5, 5, 5, 5}));
  EXPECT_EQ(windows_of(load_decoder("phi3", R"("num_hidden_layers": 1)")),
            std::vector<int64_t>({0}));
  EXPECT_EQ(windows_of(load_decoder("qwen2", four)), std::vector<int64_t>({0, 0, 0, 0}));
  EXPECT_EQ(windows_of(load_decoder(
                "qwen2", four + R"(, "use_sliding_window": true, "max_window_layers": 3)")),
            std::vector<int64_t>({0, 0, 0, 5}));
  EXPECT_EQ(windows_of(load_decoder("qwen3", R"("num_hidden_layers": 2, "sliding_window": 6,
  "use_sliding_window": true, "layer_types": ["sliding_attention", "full_attention"])")),
            std::vector<int64_t>({5, 0}));
}

TEST(Decoders, NameTheLineOfADefect) {
  struct Case {
    const char *model_type, *keys, *words;
  };
  const Case cases[] = {
      {"llama", R"("num_attention_heads": 9, "hidden_size": 90,
  "num_key_value_heads": 4)",
       R"(config.json:4: "num_attention_heads" 9 is not a multiple of "num_key_value_heads" 4.)"},
      {"llama", R"("hidden_size": 100)", R"("hidden_size" 100 is not a multiple of)"},
      {"llama", R"("head_dim": 7)", "config.json:3: rotary positions of 7 values for each head"},
      {"llama", R"("head_dim": 0)", R"(config.json:3: "head_dim" should be a positive whole)"},
      {"llama", R"("num_attention_heads": 2048, "hidden_size": 4096)",
       "asks for 2048 attention heads"},
      {"llama", R"("num_hidden_layers": 200000)", "asks for 200000 layers"},
      {"llama", R"("hidden_act": "silo")", R"(config.json:3: "hidden_act": unknown activation)"},
      {"llama", R"("rope_theta": 0)", R"(config.json:3: "rope_theta", the base of rotary)"},
      {"llama", R"("partial_rotary_factor": 0.5)", "0.5 is not supported here; only 1 is."},
      {"llama", R"("tie_word_embeddings": "no")", "should be true or false"},
      {"mistral", R"("sliding_window": 0)",
       R"(config.json:3: "sliding_window" should be a whole number from 2, not 0.)"},
      {"mistral", R"("sliding_window": -1)", "should be a whole number from 2, not -1."},
      {"qwen2", R"("num_hidden_layers": 1,
  "layer_types": ["sliding_attention"])",
       R"(config.json:4: "layer_types" names a window in layer 0, but "sliding_window" says)"},
      {"qwen3", R"("layer_types": ["full_attention"])", "should be a list of 32 names"},
      {"gemma2", R"("use_bidirectional_attention": true)", "only attention to tokens before"},
      {"gemma2", R"("attn_logit_softcapping": 0)", "should be above 0, or null for none."},
      {"gemma2", R"("query_pre_attn_scalar": 0)", "should be a positive whole number"},
      {"phi3", R"("partial_rotary_factor": 0)", "should be above 0 and at most 1, not 0."},
      {"phi3", R"("partial_rotary_factor": 0.02)", "rotary positions of 1 values"},
      {"gpt2", R"("n_head": 5)", R"(config.json:3: "n_embd" 768 is not a multiple of "n_head" 5.)"},
      {"gpt2", R"("add_cross_attention": true)", R"("add_cross_attention" is true)"},
      {"gpt2", R"("n_positions": 99999999999)", "should be a positive whole number"}};
  for (const Case& one : cases)
    EXPECT_THAT(error_loading_decoder(one.model_type, one.keys),
                AllOf(HasSubstr("config.json"), HasSubstr(one.words)))
        << one.model_type << " " << one.keys;
}

TEST(Decoders, NameTheDefectOfRotaryScaling) {
  const std::pair<const char*, const char*> cases[] = {
      {R"("rope_type": "ntk")",
       R"(config.json:3: "rope_type" "ntk" is not supported; known are default, linear, dynamic, )"
       R"(yarn, llama3, longrope.)"},
      {R"("type": "mrope")", R"("type" "mrope" is not supported)"},
      {R"("rope_type": "linear")", R"("rope_type" "linear" needs "factor".)"},
      {R"("rope_type": "linear", "factor": 0.5)",
       R"(config.json:3: "factor" should be a number from 1, not 0.5.)"},
      {R"("rope_type": "linear", "factor": -2)", R"("factor" should be a number from 0, not -2.)"},
      {R"("rope_type": "linear", "factor": "x")", R"("factor" should be a number from 0)"},
      {R"("rope_type": "dynamic", "factor": 0)", R"("factor" should be a number from 1, not 0.)"},
      {R"("rope_type": "yarn", "factor": 0.9)", R"("factor" should be a number from 1, not 0.9.)"},
      {R"("rope_type": "yarn", "factor": 2, "beta_fast": 1, "beta_slow": 3)",
       R"("beta_slow" 3 should be above 0 and below "beta_fast" 1.)"},
      {R"("rope_type": "llama3", "factor": 8, "low_freq_factor": 1)",
       R"("rope_type" "llama3" needs "high_freq_factor".)"},
      {R"("rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4)",
       R"("low_freq_factor" 4 should be above 0 and below "high_freq_factor" 4.)"},
      {R"("rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 0)",
       R"("original_max_position_embeddings" should be a positive whole number)"},
      {R"("rope_type": "longrope", "short_factor": [1, 2])",
       R"("short_factor" should be a list of 64 numbers above 0, one for each angle.)"}};
  for (const auto& [parameters, words] : cases) {
    for (const char* key : {"rope_parameters", "rope_scaling"})
      EXPECT_THAT(error_loading_decoder("llama", fmt::format("\"{}\": {{{}}}", key, parameters)),
                  AllOf(HasSubstr("config.json"), HasSubstr(words)))
          << key << " " << parameters;
  }
  EXPECT_THAT(error_loading_decoder("phi3", R"("rope_scaling": {"type": "linear", "factor": 2})"),
              HasSubstr("known are default, longrope."));
}

TEST(Decoders, TakeLongerSequencesWhereScalingIsMeantForThem) {
  const auto most = [](const std::string& parameters) {
    return load_decoder("llama",
                        R"("max_position_embeddings": 1000, "rope_scaling": {)" + parameters + "}")
        .max_positions;
  };
  EXPECT_EQ(most(R"("type": "linear", "factor": 4)"), 1000);
  EXPECT_EQ(most(R"("type": "dynamic", "factor": 4)"), 4000);
  EXPECT_EQ(most(R"("type": "yarn", "factor": 4)"), 4000);
  EXPECT_EQ(most(R"("type": "yarn", "factor": 4, "original_max_position_embeddings": 100)"), 1000);
}

// ---- angles

// 1 / theta^(2 i / columns) in fp64.
std::vector<double> plain_angles(double theta, int64_t columns) {
  std::vector<double> angles;
  for (int64_t i = 0; i < columns; i += 2)
    angles.push_back(std::pow(theta, -double(i) / double(columns)));
  return angles;
}

void expect_angles(const RotaryOptions& options, int64_t length,
                   const std::vector<double>& expected) {
  const at::Tensor found = frequencies_of(options, length).to(at::kDouble);
  ASSERT_EQ(found.numel(), int64_t(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(found[int64_t(i)].item<double>() / expected[i], 1, 1e-6) << i;
}

template <typename Change>
std::vector<double> changed(std::vector<double> angles, const Change& change) {
  for (double& angle : angles) angle = change(angle);
  return angles;
}

TEST(RotaryAngles, AreDividedByALinearFactor) {
  expect_angles({.theta = 500, .columns = 8, .scaling = RotaryScaling::kLinear, .factor = 3}, 99,
                changed(plain_angles(500, 8), [](double angle) { return angle / 3; }));
}

TEST(RotaryAngles, HaveALargerBaseInLongerSequencesOfDynamicScaling) {
  const RotaryOptions options{
      .theta = 500, .columns = 8, .scaling = RotaryScaling::kDynamic, .factor = 2, .trained = 100};
  expect_angles(options, 100, plain_angles(500, 8));
  expect_angles(options, 300, plain_angles(500 * std::pow(2 * 3 - 1, 8.0 / 6), 8));
}

// A wave that is longer than the trained positions is stretched, one of a quarter of them stays.
TEST(RotaryAngles, OfLlama3AreDividedWhereTheyAreSlow) {
  const double trained = 100, factor = 8;
  const auto expected = changed(plain_angles(1e4, 16), [&](double angle) {
    const double wave = 2 * M_PI / angle;
    if (wave < trained / 4) return angle;
    if (wave > trained) return angle / factor;
    const double share = (trained / wave - 1) / (4 - 1);
    return (1 - share) * angle / factor + share * angle;
  });
  expect_angles({.theta = 1e4,
                 .columns = 16,
                 .scaling = RotaryScaling::kLlama3,
                 .factor = factor,
                 .trained = trained,
                 .slow = 1,
                 .fast = 4},
                50, expected);
}

// Columns up to the one that turns `fast` times within the trained positions stay, those from the
// one that turns `slow` times on are divided, and between them the share grows evenly.
TEST(RotaryAngles, OfYarnAreDividedFromColumnToColumn) {
  const int64_t columns = 32;
  const double trained = 4096, factor = 4, theta = 1e4;
  const auto column = [&](double turns) {
    return double(columns) / 2 * std::log(trained / (2 * M_PI * turns)) / std::log(theta);
  };
  const double first = std::floor(column(32)), last = std::ceil(column(1));
  ASSERT_GT(first, 0);
  ASSERT_LT(last, columns / 2);
  std::vector<double> expected = plain_angles(theta, columns);
  for (size_t i = 0; i < expected.size(); ++i) {
    const double share = std::clamp((double(i) - first) / (last - first), 0.0, 1.0);
    expected[i] = expected[i] * (1 - share) + expected[i] / factor * share;
  }
  expect_angles({.theta = theta,
                 .columns = columns,
                 .scaling = RotaryScaling::kYarn,
                 .factor = factor,
                 .trained = trained},
                50, expected);
}

TEST(RotaryAngles, OfYarnMakeCosineAndSineLarger) {
  const auto amplitude = [](const std::string& parameters) {
    return decoder_plan(load_decoder("llama", R"("rope_scaling": {"type": "yarn", "factor": 8)" +
                                                  parameters + "}"))
        .block.rotary.amplitude;
  };
  EXPECT_NEAR(amplitude(""), 0.1 * std::log(8) + 1, 1e-12);
  EXPECT_EQ(amplitude(R"(, "attention_factor": 1.5)"), 1.5);
  EXPECT_NEAR(amplitude(R"(, "mscale": 2, "mscale_all_dim": 1)"),
              (0.2 * std::log(8) + 1) / (0.1 * std::log(8) + 1), 1e-12);
}

Packed tokens_of(const std::vector<int64_t>& lengths) {
  std::vector<at::Tensor> positions;
  std::vector<int32_t> ends = {0};
  Packed out;
  for (const int64_t length : lengths) {
    positions.push_back(at::arange(length));
    ends.push_back(ends.back() + int32_t(length));
    out.max_len = std::max(out.max_len, length);
  }
  out.ids = out.positions = at::cat(positions);
  out.cu_seqlens = at::tensor(ends, at::kInt);
  return out;
}

// Neither a longer neighbour nor where a sequence begins in the batch changes its angles.
TEST(RotaryAngles, OfASequenceFollowFromItsOwnLengthAlone) {
  const RotaryOptions options{
      .theta = 500, .columns = 6, .scaling = RotaryScaling::kDynamic, .factor = 2, .trained = 5};
  const at::Tensor x = at::sin(at::arange(17 * 2 * 8, at::kFloat)).view({17, 2, 8});
  const at::Tensor together = Rows(tokens_of({4, 9, 4}), false).turned(x, options);
  const at::Tensor longest = Rows(tokens_of({9}), false).turned(x.slice(0, 4, 13), options);
  EXPECT_TRUE(together.slice(0, 4, 13).equal(longest));
  RotaryOptions plain = options;
  plain.scaling = RotaryScaling::kNone;
  const at::Tensor unscaled = Rows(tokens_of({4, 9, 4}), false).turned(x, plain);
  EXPECT_TRUE(together.slice(0, 0, 4).equal(unscaled.slice(0, 0, 4)));
  EXPECT_TRUE(together.slice(0, 13).equal(unscaled.slice(0, 13)));
  EXPECT_GT((together - unscaled).abs().max().item<float>(), 0.1);
  EXPECT_TRUE(together.slice(2, 6).equal(x.slice(2, 6)));  // columns that are not turned
}

// ---- weights

TEST(Decoders, AreComparedWithTheirWeightsBeforeAnythingIsBuilt) {
  const StateDict weights = {{"model.layers.0.mlp.up_proj.weight", at::zeros({4, 4})},
                             {"lm_head.weight", at::zeros({4, 4})}};
  const auto error = [&](const std::string& keys) {
    const ModelConfig config = load_decoder("llama", keys);
    return error_of([&] { config.compare_with(weights, "model"); });
  };
  for (const char* large :
       {R"("num_hidden_layers": 1, "hidden_size": 2000000000)",
        R"("num_hidden_layers": 1, "hidden_size": 128, "intermediate_size": 2000000000)",
        R"("num_hidden_layers": 1, "hidden_size": 128, "vocab_size": 2000000000)",
        R"("num_hidden_layers": 1, "hidden_size": 128, "head_dim": 2000000000)"})
    EXPECT_THAT(error(large), HasSubstr("describes a network of")) << large;
  EXPECT_THAT(error(R"("num_hidden_layers": 2, "hidden_size": 128)"),
              HasSubstr("config.json says 2 layers, but the weights have 1"));
}

TEST(Decoders, NormsThatAddOneBeginAtNone) {
  const ModelConfig config = load_decoder("gemma2", R"("hidden_size": 8, "num_hidden_layers": 1,
  "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "intermediate_size": 6,
  "vocab_size": 11)");
  const auto backbone = make_backbone(config);
  backbone->initialise(1);
  int norms = 0;
  for (const auto& item : backbone->named_parameters()) {
    if (!item.key().ends_with("norm.weight")) continue;
    EXPECT_EQ(item.value().abs().max().item<float>(), 0) << item.key();
    ++norms;
  }
  EXPECT_EQ(norms, 5);
}

TEST(Decoders, StoreGpt2sMatricesWithRowsAndColumnsExchanged) {
  const ModelConfig config = load_decoder("gpt2");
  const at::Tensor matrix = at::arange(6, at::kFloat).view({2, 3});
  for (const char* name : {"transformer.h.0.attn.c_attn.weight", "h.11.mlp.c_proj.weight"}) {
    const at::Tensor stored = config.stored(name, matrix);
    EXPECT_EQ(stored.sizes(), at::IntArrayRef({3, 2})) << name;
    EXPECT_EQ(stored.data_ptr(), matrix.data_ptr()) << name;
  }
  for (const char* name : {"transformer.wte.weight", "lm_head.weight", "h.0.attn.c_attn.bias"})
    EXPECT_TRUE(config.stored(name, matrix).is_same(matrix)) << name;
  EXPECT_TRUE(load_decoder("llama").stored("h.0.attn.c_attn.weight", matrix).is_same(matrix));
}

}  // namespace
}  // namespace hone
