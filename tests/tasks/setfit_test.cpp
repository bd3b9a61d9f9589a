#include "tasks/setfit/setfit.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/errors.h"
#include "tasks/setfit/logistic.h"
#include "tasks/toy.h"

namespace hone::setfit {
namespace {

using ::testing::HasSubstr;
using testing_support::error_of;
using toy::record;

std::unique_ptr<Task> trained(const std::string& yaml, const std::vector<const char*>& labels) {
  Config config = Config::parse(yaml, "run.yaml");
  auto task = kInfo.make(config, 64);
  config.refuse_unknown();
  for (const char* label : labels)
    task->learn(record((std::string(R"({"text": "t", "label": ")") + label + "\"}").c_str()));
  task->finish_learning();
  return task;
}

Batch labelled(std::vector<float> classes) {
  Batch batch;
  batch.targets["labels"] = at::tensor(classes);
  return batch;
}

// Vectors (cos a, sin a) with logits of no opinion.
Outputs output(const std::vector<double>& angles) {
  const auto samples = static_cast<int64_t>(angles.size());
  at::Tensor rows = at::zeros({samples, 2});
  for (size_t i = 0; i < angles.size(); ++i) {
    rows[static_cast<int64_t>(i)][0] = std::cos(angles[i]);
    rows[static_cast<int64_t>(i)][1] = std::sin(angles[i]);
  }
  return {Output{at::zeros({samples, 2})}, Output{rows}};
}

TEST(SetFit, TakesTheMeanOfBothKindsOfPairs) {
  const auto task = trained("{}", {"a", "b"});
  const Loss loss = task->loss(output({0, 0.5, 1.5}), labelled({0, 0, 1}));
  const auto square = [](double x) { return x * x; };
  const double same = square(std::cos(0.5) - 1),
               others = (square(std::cos(1.5)) + square(std::cos(1.0))) / 2;
  EXPECT_NEAR(loss.sum.item<double>(), (same + others) / 2 + std::log(2), 1e-6);
  EXPECT_EQ(loss.count, 1);
}

TEST(SetFit, LearnsFromStepsOfOneLabelWhatTheyHold) {
  const auto task = trained("{}", {"a", "b"});
  EXPECT_NEAR(task->loss(output({0, 0}), labelled({1, 1})).sum.item<double>(), std::log(2), 1e-6);
  EXPECT_TRUE(std::isfinite(task->loss(output({0}), labelled({1})).sum.item<double>()));
}

TEST(SetFit, RefusesWhatItCannotLearn) {
  EXPECT_THAT(error_of([] { trained("{}", {"a", "a"}); }), HasSubstr("all training rows"));
  EXPECT_THAT(error_of([] { trained("{type: multi}", {"a", "b"}); }),
              HasSubstr("setfit gives each text one label"));
  EXPECT_THAT(error_of([] { trained("{c: 0}", {"a", "b"}); }), HasSubstr("must be above 0"));
  const auto task = trained("{}", {"a", "b"});
  EXPECT_THAT(error_of([&] { task->check_step(1); }), HasSubstr("the pairs"));
}

// At the solution the sums of the errors are what the penalty asks for.
TEST(Logistic, IsSolved) {
  const at::Tensor x = at::tensor({1.0, 0.0, 0.8, 0.6, 0.0, 1.0, -0.6, 0.8, -1.0, 0.1})
                           .view({5, 2}),
                   classes = at::tensor({0, 0, 1, 1, 2}, at::kLong);
  const LogisticWeights solved = solve_logistic(x, classes, 3, 2.0);
  const at::Tensor inputs = x.to(at::kDouble);
  const at::Tensor errors = (inputs.matmul(solved.weight.t()) + solved.bias).softmax(1) -
                            at::one_hot(classes, 3).to(at::kDouble);
  const at::Tensor gradient = 2.0 * errors.t().matmul(inputs) + solved.weight;
  EXPECT_LT(gradient.abs().max().item<double>(), 1e-6);
  EXPECT_LT(errors.sum(0).abs().max().item<double>(), 1e-6);
}

TEST(Logistic, HasFiniteWeightsWhereClassesAreApart) {
  const at::Tensor x = at::tensor({1.0, 0.0, -1.0, 0.0}).view({2, 2});
  const LogisticWeights solved = solve_logistic(x, at::tensor({0, 1}, at::kLong), 2, 1.0);
  EXPECT_TRUE(solved.weight.isfinite().all().item<bool>());
  // w solves w = 2 / (1 + exp(w)) for w = the difference of the weights (no intercept, by
  // symmetry).
  const double w = (solved.weight[0][0] - solved.weight[1][0]).item<double>();
  EXPECT_NEAR(w, 2 / (1 + std::exp(w)), 1e-6);
}

}  // namespace
}  // namespace hone::setfit
