// Adapters beside a base model in fewer bits: what is kept, resumed, saved, merged and refused.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "models/layers/linear.h"
#include "support/errors.h"
#include "support/tiny_run.h"
#include "tasks/peft_folder.h"
#include "tune/estimate.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::first_difference;
using testing_support::tiny_options;
using testing_support::TinyRun;

std::string lora_beside(const std::string& base) {
  return "{peft_type: lora, r: 4, lora_alpha: 8, lora_dropout: 0.1, " + base + "}";
}

std::map<std::string, at::Tensor> trained_of(TinyRun& run) {
  std::map<std::string, at::Tensor> trained;
  for (const auto& [name, value] : run.weights()) {
    if (!value.isnan().all().item<bool>()) trained[name] = value;
  }
  return trained;
}

struct BaseCase {
  const char *base, *precision;
};

class EveryBase : public testing::TestWithParam<BaseCase> {
 protected:
  static TrainOptions options() {
    TrainOptions options = tiny_options();
    options.precision = GetParam().precision;
    options.learning_rate = 1e-2;
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(Peft, EveryBase,
                         testing::Values(BaseCase{"base: bf16", "bf16"},
                                         BaseCase{"base: int8", "fp32"},
                                         BaseCase{"base: int8", "bf16"},
                                         BaseCase{"base: nf4", "bf16"},
                                         BaseCase{"base: nf4, double_quant: false", "fp32"}));

TEST_P(EveryBase, LearnsAndGoesOnBitForBit) {
  TinyRun whole, parts;
  whole.peft_yaml = parts.peft_yaml = lora_beside(GetParam().base);
  whole.train(options());
  const auto steps = whole.events_of<Stepped>();
  EXPECT_LT(steps.back().loss, steps.front().loss);
  parts.also = [&](const Event& event) {
    const auto* s = std::get_if<Stepped>(&event);
    if (s != nullptr && s->step == 5) parts.stop = true;
  };
  EXPECT_TRUE(parts.train(options()).interrupted);
  parts.stop = false;
  parts.train(options(), /*resume=*/true);
  EXPECT_EQ(first_difference(trained_of(whole), trained_of(parts)), "");
}

TEST_P(EveryBase, ASavedAdapterAnswersBesideTheBaseItWasTrainedBeside) {
  TinyRun run;
  run.peft_yaml = lora_beside(GetParam().base);
  run.train(options());
  const std::string folder = run.folder() + "/saved";
  run.pipeline().save(folder);
  const auto loaded = Pipeline::load(folder),
             full = Pipeline::load(folder, {}, "", {.in_full = true});
  loaded->network().set_precision(run.pipeline().precision());
  full->network().set_precision(run.pipeline().precision());
  const auto records = testing_support::tiny_texts(9, "new.jsonl", 77);
  EXPECT_EQ(loaded->predict(records), run.pipeline().predict(records));
  EXPECT_EQ(loaded->adapted()->base_form, run.pipeline().adapted()->base_form);
  EXPECT_EQ(loaded->adapted()->base_weights, full->adapted()->base_weights);
  EXPECT_TRUE(full->adapted()->base_form.is_full());
  EXPECT_THAT(error_of([&] { loaded->merge_adapters(); }), HasSubstr("full weights"));
  full->merge_adapters();
}

TEST(FrozenBase, HoldsNoFullCopyOfALinearLayer) {
  TinyRun run;
  run.peft_yaml = lora_beside("base: nf4");
  run.load_pipeline();
  int64_t layers = 0;
  for (const auto& item : run.pipeline().network().named_modules("", false)) {
    const auto* layer = item.value()->as<LinearImpl>();
    if (layer == nullptr || item.key().find("bert.encoder") == std::string::npos) continue;
    ++layers;
    EXPECT_TRUE(layer->frozen_weight().is_defined()) << item.key();
    EXPECT_LE(layer->weight.storage().nbytes(), sizeof(float)) << item.key();
  }
  EXPECT_EQ(layers, 2 * 6);
}

TEST(FrozenBase, WhatIsTrainedInFullStaysFull) {
  TinyRun run;
  run.peft_yaml =
      "{peft_type: lora, r: 2, base: nf4, target_modules: [value], modules_to_save: [query]}";
  run.train(tiny_options());
  for (const auto& [name, value] : run.pipeline().network().trained_weights())
    EXPECT_FALSE(value.isnan().any().item<bool>()) << name;
  const std::string folder = run.folder() + "/saved";
  run.pipeline().save(folder);
  const auto records = testing_support::tiny_texts(9, "new.jsonl", 77);
  EXPECT_EQ(Pipeline::load(folder)->predict(records), run.pipeline().predict(records));
}

TEST(FrozenBase, TakesLessMemoryThanAWholeOne) {
  const auto memory_of = [](const std::string& base) {
    TinyRun run;
    run.peft_yaml = lora_beside(base);
    run.load_pipeline();
    TrainOptions options = tiny_options();
    options.precision = "fp32";
    return estimate(run.pipeline(), run.store().lengths(), options, {}).memory_bytes;
  };
  const int64_t weights = 2 * (4 * 16 * 16 + 2 * 16 * 24) + 16 * 16;
  EXPECT_EQ(memory_of("base: full") - memory_of("base: bf16"), weights * 2);
  EXPECT_GT(memory_of("base: int8"), memory_of("base: nf4"));
}

TEST(FrozenBase, RefusesMethodsThatChangeTheBaseModel) {
  const auto refusal = [](const std::string& peft) {
    TinyRun run;
    run.peft_yaml = peft;
    return error_of([&] { run.load_pipeline(); });
  };
  for (const char* method : {"bitfit", "top_layers", "head", "lora, init_lora_weights: pissa"})
    EXPECT_THAT(refusal(std::string("{peft_type: ") + method + ", base: nf4}"),
                AllOf(HasSubstr("peft:1:"), HasSubstr("in full")))
        << method;
  EXPECT_THAT(refusal("{peft_type: lora, base: nf5}"), AllOf(HasSubstr("nf4"), HasSubstr("int8")));
  EXPECT_THAT(refusal("{peft_type: lora, double_quant: true}"), HasSubstr("base: nf4"));
  EXPECT_THAT(refusal("{peft_type: lora, load_in_4bit: true}"), HasSubstr("\"base\""));
}

TEST(FrozenBase, ARunGoesOnBesideTheSameBaseOnly) {
  TinyRun run;
  run.peft_yaml = lora_beside("base: nf4");
  TrainOptions options = tiny_options();
  options.save_strategy = "steps";
  options.save_steps = 1;
  run.train(options);
  run.peft_yaml = lora_beside("base: int8");
  EXPECT_THAT(error_of([&] { run.train(options, /*resume=*/true); }), HasSubstr("base"));
}

}  // namespace
}  // namespace hone
