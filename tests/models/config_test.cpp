#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "models/encoder_backbone.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

using testing::HasSubstr;
using testing_support::error_of;
using testing_support::TemporaryFolder;

ModelConfig load(const std::string& text) {
  const TemporaryFolder folder;
  write_file(folder / "config.json", text);
  return ModelConfig::load(folder.path());
}

const EncoderPlan& plan_of(const ModelConfig& config) {
  return dynamic_cast<const EncoderPlan&>(*config.plan);
}

std::string error_loading(const std::string& text) {
  return error_of([&] { load(text); });
}

TEST(ModelConfig, FillsInTransformersDefaults) {
  const ModelConfig bert = load(R"({"model_type": "bert"})");
  EXPECT_EQ(bert.model_type, "bert");
  EXPECT_EQ(bert.hidden_size, 768);
  EXPECT_EQ(bert.vocab_size, 30522);
  EXPECT_EQ(bert.max_positions, 512);
  EXPECT_EQ(bert.token_head.dropout, 0.1);
  EXPECT_TRUE(bert.sentence_head.uses_pooler);
  const ModelConfig roberta = load(
      R"({"model_type": "roberta", "max_position_embeddings": 514, "classifier_dropout": 0.3})");
  EXPECT_EQ(roberta.vocab_size, 50265);
  EXPECT_EQ(roberta.max_positions, 512);
  EXPECT_EQ(roberta.sentence_head.dropout, 0.3);
  EXPECT_EQ(roberta.sentence_head.out, "classifier.out_proj");
  const ModelConfig distilbert = load(R"({"model_type": "distilbert"})");
  EXPECT_EQ(distilbert.num_layers, 6);
  EXPECT_EQ(plan_of(distilbert).block.intermediate, 3072);
  EXPECT_EQ(distilbert.sentence_head.dropout, 0.2);
  const ModelConfig electra = load(R"({"model_type": "electra"})");
  EXPECT_EQ(electra.hidden_size, 256);
  EXPECT_EQ(plan_of(electra).block.heads.query, 4);
  EXPECT_EQ(electra.sentence_head.activation, kernels::Activation::kGelu);
}

TEST(ModelConfig, RefusesWeightsInFewerBits) {
  EXPECT_THAT(error_loading("{\"model_type\": \"llama\",\n"
                            "\"quantization_config\": {\"load_in_4bit\": true}}"),
              testing::AllOf(HasSubstr("config.json:2"), HasSubstr("peft.base")));
}

TEST(ModelConfig, KeepsTheRestOfTheFile) {
  EXPECT_EQ(load(R"({"model_type": "bert", "id2label": {"0": "NEG"}})").raw["id2label"]["0"],
            "NEG");
}

