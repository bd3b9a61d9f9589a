#include "tune/estimate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/tiny_run.h"
#include "tune/parameters.h"

namespace hone {
namespace {

using testing_support::tiny_options;
using testing_support::TinyRun;

TEST(Estimate, CountsStepsTokensAndBytes) {
  TinyRun run;
  run.load_pipeline();
  const TrainOptions options = tiny_options();
  const int64_t parameters = count_weights(run.pipeline().network()).all;
  const Estimate e = estimate(run.pipeline(), run.store().lengths(), options, {});
  int64_t tokens = 0;
  for (const int32_t length : run.store().lengths()) tokens += length;
  EXPECT_EQ(e.steps, 12);
  EXPECT_EQ(e.tokens, 2 * tokens);
  EXPECT_GT(e.memory_bytes, parameters * 16);
  EXPECT_GE(e.disk_bytes, parameters * 4 * 9);
  EXPECT_FALSE(e.seconds.has_value());
  EXPECT_THAT(e.text(), testing::HasSubstr("not measured"));
  EXPECT_TRUE(e.json()["seconds"].is_null());
}

TEST(Estimate, GrowsWithTheBatchOnlyByItsActivations) {
  TinyRun run;
  run.load_pipeline();
  TrainOptions options = tiny_options();
  const auto memory = [&](int64_t batch) {
    options.per_device_train_batch_size = batch;
    return estimate(run.pipeline(), run.store().lengths(), options, {});
  };
  const Estimate small = memory(1), large = memory(21);
  EXPECT_GT(large.micro_batch_tokens, small.micro_batch_tokens);
  EXPECT_GT(large.memory_bytes, small.memory_bytes);
  EXPECT_EQ(large.disk_bytes, small.disk_bytes);
}

TEST(Estimate, FrozenWeightsNeedNoGradientAndNoMoments) {
  TinyRun run;
  run.load_pipeline();
  TrainOptions options = tiny_options();
  const Estimate all = estimate(run.pipeline(), run.store().lengths(), options, {});
  options.freeze.globs = {"embeddings.*"};
  const Estimate some = estimate(run.pipeline(), run.store().lengths(), options, {});
  const int64_t frozen = all.parameters - some.parameters;
  EXPECT_GT(frozen, 0);
  EXPECT_EQ(all.memory_bytes - some.memory_bytes, frozen * 12);
  // Two of `last` with two moments each, two of `best`: checkpoints hold what is trained.
  EXPECT_EQ(all.disk_bytes - some.disk_bytes, frozen * (2 * 3 + 2) * 4);
}

TEST(Estimate, RecomputingKeepsOneBf16CopyOfAWeightAtATime) {
  TinyRun run;
  run.load_pipeline();
  TrainOptions options = tiny_options();
  options.precision = "bf16";
  const auto without_activations = [&](bool recomputes) {
    options.recompute = recomputes;
    const Estimate e = estimate(run.pipeline(), run.store().lengths(), options, {});
    const NetworkPlan& plan = *run.pipeline().config().plan;
    return e.memory_bytes -
           e.micro_batch_tokens * plan.activation_bytes(Precision::kBf16, recomputes);
  };
  constexpr int64_t kLargest = 16 * 24;  // of the tiny model's layers
  EXPECT_EQ(without_activations(false) - without_activations(true),
            2 * (count_weights(run.pipeline().network()).all - kLargest));
}

TEST(Estimate, ProbeLeavesTheWeightsAsTheyWere) {
  TinyRun run;
  run.load_pipeline();
  const auto before = run.weights();
  EXPECT_GT(measure_seconds_per_token(run.pipeline(), run.store(), tiny_options(), {}), 0);
  EXPECT_EQ(testing_support::first_difference(before, run.weights()), "");
}

}  // namespace
}  // namespace hone
