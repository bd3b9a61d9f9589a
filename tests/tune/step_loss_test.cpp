// Losses over a whole step, however it is split to fit into memory.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "support/tiny_run.h"
#include "support/toy_similarity.h"
#include "tune/batch_loader.h"
#include "tune/step_parts.h"

namespace hone {
namespace {

using testing_support::tiny_options;
using testing_support::TinyRun;

// Pairs that share their first words.
class PairsRun : public TinyRun {
 public:
  explicit PairsRun(int64_t rows) : TinyRun(toy_similarity::kName, {}, rows) {
    for (auto* records : {&train_records(), &validation_records()}) {
      for (Record& record : *records) {
        const auto text = record.fields["text"].get<std::string>();
        record.fields["other"] = text.substr(0, text.find(' ', text.find(' ') + 1));
      }
    }
  }
};

// The gradient of the mean loss of 16 samples in micro-batches of `at_once`, dropout on, with the
// regularisers asked for.
std::map<std::string, at::Tensor> step_gradient(TinyRun& run, int64_t at_once,
                                                const std::string& regularise = "{}") {
  const auto weights = run.pipeline().network().weights();
  run.pipeline().network().train();
  for (const auto& [name, weight] : weights) weight.mutable_grad().reset();
  std::vector<std::vector<int64_t>> micro_batches;
  for (int64_t first = 0; first < 16; first += at_once) {
    micro_batches.emplace_back();
    for (int64_t i = first; i < first + at_once; ++i) micro_batches.back().push_back(i);
  }
  const MicroBatch step = make_whole_step(run.store(), micro_batches, 42, 0);
  Config section = Config::parse(regularise, "regularise");
  const StepParts parts(run.pipeline(), tiny_options(), read_regularisers(section),
                        /*total_steps=*/1);
  const double count = parts.pass(step.batch).count;
  std::map<std::string, at::Tensor> gradients;
  for (const auto& [name, weight] : weights) {
    if (weight.grad().defined()) gradients[name] = weight.grad() / count;
  }
  return gradients;
}

// Tensor by tensor, relative to its norm. A softmax does not see what is added to all its inputs:
// a key's bias has no gradient but rounding, and is measured against the whole.
double distance(const std::map<std::string, at::Tensor>& a,
                const std::map<std::string, at::Tensor>& b) {
  double total = 0, worst = 0;
  for (const auto& [name, value] : a) total = std::hypot(total, value.norm().item<double>());
  for (const auto& [name, value] : a) {
    const double scale =
        name.find("key.bias") == std::string::npos ? value.norm().item<double>() : total;
    if (scale > 0) worst = std::max(worst, (value - b.at(name)).norm().item<double>() / scale);
  }
  return worst;
}

TEST(StepLoss, HasTheGradientOfTheWholeBatchHoweverTheStepIsSplit) {
  PairsRun run(16);
  run.load_pipeline();
  const auto whole = step_gradient(run, 16);
  EXPECT_GT(whole.at("projection.weight").norm().item<double>(), 0);
  for (const int64_t at_once : {8, 4, 1})
    EXPECT_LT(distance(whole, step_gradient(run, at_once)), 1e-6) << "in batches of " << at_once;
}

// The gradient of the embeddings goes through the parts, and so do their shifts.
TEST(StepLoss, HasTheGradientOfTheWholeBatchAtAdversarialEmbeddingsToo) {
  const std::string fgm = "{fgm: {epsilon: 0.5}}";
  PairsRun run(16);
  run.load_pipeline();
  const auto whole = step_gradient(run, 16, fgm);
  EXPECT_GT(distance(whole, step_gradient(run, 16)), 0.01);
  for (const int64_t at_once : {8, 1})
    EXPECT_LT(distance(whole, step_gradient(run, at_once, fgm)), 1e-5)
        << "in batches of " << at_once;
}

// Losses, not weights: Adam makes a step of a gradient that is nothing but rounding.
TEST(StepLoss, TrainsAlikeHoweverAStepIsSplit) {
  std::vector<double> whole;
  for (const int64_t accumulation : {1, 2, 4}) {
    PairsRun run(21);
    TrainOptions options = tiny_options();
    options.per_device_train_batch_size = 8 / accumulation;
    options.gradient_accumulation_steps = accumulation;
    options.eval_strategy = options.save_strategy = "no";
    run.train(options);
    const auto steps = run.events_of<Stepped>();
    ASSERT_EQ(steps.size(), 6U);
    for (size_t i = 0; i < steps.size(); ++i) {
      if (accumulation == 1) whole.push_back(steps[i].loss);
      EXPECT_NEAR(steps[i].loss, whole[i], 1e-4 * whole[i])
          << "step " << i << " of " << accumulation;
    }
  }
}

// Which texts a text is told from is no question of memory.
TEST(StepLoss, OfAnEvaluationIsTheSameInAnyBatches) {
  PairsRun run(21);
  run.load_pipeline();
  run.evaluation_tokens = 16;  // one sample at a time
  const double alone = run.evaluate().second;
  run.evaluation_tokens = 4096;
  EXPECT_GT(alone, 0.5);
  EXPECT_EQ(run.evaluate().second, alone);
}

// By chance, one of the 16 texts of a step is the right one: a loss of ln 16.
TEST(StepLoss, Learns) {
  PairsRun run(32);
  TrainOptions options = tiny_options();
  options.num_train_epochs = 400;
  options.learning_rate = 5e-4;
  options.per_device_train_batch_size = 4;
  options.gradient_accumulation_steps = 4;
  options.eval_strategy = options.save_strategy = "no";
  const TrainResult result = run.train(options);
  EXPECT_EQ(result.steps, 800);
  EXPECT_LT(run.events_of<Stepped>().back().loss, 0.8 * std::log(16));
}

// A sample without others has nothing to be told from.
TEST(StepLoss, OfOneSampleIsNoneAndDoesNoHarm) {
  PairsRun run(3);
  TrainOptions options = tiny_options();
  options.per_device_train_batch_size = 1;
  options.eval_strategy = options.save_strategy = "no";
  options.weight_decay = 0;
  run.load_pipeline();
  const auto before = run.weights();
  run.train(options);
  for (const Stepped& step : run.events_of<Stepped>()) {
    EXPECT_EQ(step.loss, 0);
    EXPECT_EQ(step.gradient_norm, 0);
  }
  EXPECT_EQ(testing_support::first_difference(before, run.weights()), "");
}

}  // namespace
}  // namespace hone
