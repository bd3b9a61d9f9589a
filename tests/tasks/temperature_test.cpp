// One number that makes confidences believable.
#include "tasks/classify/temperature.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "tasks/task.h"

namespace hone::classify {
namespace {

// Rows whose classes are drawn from softmax(logits), told as softmax(logits · sharpness): the right
// temperature is `sharpness`.
TemperatureSearch drawn(double sharpness, int64_t rows = 4000) {
  TemperatureSearch search;
  RandomStream random(5);
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<double> told(3), is(3);
    double told_sum = 0, sum = 0;
    for (size_t c = 0; c < 3; ++c) {
      const double logit = random.normal();
      told_sum += told[c] = std::exp(logit * sharpness);
      sum += is[c] = std::exp(logit);
    }
    double place = random.uniform() * sum;
    size_t gold = 0;
    while (gold < 2 && place > is[gold]) place -= is[gold++];
    for (double& p : told) p /= told_sum;
    search.add(told, gold);
  }
  return search;
}

TEST(Temperature, IsFoundAgain) {
  for (const double sharpness : {0.5, 1.0, 3.0}) {
    const TemperatureSearch search = drawn(sharpness);
    EXPECT_NEAR(search.best() / sharpness, 1, 0.1) << sharpness;
    if (sharpness != 1) EXPECT_LT(search.mean_loss(search.best()), search.mean_loss(1));
  }
}

TEST(Temperature, IsTheLowestOfAGrid) {
  const TemperatureSearch search = drawn(2, 200);
  const double best = search.mean_loss(search.best());
  for (double t = 0.06; t < 19; t *= 1.05) EXPECT_GE(search.mean_loss(t), best - 1e-9) << t;
}

TEST(Temperature, MakesConfidencesBelievable) {
  const TemperatureSearch search = drawn(4);
  EXPECT_LT(search.calibration_error(search.best()), search.calibration_error(1) / 3);
}

TEST(Temperature, OfRowsThatAreAllRightIsTheColdest) {
  TemperatureSearch search;
  for (int i = 0; i < 10; ++i) search.add({0.9, 0.1}, 0);
  EXPECT_NEAR(search.best(), 0.05, 0.01);
}

TEST(Temperature, OfZeroProbabilitiesIsANumber) {
  TemperatureSearch search;
  search.add({1, 0}, 1);
  search.add({1, 0}, 0);
  EXPECT_TRUE(std::isfinite(search.mean_loss(search.best())));
}

TEST(Temperature, IsChosenFromTheValidationReportAndKept) {
  Config section = Config::parse("{temperature: auto}", "task");
  std::shared_ptr<Task> task = task_named("classify").make(section, 0);
  for (const char* label : {"a", "b"}) task->learn({{{"text", "x"}, {"label", label}}, nullptr});
  task->finish_learning();
  EXPECT_EQ(task->open_options(), std::vector<std::string>{"temperature"});
  const auto scorer = task->make_scorer();
  for (int i = 0; i < 20; ++i)  // sure at 0.99, right in 15 of 20
    scorer->add({{{"text", "x"}, {"label", i < 15 ? "a" : "b"}}, nullptr},
                {{"label", "a"}, {"scores", {{"a", 0.99}, {"b", 0.01}}}});
  const std::vector<ChosenOption> chosen = task->choose_options(scorer->report());
  ASSERT_EQ(chosen.size(), 2U);
  EXPECT_NEAR(chosen[0].value, std::log(99.0) / std::log(3.0), 1e-3);  // 0.99 becomes 0.75
  EXPECT_LT(chosen[0].score, chosen[0].usual);
  EXPECT_NEAR(chosen[1].score, 0, 1e-3);
  EXPECT_NEAR(chosen[1].usual, 0.24, 1e-3);
  EXPECT_TRUE(task->open_options().empty());
  EXPECT_NEAR(task->state()["options"]["temperature"].get<double>(), chosen[0].value, 1e-12);
}

TEST(Temperature, ThatIsNoneIsRefused) {
  for (const char* text : {"{temperature: 0}", "{temperature: -1}", "{temperature: warm}"}) {
    Config section = Config::parse(text, "task");
    EXPECT_THROW(task_named("classify").make(section, 0), Error) << text;
  }
}

}  // namespace
}  // namespace hone::classify
