#include "tune/train_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hone {
namespace {

using testing::HasSubstr;

TrainOptions read(const std::string& yaml) {
  Config config = Config::parse(yaml, "run.yaml");
  Config section = config.section("train");
  return TrainOptions::read(section);
}

TEST(TrainOptions, HaveTheirDefaults) {
  const TrainOptions o = read("train: {}");
  EXPECT_EQ(options_json(o), options_json(TrainOptions{}));
  EXPECT_EQ(o.seed, 42);
  EXPECT_EQ(o.lr_scheduler_type, "linear");
}

TEST(TrainOptions, ReadEveryKey) {
  // Each key set to something that is not its default.
  const std::string yaml = R"(train:
  num_train_epochs: 2.5
  max_steps: 7
  per_device_train_batch_size: 8
  max_tokens_per_batch: 100
  gradient_accumulation_steps: 2
  per_device_eval_batch_tokens: 512
  optim: sgd
  optim_args: {momentum: 0.5}
  learning_rate: 1e-5
  weight_decay: 0
  adam_beta1: 0.8
  adam_beta2: 0.98
  adam_epsilon: 1e-6
  max_grad_norm: 0
  layerwise_lr_decay: 0.9
  freeze: embeddings.*
  groups: {parameters: classifier.*, learning_rate: 1e-3}
  lr_scheduler_type: polynomial
  warmup_ratio: 0.1
  warmup_steps: 3
  lr_end: 1e-6
  lr_power: 2
  lr_num_cycles: 2
  lr_decay_ratio: 0.2
  lr_plateau_factor: 0.5
  lr_plateau_patience: 3
  label_smoothing_factor: 0.1
  max_seq_length: 64
  group_by_length: false
  seed: 1
  precision: fp32
  device: cpu
  recompute: true
  threads: 1
  logging_steps: 5
  eval_strategy: steps
  eval_steps: 9
  save_strategy: steps
  save_steps: 11
  early_stopping_patience: 2
  early_stopping_threshold: 0.01
  metric_for_best_model: loss
  load_best_model_at_end: false
  task_sampling: temperature
  task_temperature: 3
  class_sampling: sqrt
  tf32: true
  cuda_graphs: true
  cache_frozen: 2
)";
  const Json set = options_json(read(yaml)), unset = options_json(TrainOptions{});
  for (const auto& [key, value] : set.items()) {
    if (key == "optim_moments") continue;  // AdamW's alone
    EXPECT_NE(value, unset.at(key)) << key;
  }
  EXPECT_EQ(set.size(), 50U);
  EXPECT_EQ(read("train: {optim_moments: bf16}").optim_moments, "bf16");
}

TEST(TrainOptions, RefuseWhatCannotBeMeantAtItsPlace) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"num_train_epochs: 0", "more than 0"},
      {"max_steps: 0", "-1 to count epochs"},
      {"per_device_train_batch_size: 0", "at least 1"},
      {"gradient_accumulation_steps: -1", "at least 1"},
      {"learning_rate: 0", "more than 0"},
      {"learning_rate: .inf", "must be a number"},
      {"learning_rate: .nan", "must be a number"},
      {"weight_decay: -0.1", "at least 0"},
      {"adam_beta1: 1", "less than 1"},
      {"adam_epsilon: 0", "more than 0"},
      {"max_grad_norm: -1", "at least 0"},
      {"warmup_ratio: 1.5", "less than 1"},
      {"label_smoothing_factor: 1", "less than 1"},
      {"max_seq_length: 2", "no room"},
      {"logging_steps: 0", "at least 1"},
      {"lr_scheduler_type: linera", "linear"},
      {"precision: fp16", "bf16"},
      {"device: gpu", "cuda:N"},
      {"eval_strategy: epochs", "epoch"},
      {"seed: 1.5", "seed"},
  };
  for (const auto& [line, said] : cases) {
    try {
      read("# a comment\ntrain:\n  " + line + "\n");
      ADD_FAILURE() << line << " was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage) << line;
      EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("run.yaml:3:"), HasSubstr(said))) << line;
    }
  }
}

TEST(TrainOptions, RefuseEarlyStoppingWithoutEvaluations) {
  EXPECT_THROW(read("train: {early_stopping_patience: 2, eval_strategy: \"no\"}"), Error);
}

TEST(TrainOptions, RefuseWhatOnlyValidationDataCanGive) {
  for (const char* line : {"early_stopping_patience: 2", "metric_for_best_model: loss"}) {
    const std::string yaml = std::string("train: {") + line + "}";
    EXPECT_NO_THROW(read(yaml));
    Config root = Config::parse(yaml, "run.yaml");
    Config section = root.section("train");
    try {
      TrainOptions::read(section, /*has_validation=*/false);
      ADD_FAILURE() << line << " was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUsage);
      EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("run.yaml:1:"), HasSubstr("validation")));
    }
  }
  EXPECT_THROW(read("train: {metric_for_best_model: loss, eval_strategy: \"no\"}"), Error);
}

TEST(TrainOptions, ThatDoNothingAreNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"eval_steps: 7", "eval_steps"},
      {"save_steps: 7", "save_steps"},
      {"early_stopping_threshold: 0.1", "early_stopping_threshold"},
      {"max_steps: 5, num_train_epochs: 2", "num_train_epochs"},
      {"max_tokens_per_batch: 100, per_device_train_batch_size: 4", "per_device_train_batch_size"},
      {"warmup_ratio: 0.1, warmup_steps: 3", "warmup_ratio"},
      {"lr_scheduler_type: constant, warmup_steps: 3", "constant_with_warmup"},
      {"lr_scheduler_type: one_cycle, warmup_steps: 3", "one_cycle rises by itself"},
      {"lr_power: 2", "polynomial"},
      {"eval_strategy: \"no\"", "load_best_model_at_end"},
  };
  for (const auto& [line, said] : cases)
    EXPECT_THAT(idle_options(read("train: {" + line + "}"), true),
                testing::ElementsAre(HasSubstr(said)));
  EXPECT_THAT(idle_options(read("train: {}"), true), testing::IsEmpty());
  EXPECT_THAT(idle_options(read("train: {}"), false),
              testing::ElementsAre(HasSubstr("no validation data")));
  EXPECT_THAT(idle_options(read("train: {eval_strategy: \"no\"}"), false), testing::IsEmpty());
}

TEST(TrainOptions, WarmupStepsWinOverTheRatio) {
  TrainOptions o;
  o.warmup_ratio = 0.1;
  EXPECT_EQ(schedule_options(o, 95).warmup_steps, 10);  // rounded up
  o.warmup_steps = 3;
  EXPECT_EQ(schedule_options(o, 95).warmup_steps, 3);
}

}  // namespace
}  // namespace hone
