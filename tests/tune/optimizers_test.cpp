// Every optimizer of the table: its values beside those of others, what a resumed run gets,
// threads.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <tuple>
#include <vector>

#include "base/config.h"
#include "support/errors.h"
#include "support/tiny_run.h"
#include "tune/optim/optimizer.h"
#include "tune/parameters.h"

namespace hone {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::error_of;
using testing_support::first_difference;
using testing_support::tiny_options;
using testing_support::TinyRun;

// Made once: the last bit of a sine may depend on where its memory lies.
at::Tensor wave(at::IntArrayRef shape, double start, double by, double size) {
  static std::map<std::tuple<std::vector<int64_t>, double, double, double>, at::Tensor> made;
  at::Tensor& one = made[{shape.vec(), start, by, size}];
  if (!one.defined()) {
    const int64_t count = c10::multiply_integers(shape);
    const at::Tensor i = at::arange(count, at::TensorOptions(at::kDouble));
    one = ((i * by + start).sin() * size).to(at::kFloat).view(shape);
  }
  return one.clone();
}

TrainOptions train_section(const std::string& yaml) {
  Config section = Config::parse(yaml, "train");
  TrainOptions options = TrainOptions::read(section);
  section.refuse_unknown();
  return options;
}

std::unique_ptr<Optimizer> make_named(const std::string& name, const Json& own,
                                      std::vector<Parameter> parameters) {
  const Json section =
      own.empty() ? Json{{"optim", name}} : Json{{"optim", name}, {"optim_args", own}};
  return optimizers().named(name).make(std::move(parameters), train_section(section.dump()));
}

// tests/golden/optimizers.py made the values, of the same waves.
TEST(Optimizers, HaveTheValuesOfOthersOverAHundredSteps) {
  std::ifstream file("tests/golden/optimizers.json");
  ASSERT_TRUE(file) << "tests/golden/optimizers.json is missing";
  const Json cases = Json::parse(file);
  ASSERT_EQ(cases.size(), 12U);
  for (const Json& one : cases) {
    const std::vector<std::pair<std::string, std::vector<int64_t>>> shapes = {
        {"matrix", {5, 7}}, {"tall", {7, 4}}, {"vector", {6}}};
    std::vector<Parameter> parameters;
    for (const auto& [name, shape] : shapes) {
      Parameter parameter;
      parameter.name = name;
      parameter.value = wave(shape, std::acos(0.0), 0.9, 1).requires_grad_();  // a cosine
      parameter.weight_decay = name == "vector" ? 0 : 0.1;
      parameters.push_back(parameter);
    }
    const auto optimizer = make_named(one["name"], one["options"], parameters);
    for (int step = 1; step <= 100; ++step) {
      for (size_t i = 0; i < shapes.size(); ++i)  // half of it, doubled again
        parameters[i].value.mutable_grad() =
            wave(shapes[i].second, 1.3 * step, 0.7, 0.5 * std::pow(10.0, step % 4 - 3));
      optimizer->step(1e-2 * (1 - step / 200.0), 2);
      if (!one["after"].contains(std::to_string(step))) continue;
      for (const Parameter& parameter : parameters) {
        const at::Tensor expected =
            at::tensor(
                one["after"][std::to_string(step)][parameter.name].get<std::vector<double>>(),
                at::kFloat)
                .view(parameter.value.sizes());
        const double apart =
            ((parameter.value.detach() - expected).abs().max() / expected.abs().max())
                .item<double>();
        // Newton-Schulz steps stretch small singular values, and what was rounded there.
        EXPECT_LT(apart, one["name"] == "muon" ? 1e-5 : 2e-6)
            << one["name"] << one["options"] << " step " << step;
      }
    }
  }
}

struct Optimized {
  std::vector<Parameter> parameters;
  std::unique_ptr<Optimizer> optimizer;
};

Optimized optimized(const std::string& name, const Json& own = Json::object()) {
  Optimized trained;
  for (const auto& shape : std::vector<std::vector<int64_t>>{{300, 70}, {9}}) {
    Parameter parameter;
    parameter.name = "p" + std::to_string(shape.size());
    parameter.value = wave(shape, 1, 0.37, 1).requires_grad_();
    parameter.shadow = parameter.value.detach().to(at::kBFloat16);
    parameter.in_bf16 = true;
    parameter.weight_decay = 0.1;
    trained.parameters.push_back(parameter);
  }
  trained.optimizer = make_named(name, own, trained.parameters);
  return trained;
}

void take_steps(Optimized& trained, int from, int to) {
  for (int step = from; step < to; ++step) {
    for (const Parameter& parameter : trained.parameters)
      at::Tensor(parameter.value).mutable_grad() =
          wave(parameter.value.sizes(), step, 0.11, 0.1 * step);
    trained.optimizer->step(1e-2, 1);
  }
}

bool are_same(const Optimized& a, const Optimized& b) {
  bool same = true;
  for (size_t i = 0; i < a.parameters.size(); ++i)
    same = same && a.parameters[i].value.equal(b.parameters[i].value);
  return same;
}

class EveryOptimizer : public testing::TestWithParam<std::string> {};

TEST_P(EveryOptimizer, GoesOnBitForBitFromItsState) {
  Optimized whole = optimized(GetParam());
  take_steps(whole, 1, 9);
  Optimized first = optimized(GetParam());
  take_steps(first, 1, 5);
  Optimized second = optimized(GetParam());
  for (size_t i = 0; i < 2; ++i)
    second.parameters[i].value.detach().copy_(first.parameters[i].value.detach());
  StateDict state;
  for (const auto& [name, tensor] : first.optimizer->state()) state[name] = tensor.clone();
  second.optimizer->load_state(state);
  EXPECT_FALSE(are_same(whole, second));
  take_steps(second, 5, 9);
  EXPECT_TRUE(are_same(whole, second));
  EXPECT_GE(first.optimizer->state_bytes() + 64, [&] {
    int64_t bytes = 0;
    for (const auto& [name, tensor] : state) bytes += static_cast<int64_t>(tensor.nbytes());
    return bytes;
  }());
}

TEST_P(EveryOptimizer, GivesTheSameBitsOnAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  Optimized one = optimized(GetParam());
  take_steps(one, 1, 6);
  at::set_num_threads(3);
  Optimized three = optimized(GetParam());
  take_steps(three, 1, 6);
  at::set_num_threads(before);
  EXPECT_TRUE(are_same(one, three));
}

TEST_P(EveryOptimizer, WritesShadowsAndLeavesWhatHasNoGradient) {
  Optimized trained = optimized(GetParam());
  const at::Tensor start = trained.parameters[1].value.detach().clone();
  trained.parameters[0].value.mutable_grad() = wave({300, 70}, 1, 0.2, 1);
  trained.optimizer->step(1e-2, 1);
  const Parameter& moved = trained.parameters[0];
  EXPECT_FALSE(moved.value.detach().equal(wave({300, 70}, 1, 0.37, 1)));
  EXPECT_TRUE(moved.shadow.equal(moved.value.detach().to(at::kBFloat16)));
  EXPECT_TRUE(trained.parameters[1].value.detach().equal(start));
}

TEST_P(EveryOptimizer, LowersTheLossOfARun) {
  TinyRun run;
  TrainOptions options = tiny_options();
  options.optim = GetParam();
  options.num_train_epochs = 12;
  options.learning_rate =
      GetParam() == "sgd"                                                         ? 0.5
      : GetParam() == "lamb" || GetParam() == "adafactor" || GetParam() == "muon" ? 2e-2
                                                                                  : 2e-3;
  options.eval_strategy = options.save_strategy = "no";
  run.train(options);
  const auto all = run.events_of<Stepped>();
  EXPECT_LT(all.back().loss, 0.7 * all.front().loss);
}

TEST_P(EveryOptimizer, RefusesTheStateOfAnotherModel) {
  Optimized trained = optimized(GetParam());
  EXPECT_THAT(error_of([&] { trained.optimizer->load_state({}); }),
              HasSubstr("the checkpoint is of another model"));
}

INSTANTIATE_TEST_SUITE_P(, EveryOptimizer,
                         testing::Values("adamw", "adam", "adafactor", "sgd", "lion", "lamb",
                                         "muon"),
                         [](const auto& info) { return std::string(info.param); });

TEST(OptimArgs, AreTheOptimizersOwn) {
  EXPECT_EQ(train_section("{optim: sgd, optim_args: {momentum: 0.5}}").optim_args,
            (Json{{"momentum", 0.5}, {"nesterov", false}}));
  EXPECT_EQ(train_section("{optim: lion}").optim_args, (Json{{"beta1", 0.9}, {"beta2", 0.99}}));
  EXPECT_THAT(error_of([] { train_section("{optim: sgd, optim_args: {momentun: 0.5}}"); }),
              AllOf(HasSubstr("momentun"), HasSubstr("momentum")));
  EXPECT_THAT(error_of([] { train_section("{optim: sgd, optim_args: {momentum: 1}}"); }),
              HasSubstr("less than 1"));
  EXPECT_THAT(error_of([] { train_section("{optim: sgd, optim_args: {nesterov: true}}"); }),
              HasSubstr("momentum"));
  EXPECT_THAT(error_of([] { train_section("{optim: adafactor, optim_args: {decay_rate: 0.8}}"); }),
              HasSubstr("less than 0"));
  EXPECT_THAT(
      error_of([] { train_section("{optim: adafactor, optim_args: {warmup_init: true}}"); }),
      HasSubstr("relative_step: true"));
  const std::string relative =
      "{optim: adafactor, optim_args: {relative_step: true}, groups: [{parameters: a, ";
  EXPECT_THAT(error_of([&] { train_section(relative + "learning_rate: 1e-3}]}"); }),
              AllOf(HasSubstr("relative_step"), HasSubstr("factor")));
  EXPECT_NO_THROW(train_section(relative + "factor: 2}]}"));
  EXPECT_THAT(error_of([] { train_section("{optim: adamw, optim_args: {beta1: 0.8}}"); }),
              HasSubstr("adamw has no options of its own"));
}

TEST(OptimArgs, ThatDoNothingAreTold) {
  TrainOptions options = train_section("{optim: lion, adam_beta1: 0.8}");
  EXPECT_THAT(idle_options(options, true), testing::Contains(HasSubstr("adam_beta1")));
  EXPECT_THAT(idle_options(train_section("{optim: adafactor, learning_rate: 1e-3, optim_args: "
                                         "{relative_step: true}}"),
                           true),
              testing::Contains(HasSubstr("relative_step")));
  options.optim = "adam";
  EXPECT_THAT(idle_options(options, true), testing::Not(testing::Contains(HasSubstr("adam_beta"))));
}

}  // namespace
}  // namespace hone