TEST(ModelConfig, NamesTheLineOfADefect) {
  EXPECT_THAT(
      error_loading("{\n  \"model_type\": \"bert\",\n  \"hidden_size\": -3\n}"),
      HasSubstr("config.json:3: \"hidden_size\" should be a positive whole number, not -3."));
  EXPECT_THAT(
      error_loading("{\n\"model_type\": \"bert\",\n\"position_embedding_type\": \"relative_key\"}"),
      HasSubstr("config.json:3: \"position_embedding_type\" \"relative_key\" is not supported; "
                "only \"absolute\" is."));
  EXPECT_THAT(error_loading(R"({"model_type": "brt"})"),
              HasSubstr("config.json:1: \"model_type\" \"brt\" is not supported; known are " +
                        fmt::format("{}.", fmt::join(families().names(), ", "))));
  EXPECT_THAT(
      error_loading(R"({"model_type": "bert", "hidden_size": 10, "num_attention_heads": 3})"),
      HasSubstr("\"hidden_size\" 10 is not a multiple of \"num_attention_heads\" 3"));
  EXPECT_THAT(error_loading(R"({"model_type": "bert", "hidden_size": 1e3})"),
              HasSubstr("should be a positive whole number, not 1000.0"));
  EXPECT_THAT(error_loading(R"({"model_type": "bert", "hidden_size": 99999999999999999999})"),
              HasSubstr("should be a positive whole number"));
  EXPECT_THAT(error_loading(R"({"model_type": "bert", "hidden_dropout_prob": 1})"),
              HasSubstr("\"hidden_dropout_prob\" should be a probability below 1, not 1."));
  EXPECT_THAT(error_loading(R"({"model_type": "bert", "pad_token_id": "[PAD]"})"),
              HasSubstr("config.json:1: \"pad_token_id\" should be the number of a token"));
  EXPECT_THAT(error_loading(R"({"model_type": "bert", "hidden_act": "gelo"})"),
              HasSubstr("config.json:1: \"hidden_act\": "));
  EXPECT_THAT(error_loading(R"({"model_type": "bert", "is_decoder": true})"),
              HasSubstr("only encoders are supported"));
  EXPECT_THAT(error_loading(R"({"model_type": 3})"),
              HasSubstr("\"model_type\" should be a string, not 3."));
  EXPECT_THAT(error_loading(R"({"hidden_size": 3})"), HasSubstr("\"model_type\" is missing"));
  EXPECT_THAT(error_loading("[]"), HasSubstr("should be a JSON object"));
  EXPECT_THAT(error_loading(R"({"model_type": "roberta", "max_position_embeddings": 2})"),
              HasSubstr("config.json:1: \"max_position_embeddings\" leaves no position after the 2 "
                        "reserved ones."));
}

TEST(ModelConfig, NamesTheDefectOfAnAlbert) {
  const auto error = [](const std::string& keys) {
    return error_loading("{\n  \"model_type\": \"albert\",\n  " + keys + "\n}");
  };
  EXPECT_EQ(plan_of(load(R"({"model_type": "albert"})")).block.heads.dim, 64);
  for (const char* key : {"embedding_size", "num_hidden_groups", "inner_group_num",
                          "num_hidden_layers", "num_attention_heads", "type_vocab_size"}) {
    for (const char* value : {"0", "-1", "2.5", "\"4\"", "99999999999"})
      EXPECT_THAT(error(fmt::format("\"{}\": {}", key, value)),
                  HasSubstr(fmt::format("config.json:3: \"{}\" should be a positive whole number, "
                                        "not {}.",
                                        key, value)));
  }
  EXPECT_THAT(error(R"("num_hidden_groups": 5)"),
              HasSubstr("config.json:3: \"num_hidden_layers\" 12 is not a multiple of "
                        "\"num_hidden_groups\" 5."));
  EXPECT_THAT(error(R"("hidden_size": 100)"),
              HasSubstr("\"hidden_size\" 100 is not a multiple of \"num_attention_heads\" 64."));
  EXPECT_THAT(error(R"("position_embedding_type": "relative_key")"),
              HasSubstr("config.json:3: \"position_embedding_type\" \"relative_key\" is not"));
  EXPECT_THAT(error(R"("hidden_act": "gelu_newer")"),
              HasSubstr("config.json:3: \"hidden_act\": unknown activation \"gelu_newer\""));
  EXPECT_THAT(error(R"("classifier_dropout_prob": 1.5)"),
              HasSubstr("config.json:3: \"classifier_dropout_prob\" should be a probability"));
  EXPECT_THAT(error(R"("inner_group_num": 2000000)"),
              HasSubstr("config.json: asks for 24000000 layers; at most 131071 are supported."));
}

