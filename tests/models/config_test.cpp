#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "models/backbone.h"
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

std::string error_loading(const std::string& text) {
  return error_of([&] { load(text); });
}

TEST(ModelConfig, FillsInTransformersDefaults) {
  const ModelConfig bert = load(R"({"model_type": "bert"})");
  EXPECT_EQ(bert.model_type, "bert");
  EXPECT_EQ(bert.hidden_size, 768);
  EXPECT_EQ(bert.vocab_size, 30522);
  EXPECT_EQ(bert.max_positions, 512);
  EXPECT_EQ(bert.token_dropout, 0.1);
  EXPECT_TRUE(bert.sentence_head.uses_pooler);
  const ModelConfig roberta = load(
      R"({"model_type": "roberta", "max_position_embeddings": 514, "classifier_dropout": 0.3})");
  EXPECT_EQ(roberta.vocab_size, 50265);
  EXPECT_EQ(roberta.max_positions, 512);
  EXPECT_EQ(roberta.sentence_head.dropout, 0.3);
  EXPECT_EQ(roberta.sentence_head.out, "classifier.out_proj");
  const ModelConfig distilbert = load(R"({"model_type": "distilbert"})");
  EXPECT_EQ(distilbert.num_layers, 6);
  EXPECT_EQ(distilbert.intermediate_size, 3072);
  EXPECT_EQ(distilbert.sentence_head.dropout, 0.2);
  const ModelConfig electra = load(R"({"model_type": "electra"})");
  EXPECT_EQ(electra.hidden_size, 256);
  EXPECT_EQ(electra.num_heads, 4);
  EXPECT_EQ(electra.sentence_head.activation, "gelu");
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
  std::string known;
  for (const FamilyInfo& family : families())
    known += (known.empty() ? "" : ", ") + std::string(family.model_type);
  EXPECT_THAT(error_loading(R"({"model_type": "brt"})"),
              HasSubstr("config.json:1: \"model_type\" \"brt\" is not supported; known are " +
                        known + "."));
  EXPECT_THAT(
      error_loading(R"({"model_type": "bert", "hidden_size": 10, "num_attention_heads": 3})"),
      HasSubstr("\"hidden_size\" 10 is not a multiple of \"num_attention_heads\" 3"));
  EXPECT_THAT(error_loading(R"({"model_type": "bert", "hidden_size": 1e3})"),
              HasSubstr("should be a positive whole number, not 1000.0"));
  EXPECT_THAT(error_loading(R"({"model_type": "bert", "hidden_size": 99999999999999999999})"),
              HasSubstr("should be a positive whole number"));
  EXPECT_THAT(error_loading(R"({"model_type": "bert", "hidden_dropout_prob": 1})"),
              HasSubstr("\"hidden_dropout_prob\" should be a probability below 1, not 1."));
  EXPECT_THAT(error_loading(R"({"model_type": "bert", "hidden_act": "gelo"})"),
              HasSubstr("config.json:1: \"hidden_act\": "));
  EXPECT_THAT(error_loading(R"({"model_type": "bert", "is_decoder": true})"),
              HasSubstr("only encoders are supported"));
  EXPECT_THAT(error_loading(R"({"model_type": 3})"),
              HasSubstr("\"model_type\" should be a string, not 3."));
  EXPECT_THAT(error_loading(R"({"hidden_size": 3})"), HasSubstr("\"model_type\" is missing"));
  EXPECT_THAT(error_loading("[]"), HasSubstr("should be a JSON object"));
  EXPECT_THAT(error_loading(R"({"model_type": "roberta", "max_position_embeddings": 2})"),
              HasSubstr("leaves no position"));
}

// A network of two layers, 4 wide, with weights for as many.
std::string error_comparing(const std::string& sizes, int64_t layers) {
  ModelConfig config = load(
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
