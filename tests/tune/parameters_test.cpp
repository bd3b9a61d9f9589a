#include "tune/parameters.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/tiny_decoder.h"
#include "support/tiny_run.h"
#include "tasks/causal_lm_head.h"

namespace hone {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::error_of;
using testing_support::first_difference;
using testing_support::tiny_options;
using testing_support::TinyRun;

TEST(Parameters, BiasesAndNormsDoNotDecay) {
  for (const char* name : {"bert.encoder.layer.0.attention.self.query.weight", "classifier.weight",
                           "bert.embeddings.word_embeddings.weight",
                           "distilbert.transformer.layer.0.ffn.lin1.weight", "normalizer.weight"}) {
    EXPECT_TRUE(decays(name)) << name;
  }
  for (const char* name :
       {"bert.encoder.layer.0.attention.self.query.bias", "classifier.bias",
        "bert.embeddings.LayerNorm.weight", "distilbert.transformer.layer.0.sa_layer_norm.weight",
        "model.norm.weight", "layers.0.input_layernorm.weight", "transformer.h.0.ln_1.weight",
        "transformer.ln_f.weight", "model.layers.0.self_attn.q_norm.weight",
        "distilbert.transformer.layer.0.output_layer_norm.bias"}) {
    EXPECT_FALSE(decays(name)) << name;
  }
}

TrainOptions read_train(const std::string& yaml) {
  Config root = Config::parse(yaml, "run.yaml");
  Config section = root.section("train");
  const TrainOptions options = TrainOptions::read(section);
  root.refuse_unknown();
  return options;
}

// The product with the vocabulary reads a bf16 copy, which the optimizer writes: of the table too.
TEST(Parameters, OfAnOutputHaveItsCopy) {
  for (const bool is_tied : {true, false}) {
    const testing_support::TemporaryFolder folder;
    testing_support::write_tiny_decoder(folder.path(), "llama", {{"tie_word_embeddings", is_tied}});
    const ModelConfig config = ModelConfig::load(folder.path());
    Network network(make_backbone(config), std::make_shared<CausalLmHead>(config));
    network.set_precision(Precision::kBf16);
    int found = 0;
    for (const Parameter& parameter : trainable_parameters(network, tiny_options())) {
      const bool is_table = parameter.name == "model.embed_tokens.weight",
                 is_output = parameter.name == "lm_head.weight";
      if (!is_table && !is_output) continue;
      ++found;
      EXPECT_EQ(parameter.rows != nullptr, is_table);
      EXPECT_EQ(parameter.shadow.defined(), is_output || is_tied) << parameter.name;
    }
    EXPECT_EQ(found, is_tied ? 1 : 2);
  }
}

TEST(Parameters, HaveNoCopiesWhereBlocksAreRecomputed) {
  const testing_support::TemporaryFolder folder;
  testing_support::write_tiny_decoder(folder.path(), "llama");
  const ModelConfig config = ModelConfig::load(folder.path());
  Network network(make_backbone(config), std::make_shared<CausalLmHead>(config));
  network.eval();  // as a model is after it was read
  TrainOptions options = tiny_options();
  for (const bool recomputes : {true, false}) {
    options.recompute = recomputes;
    place_for_training(network, options, at::kCPU, Precision::kBf16);
    int64_t copies = 0, in_bf16 = 0;
    for (const Parameter& parameter : trainable_parameters(network, options)) {
      copies += parameter.shadow.defined() ? 1 : 0;
      in_bf16 += parameter.in_bf16 ? 1 : 0;
    }
    EXPECT_GT(in_bf16, 4);
    EXPECT_EQ(copies, recomputes ? 0 : in_bf16);
  }
}

Network& fresh_network(TinyRun& run) {
  run.load_pipeline();
  return run.pipeline().network();
}

// ---- freezing

TEST(Freeze, TakesTheGradientOfWhatAPatternNamesWithOrWithoutTheModelsPrefix) {
  TinyRun run;
  for (const char* pattern : {"encoder.layer.0.*", "bert.encoder.layer.0.*", "*.layer.[0]?*"}) {
    Network& network = fresh_network(run);
    TrainOptions options = tiny_options();
    options.freeze.globs = {pattern};
    const auto frozen = freeze(network, options);
    ASSERT_EQ(frozen.size(), 1U);
    EXPECT_EQ(frozen[0].weights, 16);
    for (const auto& [name, value] : network.weights())
      EXPECT_EQ(value.requires_grad(), !name.starts_with("bert.encoder.layer.0.")) << name;
    const WeightCount count = count_weights(network);
    EXPECT_EQ(count.all - count.trained, frozen[0].numbers);
  }
}

TEST(Freeze, APatternThatNamesNothingIsRefusedWithTheNearestNameAtItsPlace) {
  TinyRun run;
  const auto refusal = [&](const std::string& pattern) {
    Network& network = fresh_network(run);
    const TrainOptions options = read_train("train:\n  freeze: [\"" + pattern + "\"]\n");
    return error_of([&] { freeze(network, options); });
  };
  EXPECT_THAT(refusal("encoder.layers.0.*"),
              AllOf(HasSubstr("run.yaml:2:"), HasSubstr("no weight is called"),
                    HasSubstr("did you mean \"encoder.layer.0.*\"")));
  EXPECT_THAT(refusal("embedings.*"), HasSubstr("\"embeddings.*\""));
  EXPECT_THAT(refusal("zzz"), HasSubstr("embeddings.*, encoder.*"));
  EXPECT_THAT(refusal("*"), HasSubstr("nothing is left to train"));
}

TEST(Freeze, FrozenWeightsKeepTheirBitsAndHaveNoState) {
  TinyRun run;
  run.load_pipeline();
  const auto before = run.weights();
  TrainOptions options = tiny_options();
  options.freeze.globs = {"embeddings.*", "encoder.layer.0.*"};
  run.train(options);
  int64_t changed = 0;
  for (const auto& [name, value] : run.weights()) {
    const bool is_frozen =
        name.starts_with("bert.embeddings.") || name.starts_with("bert.encoder.layer.0.");
    const bool is_same = at::equal(value, before.at(name));
    EXPECT_TRUE(is_same || !is_frozen) << name;
    changed += is_same ? 0 : 1;
  }
  EXPECT_GT(changed, 10);
  const auto state = read_safetensors(run.output() + "/checkpoints/last/optimizer.safetensors");
  for (const auto& [name, value] : state) EXPECT_EQ(name.find("embeddings"), std::string::npos);
  const auto started = run.events_of<Started>().at(0);
  EXPECT_EQ(started.parameters, count_weights(run.pipeline().network()).trained);
  ASSERT_EQ(started.frozen.size(), 2U);
  EXPECT_EQ(started.frozen[0].pattern, "embeddings.*");
}

TEST(Freeze, ARecomputedBlockAboveFrozenOnesIsTrainedAllTheSame) {
  TinyRun plain, recomputed;
  TrainOptions options = tiny_options();
  options.freeze.globs = {"embeddings.*", "encoder.layer.0.*"};
  plain.train(options);
  options.recompute = true;
  recomputed.train(options);
  EXPECT_EQ(first_difference(plain.weights(), recomputed.weights()), "");
}

TEST(Freeze, IsNotChangedWhenARunGoesOn) {
  TinyRun run;
  TrainOptions options = tiny_options();
  options.freeze.globs = {"embeddings.*"};
  run.train(options);
  options.freeze.globs = {};
  EXPECT_THAT(
      error_of([&] { run.train(options, /*resume=*/true); }),
      AllOf(HasSubstr("freeze was [\"embeddings.*\"], now it is []"), HasSubstr("--overwrite")));
}

// ---- groups

TEST(Groups, GiveWeightsARateAndADecayOfTheirOwn) {
  TinyRun run;
  const TrainOptions options = read_train(R"(train:
  learning_rate: 1e-3
  weight_decay: 0.01
  groups:
    - {parameters: [classifier.*], learning_rate: 5e-3, weight_decay: 0.2}
    - {parameters: "encoder.layer.0.*", factor: 0.5}
    - {parameters: "encoder.*", factor: 0.25}
)");
  for (const Parameter& p : trainable_parameters(fresh_network(run), options)) {
    const bool head = p.name.starts_with("classifier."), norm_or_bias = !decays(p.name);
    const double rate = head                                          ? 5
                        : p.name.starts_with("bert.encoder.layer.0.") ? 0.5
                        : p.name.starts_with("bert.encoder.")         ? 0.25
                                                                      : 1;
    EXPECT_DOUBLE_EQ(p.rate, rate) << p.name;
    EXPECT_DOUBLE_EQ(p.weight_decay, norm_or_bias ? 0 : head ? 0.2 : 0.01) << p.name;
  }
}

TEST(LayerwiseDecay, LowersTheRateFromLayerToLayer) {
  TinyRun run;
  const TrainOptions options = read_train(R"(train:
  layerwise_lr_decay: 0.5
  groups:
    - {parameters: "encoder.layer.0.*", factor: 4}
)");
  const std::vector<Parameter> parameters = trainable_parameters(fresh_network(run), options);
  const auto rate_of = [&](const std::string& name) {
    const auto found = std::find_if(parameters.begin(), parameters.end(),
                                    [&](const Parameter& p) { return p.name == name; });
    return found == parameters.end() ? -1 : found->rate;
  };
  const int64_t layers = run.pipeline().network().backbone().config().num_layers;
  EXPECT_EQ(rate_of("classifier.weight"), 1);
  EXPECT_EQ(rate_of("bert.pooler.dense.weight"), 1);
  EXPECT_EQ(rate_of(fmt::format("bert.encoder.layer.{}.output.dense.weight", layers - 1)), 0.5);
  EXPECT_EQ(rate_of("bert.encoder.layer.0.output.dense.weight"),
            4 * std::pow(0.5, static_cast<double>(layers)));
  EXPECT_EQ(rate_of("bert.embeddings.word_embeddings.weight"),
            std::pow(0.5, static_cast<double>(layers + 1)));
}

TEST(LayerwiseDecay, ThatCannotBeMeantIsRefused) {
  EXPECT_THAT(error_of([] { read_train("train: {layerwise_lr_decay: 1.5}"); }),
              AllOf(HasSubstr("run.yaml:1:"), HasSubstr("at most 1")));
  EXPECT_THAT(error_of([] { read_train("train: {layerwise_lr_decay: 0}"); }),
              HasSubstr("more than 0"));
}

TEST(Groups, ThatCannotBeMeantAreRefusedAtTheirPlace) {
  TinyRun run;
  const auto refusal = [&](const std::string& group, const std::string& freeze_what = "[]") {
    return error_of([&] {
      const TrainOptions options =
          read_train("train:\n  groups:\n    - {" + group + "}\n  freeze: " + freeze_what + "\n");
      freeze(fresh_network(run), options);
      trainable_parameters(run.pipeline().network(), options);
    });
  };
  EXPECT_THAT(refusal("factor: 2"), AllOf(HasSubstr("run.yaml:3:"), HasSubstr("parameters")));
  EXPECT_THAT(refusal("parameters: a, factor: 2, learning_rate: 1e-3"), HasSubstr("or a"));
  EXPECT_THAT(refusal("parameters: a, factor: 0"), HasSubstr("more than 0"));
  EXPECT_THAT(refusal("parameters: clasifier.*, factor: 2"),
              AllOf(HasSubstr("run.yaml:3:"), HasSubstr("\"classifier.*\"")));
  EXPECT_THAT(refusal("parameters: embeddings.*, factor: 2", "[embeddings.*]"),
              HasSubstr("no trained weight"));
  EXPECT_THAT(refusal("parameters: a, fator: 2"), HasSubstr("factor"));
}

TEST(Groups, AFactorForAllWeightsIsAnotherLearningRate) {
  TinyRun grouped, plain;
  TrainOptions options = tiny_options();
  options.groups = {{.parameters = {.globs = {"*"}}, .factor = 0.5}};
  grouped.train(options);
  options.groups = {};
  options.learning_rate /= 2;
  plain.train(options);
  EXPECT_EQ(first_difference(grouped.weights(), plain.weights()), "");
}

}  // namespace
}  // namespace hone
