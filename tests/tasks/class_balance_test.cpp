// Losses for classes of very different size, against plain implementations row by row.
#include "tasks/class_balance.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/errors.h"
#include "support/tiny_model.h"
#include "tasks/task.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using testing_support::error_of;

const std::vector<int64_t> kRows = {900, 90, 10};

TEST(ClassWeights, HaveTheMeanOneOverTheRows) {
  for (const ClassWeights rule :
       {ClassWeights::kBalanced, ClassWeights::kInverseSqrt, ClassWeights::kEffective}) {
    const std::vector<double> weights = class_weights(rule, kRows);
    double sum = 0;
    for (size_t i = 0; i < 3; ++i) sum += static_cast<double>(kRows[i]) * weights[i];
    EXPECT_NEAR(sum / 1000, 1, 1e-12);
    EXPECT_LT(weights[0], weights[1]);
    EXPECT_LT(weights[1], weights[2]);
  }
}

TEST(ClassWeights, BalancedAreThoseOfScikitLearn) {  // n / (classes · n of the class)
  const std::vector<double> weights = class_weights(ClassWeights::kBalanced, kRows);
  EXPECT_NEAR(weights[0], 1000.0 / (3 * 900), 1e-12);
  EXPECT_NEAR(weights[2], 1000.0 / (3 * 10), 1e-12);
}

TEST(ClassWeights, EffectiveHaveThePapersRatio) {
  const std::vector<double> weights = class_weights(ClassWeights::kEffective, kRows);
  const double expected = (1 - std::pow(0.999, 900)) / (1 - std::pow(0.999, 10));
  EXPECT_NEAR(weights[2] / weights[0], expected, 1e-9);
}

TEST(ClassWeights, OfAClassWithoutRowsAreNumbers) {
  for (const double weight : class_weights(ClassWeights::kBalanced, {5, 0}))
    EXPECT_TRUE(std::isfinite(weight));
  for (const double share : log_shares({5, 0})) EXPECT_TRUE(std::isfinite(share));
}

TEST(BalancedLoss, IsThePlainSumOfRows) {
  const at::Tensor logits = at::randn({6, 3}),
                   classes = at::tensor({0, 2, -100, 1, 2, 0}, at::kLong);
  ClassBalance options;
  options.class_weights = ClassWeights::kBalanced;
  options.logit_adjustment = 0.7;
  options.focal_gamma = 2;
  double expected = 0;
  for (int64_t row = 0; row < 6; ++row) {
    const auto y = classes[row].item<int64_t>();
    if (y < 0) continue;
    std::vector<double> scores;
    double sum = 0;
    for (int64_t c = 0; c < 3; ++c) {
      const double share = static_cast<double>(kRows[static_cast<size_t>(c)]) / 1000;
      scores.push_back(std::exp(logits[row][c].item<double>() + 0.7 * std::log(share)));
      sum += scores.back();
    }
    const double p = scores[static_cast<size_t>(y)] / sum;
    const double weight = 1000.0 / (3.0 * static_cast<double>(kRows[static_cast<size_t>(y)]));
    expected += weight * (1 - p) * (1 - p) * -std::log(p);
  }
  EXPECT_NEAR(balanced_losses(logits, classes, options, kRows, 0).sum().item<double>(), expected,
              1e-4 * std::abs(expected));
}

TEST(BalancedLoss, OfNothingChangedIsTheCrossEntropy) {
  const at::Tensor logits = at::randn({5, 3}), classes = at::tensor({0, 1, 2, -100, 1}, at::kLong);
  const at::Tensor plain =
      at::cross_entropy_loss(logits, classes, {}, at::Reduction::Sum, -100, 0.1);
  EXPECT_NEAR(balanced_losses(logits, classes, {}, kRows, 0.1).sum().item<double>(),
              plain.item<double>(), 1e-5);
}

TEST(BalancedLoss, HasAGradientWhereARowIsSurelyRight) {
  const at::Tensor logits = at::tensor({200.0F, 0.0F, 0.0F}).view({1, 3}).requires_grad_();
  ClassBalance options;
  options.focal_gamma = 0.5;
  balanced_losses(logits, at::tensor({0}, at::kLong), options, kRows, 0).sum().backward();
  EXPECT_TRUE(logits.grad().isfinite().all().item<bool>());
}

TEST(FocalFactors, AreThoseOfWhatIsRight) {
  const at::Tensor logits = at::tensor({2.0F, -1.0F}).view({1, 2}),
                   targets = at::tensor({1.0F, 1.0F}).view({1, 2});
  const at::Tensor found = focal_factors(logits, targets, 2);
  EXPECT_NEAR(found[0][0].item<double>(), std::pow(1 - 1 / (1 + std::exp(-2.0)), 2), 1e-6);
  EXPECT_NEAR(found[0][1].item<double>(), std::pow(1 - 1 / (1 + std::exp(1.0)), 2), 1e-6);
}

std::shared_ptr<Task> learned(const std::string& options, const std::vector<Json>& labels) {
  Config section = Config::parse(options, "task");
  std::shared_ptr<Task> task = task_named("classify").make(section, 0);
  for (const Json& label : labels) task->learn({{{"text", "x"}, {"label", label}}, nullptr});
  task->finish_learning();
  return task;
}

Batch batch_of(const std::vector<float>& classes) {
  Batch batch;
  batch.targets["labels"] = at::tensor(classes);
  return batch;
}

TEST(ClassWeights, AreOfTrainingAlone) {
  const auto task = learned("{class_weights: balanced}", {"a", "a", "a", "b"});
  const auto plain = learned("{}", {"a", "a", "a", "b"});
  const at::Tensor logits = at::randn({2, 2});
  const Batch batch = batch_of({0, 1});
  EXPECT_EQ(task->loss(logits, batch).sum.item<double>(),
            plain->loss(logits, batch).sum.item<double>());
  const at::Tensor each =
      at::cross_entropy_loss(logits, at::tensor({0, 1}, at::kLong), {}, at::Reduction::None);
  const double expected = each[0].item<double>() * 4 / 6 + each[1].item<double>() * 4 / 2;
  const Loss trained = task->loss(logits, batch, {.trains = true});
  EXPECT_NEAR(trained.sum.item<double>(), expected, 1e-5);
  EXPECT_EQ(trained.count, 2);
}

TEST(ClassWeights, CountLabelsByNameAndByNumber) {
  const auto task = learned("{class_weights: balanced, labels: [a, b]}", {"a", 0, 0, 1});
  const at::Tensor logits = at::zeros({1, 2});
  EXPECT_NEAR(task->loss(logits, batch_of({1}), {.trains = true}).sum.item<double>(),
              std::log(2.0) * 2, 1e-6);
}

TEST(ClassWeights, OfSeveralLabelsAreRefused) {
  EXPECT_THAT(error_of([] { learned("{class_weights: balanced, type: multi}", {}); }),
              HasSubstr("for one label a row"));
  EXPECT_THAT(error_of([] { learned("{logit_adjustment: 1}", {Json{"a", "b"}, Json{"a"}}); }),
              HasSubstr("for one label a row"));
  EXPECT_THAT(error_of([] { learned("{class_weights: balancd}", {}); }), HasSubstr("\"balanced\""));
  EXPECT_THAT(error_of([] { learned("{focal_gamma: -1}", {}); }), HasSubstr("from 0 to 100"));
}

}  // namespace
}  // namespace hone