TEST(ModelConfig, NamesTheDefectOfAModernBert) {
  const auto error = [](const std::string& keys) {
    return error_loading("{\n  \"model_type\": \"modernbert\",\n  " + keys + "\n}");
  };
  const ModelConfig plain = load(R"({"model_type": "modernbert"})");
  EXPECT_EQ(plain.max_positions, 8192);
  EXPECT_FALSE(plain.sentence_head.averages);
  for (const char* key : {"intermediate_size", "num_hidden_layers", "num_attention_heads",
                          "max_position_embeddings", "global_attn_every_n_layers"}) {
    for (const char* value : {"0", "-1", "2.5", "\"4\""})
      EXPECT_THAT(error(fmt::format("\"{}\": {}", key, value)),
                  HasSubstr(fmt::format("config.json:3: \"{}\" should be a positive whole number, "
                                        "not {}.",
                                        key, value)));
  }
  const std::pair<const char*, const char*> defects[] = {
      {R"("local_attention": 1)", "\"local_attention\" should be a whole number from 2, not 1."},
      {R"("hidden_size": 100)", "\"hidden_size\" 100 is not a multiple of"},
      {R"("hidden_size": 60)", "asks for rotary positions of 5 values for each head"},
      {R"("hidden_activation": "gelo")", "\"hidden_activation\": unknown activation \"gelo\""},
      {R"("classifier_activation": "gelo")", "\"classifier_activation\": unknown activation"},
      {R"("classifier_pooling": "max")", "\"classifier_pooling\" should be \"cls\" or \"mean\","},
      {R"("mlp_bias": 1)", "\"mlp_bias\" should be true or false, not 1."},
      {R"("layer_types": ["full_attention"])", "\"layer_types\" should be a list of"},
      {R"("num_hidden_layers": 1, "layer_types": ["chunked"])", "not \"chunked\"."},
      {R"("rope_scaling": {"type": "yarn"})", "\"type\" \"yarn\" is not supported"},
      {R"("rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2}})",
       "\"rope_type\" \"linear\" is not supported; only \"default\" is."},
      {R"("rope_parameters": {"sliding_attention": 3})",
       "\"sliding_attention\" should be an object, not 3."},
      {R"("global_rope_theta": 0)", "a base of rotary positions should be above 0."}};
  for (const auto& [keys, words] : defects) {
    const std::string told = error(keys);
    EXPECT_THAT(told, HasSubstr(words));
    EXPECT_THAT(told, HasSubstr("config.json"));
  }
}

TEST(ModelConfig, NamesTheDefectOfADeberta) {
  const auto error = [](const std::string& keys) {
    return error_loading(
        R"({"model_type": "deberta-v2", "hidden_size": 48, "num_attention_heads": 4,
"relative_attention": true, )" +
        keys + "}");
  };
  EXPECT_THAT(error(R"("pos_att_type": "c2p|p2p")"),
              HasSubstr(R"("pos_att_type" should hold "c2p" and "p2c" alone, not "p2p".)"));
  EXPECT_THAT(error(R"("pos_att_type": ["c2p", 3])"), HasSubstr(R"(alone, not "".)"));
  EXPECT_THAT(error(R"("pos_att_type": "")"), HasSubstr(R"(alone, not "".)"));
  EXPECT_THAT(error(R"("pos_att_type": ["c2p", "c2p"])"), HasSubstr(R"(has "c2p" twice)"));
  for (const char* none : {R"("pos_att_type": [])", R"("pos_att_type": null)", R"("x": 1)"})
    EXPECT_THAT(error(none),
                HasSubstr(R"("pos_att_type" names nothing that would read positions)"));
  const auto with_parts = [&](const std::string& keys) {
    return error(R"("pos_att_type": "c2p|p2c", )" + keys);
  };
  EXPECT_THAT(with_parts(R"("conv_kernel_size": 4)"),
              HasSubstr(R"(config.json:2: "conv_kernel_size" 4 is even)"));
  EXPECT_EQ(with_parts(R"("conv_kernel_size": 0)"), "no error");
  EXPECT_THAT(with_parts(R"("conv_kernel_size": 3, "conv_groups": 5)"),
              HasSubstr(R"("hidden_size" 48 is not a multiple of "conv_groups" 5)"));
  EXPECT_THAT(with_parts(R"("conv_act": "mish")"), HasSubstr(R"("conv_act")"));
  EXPECT_THAT(with_parts(R"("norm_rel_ebd": "rms")"),
              HasSubstr(R"("norm_rel_ebd" should be "none" or "layer_norm", not "rms".)"));
  EXPECT_THAT(with_parts(R"("position_buckets": 1)"), HasSubstr(R"("position_buckets" 1)"));
  EXPECT_THAT(with_parts(R"("position_buckets": 64, "max_relative_positions": 33)"),
              HasSubstr("less than twice the greatest distance, 32"));
  EXPECT_THAT(with_parts(R"("pooler_hidden_size": 32)"),
              HasSubstr(R"("pooler_hidden_size" 32 is not supported; only 48)"));
  EXPECT_THAT(with_parts(R"("attention_head_size": 16)"),
              HasSubstr(R"("attention_head_size" 16 is not supported; only 12)"));
  EXPECT_THAT(
      error_loading(
          R"({"model_type": "deberta-v2", "hidden_size": 2048, "num_attention_heads": 2048})"),
      HasSubstr("2048 attention heads; at most 1024 are supported"));
  EXPECT_THAT(error_loading(R"({"model_type": "deberta", "talking_head": true})"),
              HasSubstr(R"("talking_head" is true, which is not supported.)"));
}

