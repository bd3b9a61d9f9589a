// AdaLoRA in a run: the budget of ranks, what is left of them in the folder, exact resume, and the
// picture in the report.
#include "models/adapters/adalora.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/file.h"
#include "support/errors.h"
#include "support/tiny_run.h"
#include "tune/regularise/rank_budget.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::first_difference;
using testing_support::tiny_options;
using testing_support::TinyRun;

constexpr const char* kAdaLora =
    "{peft_type: adalora, init_r: 4, target_r: 2, tinit: 2, tfinal: 3, deltaT: 2, lora_dropout: "
    "0.1}";
constexpr int64_t kMatrices = 2 * 6 + 1;  // of two layers and a pooler

TrainOptions brisk() {
  TrainOptions options = tiny_options();
  options.learning_rate = 2e-2;
  options.load_best_model_at_end = false;  // an earlier one may have more ranks
  return options;
}

// peft.tuners.adalora.layer.RankAllocator.budget_schedule of init_r 5, target_r 2, 16 matrices.
TEST(RankBudget, FallsAsPefts) {
  const RankBudgetPlan plan{
      .first = 80, .last = 32, .tinit = 2, .tfinal = 3, .deltaT = 2, .total_step = 14};
  std::vector<int64_t> ranks;
  for (int64_t step = 0; step <= 14; ++step) ranks.push_back(plan.ranks(step));
  EXPECT_THAT(ranks, ElementsAre(80, 80, 80, 65, 54, 46, 40, 36, 33, 32, 32, 32, 32, 32, 32));
  std::vector<int64_t> shared_out;
  for (int64_t step = 0; step <= 14; ++step) {
    if (plan.shares_out(step)) shared_out.push_back(step);
  }
  EXPECT_THAT(shared_out, ElementsAre(4, 6, 8, 10, 11));
}

class AdaLoraRun : public TinyRun {
 public:
  AdaLoraRun() { peft_yaml = kAdaLora; }

  std::vector<AdaLora*> adapters() {
    std::vector<AdaLora*> all;
    for (const auto& [module, adapter] : adapters_of(pipeline().network()))
      all.push_back(dynamic_cast<AdaLora*>(adapter.get()));
    return all;
  }
  int64_t ranks_left() {
    int64_t ranks = 0;
    for (const AdaLora* one : adapters()) ranks += one->left().sum().item<int64_t>();
    return ranks;
  }
};

double number(const Stepped& step, const std::string& name) {
  for (const auto& [key, value] : step.numbers) {
    if (key == name) return value;
  }
  return NAN;
}

TEST(AdaLora, TakesRanksAwayWhereTheyMatterLeast) {
  AdaLoraRun run;
  run.train(brisk());
  const auto steps = run.events_of<Stepped>();
  EXPECT_EQ(number(steps.front(), "ranks"), 4 * kMatrices);
  EXPECT_EQ(number(steps.back(), "ranks"), 2 * kMatrices);
  EXPECT_GT(number(steps.back(), "orthogonality"), 0);
  EXPECT_LT(steps.back().mean_loss, steps.front().mean_loss);
  EXPECT_EQ(run.ranks_left(), 2 * kMatrices);
  std::set<int64_t> by_matrix;
  for (const AdaLora* one : run.adapters()) by_matrix.insert(one->left().sum().item<int64_t>());
  EXPECT_GT(by_matrix.size(), 1U);
}

TEST(AdaLora, AFolderHoldsTheRanksThatAreLeftAndAnswersTheSame) {
  AdaLoraRun run;
  run.train(brisk());
  run.pipeline().save(run.folder() + "/saved");
  int64_t rows = 0;
  for (const auto& [name, value] :
       read_safetensors(run.folder() + "/saved/adapter_model.safetensors")) {
    if (name.ends_with(".lora_E")) rows += value.size(0);
  }
  EXPECT_EQ(rows, 2 * kMatrices);
  const Json config = read_json(run.folder() + "/saved/adapter_config.json", ErrorKind::kModel);
  EXPECT_EQ(config["total_step"], run.events_of<Started>().at(0).total_steps);
  EXPECT_EQ(config["rank_pattern"].size(), kMatrices);
  const auto records = testing_support::tiny_texts(9, "new.jsonl", 77);
  const auto expected = run.pipeline().predict(records);
  const auto loaded = Pipeline::load(run.folder() + "/saved");
  const auto answers = loaded->predict(records);
  ASSERT_EQ(answers.size(), expected.size());
  for (size_t i = 0; i < answers.size(); ++i) EXPECT_EQ(answers[i]["label"], expected[i]["label"]);
  loaded->save(run.folder() + "/again");
  EXPECT_EQ(read_file(run.folder() + "/again/adapter_config.json", ErrorKind::kModel),
            read_file(run.folder() + "/saved/adapter_config.json", ErrorKind::kModel));
}

TEST(AdaLora, ResumedEqualsTheUninterruptedBitForBit) {
  AdaLoraRun whole;
  whole.train(brisk());
  for (const int64_t stop_at : {3, 5, 10}) {  // before, among and after the allocations
    AdaLoraRun parts;
    parts.also = [&](const Event& event) {
      const auto* s = std::get_if<Stepped>(&event);
      if (s != nullptr && s->step == stop_at) parts.stop = true;
    };
    EXPECT_TRUE(parts.train(brisk()).interrupted);
    parts.stop = false;
    parts.train(brisk(), /*resume=*/true);
    EXPECT_EQ(first_difference(whole.weights(), parts.weights()), "") << stop_at;
    EXPECT_EQ(parts.ranks_left(), 2 * kMatrices);
  }
}

TEST(AdaLora, TheTermDependsOnTheStepAlone) {
  const auto gradient = [](int64_t batch, int64_t accumulated) {
    AdaLoraRun run;
    run.peft_yaml = "{peft_type: adalora, init_r: 4, target_r: 2}";
    TrainOptions options = brisk();
    options.per_device_train_batch_size = batch;
    options.gradient_accumulation_steps = accumulated;
    options.max_steps = 1;
    run.train(options);
    return run.events_of<Stepped>().at(0).gradient_norm;
  };
  const double whole = gradient(8, 1);
  EXPECT_NEAR(gradient(2, 4), whole, 1e-6 * whole);
}

TEST(AdaLora, IsNotAveragedWithRanksThatHaveGone) {
  for (const char* average : {"ema", "swa", "average"}) {
    AdaLoraRun run;
    run.regularise_yaml = std::string("{") + average + ": {}}";
    EXPECT_THAT(error_of([&] { run.train(brisk()); }),
                AllOf(HasSubstr(std::string("regularise.") + average), HasSubstr("target_r")));
  }
}

TEST(AdaLora, RefusesARunThatLeavesNoStepToTakeRanksAway) {
  AdaLoraRun run;
  run.peft_yaml = "{peft_type: adalora, tinit: 8, tfinal: 8, init_r: 4, target_r: 2}";
  EXPECT_THAT(error_of([&] { run.train(brisk()); }),
              AllOf(HasSubstr("tinit (8)"), HasSubstr("there is none")));
  run.peft_yaml = "{peft_type: adalora, init_r: 2, target_r: 3}";
  EXPECT_THAT(error_of([&] { run.load_pipeline(); }), HasSubstr("none is added"));
  run.peft_yaml = "{peft_type: adalora, init_r: 20}";
  EXPECT_THAT(error_of([&] { run.load_pipeline(); }), HasSubstr("init_r"));
}

}  // namespace
}  // namespace hone