TEST(EncoderPlan, IsRefusedWhereItAsksForWhatNoLayerCanDo) {
  const EncoderPlan possible = plan_of(load(R"({"model_type": "bert"})"));
  const auto error = [&](const std::function<void(EncoderPlan&)>& change) {
    EncoderPlan plan = possible;
    change(plan);
    return error_of([&] { plan.described({}); });
  };
  EXPECT_EQ(error([](EncoderPlan&) {}), "no error");
  EXPECT_EQ(error([](EncoderPlan& plan) { plan.block.heads = {2048, 2048, 8}; }),
            "config.json: asks for 2048 attention heads; at most 1024 are supported.");
  for (const int64_t shared : {0, 5, 24})
    EXPECT_EQ(error([&](EncoderPlan& plan) { plan.block.heads.key_value = shared; }),
              fmt::format("config.json: asks for 12 query heads on {} key/value heads, which they "
                          "do not share evenly.",
                          shared));
  EXPECT_EQ(error([](EncoderPlan& plan) { plan.block.rotary = {.theta = 10000, .columns = 7}; }),
            "config.json: asks for rotary positions of 7 values for each head of 64; they come in "
            "pairs.");
  EXPECT_EQ(error([](EncoderPlan& plan) { plan.layers = 200000; }),
            "config.json: asks for 200000 layers; at most 131071 are supported.");
}

// A network of two layers, 4 wide, with weights for as many.
std::string error_comparing(const std::string& sizes, int64_t layers) {
  const ModelConfig config = load(
      R"({"model_type": "bert", "num_attention_heads": 1, "vocab_size": 10, "max_position_embeddings": 8, )" +
      sizes + "}");
  StateDict weights = {{"embeddings.word_embeddings.weight", at::zeros({10, 4})}};
  for (int64_t i = 0; i < layers; ++i)
    weights.emplace("bert.encoder.layer." + std::to_string(i) + ".all", at::zeros({4, 40}));
  return error_of([&] {
    config.compare_with(weights, "model");
    make_backbone(config);
  });
}

TEST(ModelConfig, IsComparedWithTheWeightsBeforeAnythingIsBuilt) {
  const std::string fits = R"("hidden_size": 4, "intermediate_size": 8, )";
  EXPECT_EQ(error_comparing(fits + R"("num_hidden_layers": 2)", 2), "no error");
  EXPECT_EQ(error_comparing(fits + R"("num_hidden_layers": 2)", 3), "no error");
  EXPECT_EQ(error_comparing(fits + R"("num_hidden_layers": 3)", 2),
            "model: config.json says 3 layers, but the weights have 2; does config.json belong to "
            "these weights?");
  for (
      const char* large :
      {R"("hidden_size": 2000000000, "num_hidden_layers": 2)",
       R"("hidden_size": 4, "intermediate_size": 2000000000, "num_hidden_layers": 2)",
       R"("hidden_size": 4, "intermediate_size": 8, "num_hidden_layers": 2, "type_vocab_size": 2000000000)"}) {
    EXPECT_THAT(error_comparing(large, 2), HasSubstr("describes a network of")) << large;
  }
}

}  // namespace
}  // namespace hone
