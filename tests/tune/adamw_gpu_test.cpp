// AdamW's kernels for a GPU, and the loop that does not wait for one: on an emulated card.
#include "tune/optim/adamw_gpu.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "models/kernels_testing.h"
#include "support/emulated_gpu.h"
#include "support/errors.h"
#include "support/tiny_run.h"
#include "tune/arriving_numbers.h"
#include "tune/optim/adamw.h"

namespace hone {
namespace {

using kernels::gpu::device::AdamWNumbers;
using kernels::gpu::device::StepNumbers;
using kernels::testing::error;
using kernels::testing::normal;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::tiny_options;
using testing_support::TinyRun;

struct CardOfTest {
  const kernels::gpu::Launcher& on;
  at::Device device;
};

template <class Body>
void on_each_card(const Body& body) {
  body(CardOfTest{emulated::emulator(), at::kCPU});
  if (!at::hasCUDA()) return;
  SCOPED_TRACE("cuda:0");
  const kernels::gpu::Launcher* real = kernels::gpu::launcher_of(at::zeros({1}, at::kCUDA));
  ASSERT_NE(real, nullptr) << kernels::gpu::missing_kernels({at::kCUDA, 0});
  body(CardOfTest{*real, {at::kCUDA, 0}});
}

AdamWNumbers numbers_of(const AdamWOptions& options) {
  return {.beta1 = static_cast<float>(options.beta1),
          .beta2 = static_cast<float>(options.beta2),
          .one_minus_beta1 = static_cast<float>(1 - options.beta1),
          .one_minus_beta2 = static_cast<float>(1 - options.beta2),
          .eps = static_cast<float>(options.eps)};
}

// Moves as AdamW does, on whatever card its launcher has.
class AdamWThere : public Optimizer {
 public:
  AdamWThere(std::vector<Parameter> parameters, const kernels::gpu::Launcher& on)
      : Optimizer(std::move(parameters)), card_(on) {
    for (const Parameter& p : this->parameters()) {
      mean_.push_back(at::zeros_like(p.value.detach()));
      square_.push_back(at::zeros_like(p.value.detach()));
    }
  }
  bool steps_there() const override { return true; }
  void step(double, double) override { FAIL() << "a step that waits"; }
  void step_there(double rate, const StepThere& step) override {
    ++steps_;
    take(rate);
    card_.measure(step.count, step.max_norm, step.numbers);
    card_.update(numbers_of({}), step.numbers);
  }
  void step_with(double rate, double scale) {
    ++steps_;
    take(rate);
    card_.update(numbers_of({}), scale);
  }
  StateDict state() const override {
    StateDict state;
    for (size_t i = 0; i < mean_.size(); ++i) {
      state["mean." + parameters()[i].name] = mean_[i];
      state["square." + parameters()[i].name] = square_[i];
    }
    state["step"] = at::scalar_tensor(steps_, at::kLong);
    return state;
  }
  void load_state(const StateDict& state) override {
    for (size_t i = 0; i < mean_.size(); ++i) {
      mean_[i].copy_(state.at("mean." + parameters()[i].name));
      square_[i].copy_(state.at("square." + parameters()[i].name));
    }
    steps_ = state.at("step").item<int64_t>();
  }
  int64_t state_bytes() const override { return 0; }

 private:
  void take(double rate) {
    std::vector<GpuParameter> moved;
    const auto t = static_cast<double>(steps_);
    for (size_t i = 0; i < mean_.size(); ++i) {
      const Parameter& p = parameters()[i];
      if (!p.value.grad().defined()) continue;
      moved.push_back({p.value.detach(), p.value.grad(), mean_[i], square_[i], p.shadow,
                       1 - rate * p.rate * p.weight_decay, rate * p.rate / (1 - std::pow(0.9, t)),
                       1 / std::sqrt(1 - std::pow(0.999, t))});
    }
    card_.take(moved);
  }

  GpuAdamW card_;
  std::vector<at::Tensor> mean_, square_;
  int64_t steps_ = 0;
};

Parameter parameter_of(const std::string& name, const at::Tensor& value, double decay) {
  Parameter parameter;
  parameter.name = name;
  parameter.value = value.detach().clone().requires_grad_();
  parameter.weight_decay = decay;
  return parameter;
}

// A parameter of several pieces, a small one, one that decays and has a shadow.
struct Twins {
  std::vector<Parameter> here, there;

  explicit Twins(at::Device device) {
    for (const auto& [name, shape] : std::vector<std::pair<std::string, std::vector<int64_t>>>{
             {"long", {130, 70}}, {"short", {3}}, {"shadowed", {40, 16}}}) {
      const at::Tensor start = normal(shape, here.size() + 1);
      here.push_back(parameter_of(name, start, name == "shadowed" ? 0.1 : 0));
      there.push_back(parameter_of(name, start.to(device), here.back().weight_decay));
    }
    here[2].shadow = at::zeros({40, 16}, at::kBFloat16);
    there[2].shadow = here[2].shadow.to(device).clone();
  }
  void draw_gradients(uint64_t step) {
    for (size_t i = 0; i < here.size(); ++i) {
      const at::Tensor gradient = normal(here[i].value.sizes(), 10 * step + i);
      here[i].value.mutable_grad() = gradient;
      there[i].value.mutable_grad() = gradient.to(there[i].value.device()).clone();
    }
  }
};

TEST(AdamWGpu, MovesAsOnTheCpu) {
  on_each_card([](const CardOfTest& card) {
    Twins twins(card.device);
    AdamW here(twins.here, {});
    AdamWThere there(twins.there, card.on);
    for (uint64_t step = 1; step <= 5; ++step) {
      twins.draw_gradients(step);
      here.step(1e-2, 0.25);
      there.step_with(1e-2, 0.25);
      for (size_t i = 0; i < twins.here.size(); ++i)
        EXPECT_LT(error(twins.there[i].value.detach().cpu(), twins.here[i].value.detach()), 1e-6);
    }
    EXPECT_TRUE(at::equal(twins.there[2].shadow, twins.there[2].value.to(at::kBFloat16)));
  });
}

TEST(AdamWGpu, ClipsByTheNormThatItFinds) {
  on_each_card([](const CardOfTest& card) {
    Twins twins(card.device);
    AdamW here(twins.here, {});
    AdamWThere there(twins.there, card.on);
    const at::Tensor numbers = make_step_numbers(twins.there[0].value.options());
    twins.draw_gradients(1);
    const double count = 8, norm = gradient_norm(twins.here) / count;
    here.step(1e-2, std::min(1.0, 0.5 / (norm + 1e-6)) / count);
    there.step_there(1e-2, {count, 0.5, numbers});
    for (size_t i = 0; i < twins.here.size(); ++i)
      EXPECT_LT(error(twins.there[i].value.detach().cpu(), twins.here[i].value.detach()), 1e-6);
    ArrivingNumbers arriving;
    arriving.send(numbers);
    const auto found = arriving.receive(/*waits=*/true);
    EXPECT_NEAR(found->norm / count, norm, 1e-9 * norm);
    EXPECT_FALSE(found->is_failed);
    EXPECT_EQ(arriving.size(), 0u);
  });
}

TEST(AdamWGpu, NothingMovesFromAStepOnThatIsNoNumber) {
  on_each_card([](const CardOfTest& card) {
    Twins twins(card.device);
    AdamWThere there(twins.there, card.on);
    const at::Tensor numbers = make_step_numbers(twins.there[0].value.options()),
                     before = twins.there[0].value.detach().clone();
    twins.draw_gradients(1);
    twins.there[1].value.mutable_grad()[0] = std::numeric_limits<float>::quiet_NaN();
    there.step_there(1e-2, {1, 1, numbers});
    twins.draw_gradients(2);
    there.step_there(1e-2, {1, 1, numbers});
    ArrivingNumbers arriving;
    arriving.send(numbers);
    EXPECT_TRUE(arriving.receive(true)->is_failed);
    EXPECT_TRUE(at::equal(twins.there[0].value.detach(), before));
    for (const auto& [name, tensor] : there.state()) {
      if (!name.starts_with("mean.")) continue;
      EXPECT_TRUE(tensor.eq(0).all().item<bool>()) << name;
    }
  });
}

// ---- the loop

const bool is_registered = optimizers().add(
    {"adamw_there", "for tests", [](std::vector<Parameter> parameters, const TrainOptions&) {
       return std::unique_ptr<Optimizer>(
           std::make_unique<AdamWThere>(std::move(parameters), emulated::emulator()));
     }});

TrainOptions options_there() {
  TrainOptions options = tiny_options();
  options.optim = "adamw_there";
  options.num_train_epochs = 1;
  options.save_strategy = "no";
  options.eval_strategy = "no";
  return options;
}

TEST(AdamWGpu, TheLoopThatDoesNotWaitTrainsAsTheOneThatDoes) {
  ASSERT_TRUE(is_registered);
  TinyRun run("ner");
  TrainOptions options = options_there();
  options.gradient_accumulation_steps = 2;
  run.train(options);
  const auto there = run.events_of<Stepped>();
  const auto weights = run.weights();
  options.optim = "adamw_torch";
  run.train(options);
  const auto here = run.events_of<Stepped>();
  ASSERT_EQ(there.size(), here.size());
  ASSERT_GT(here.size(), 2u);
  for (size_t i = 0; i < here.size(); ++i) {
    EXPECT_EQ(there[i].step, here[i].step);
    EXPECT_EQ(there[i].tokens, here[i].tokens);
    EXPECT_EQ(there[i].is_logged, here[i].is_logged);
    EXPECT_NEAR(there[i].loss, here[i].loss, 1e-4);
    EXPECT_NEAR(there[i].gradient_norm, here[i].gradient_norm, 1e-3 * here[i].gradient_norm);
  }
  for (const auto& [name, value] : run.weights())
    EXPECT_LT((weights.at(name) - value).abs().max().item<double>(), 5e-4) << name;
}

TEST(AdamWGpu, TheLoopThatDoesNotWaitNamesTheRowThatIsNoNumber) {
  TinyRun run("classify", {}, 40);
  for (size_t i = 0; i < run.train_records().size(); ++i)
    run.train_records()[i].fields["label"] = 0.01 * static_cast<double>(i);
  run.train_records()[12].fields["label"] = 1e30;  // its square is infinite in fp32
  run.task_yaml = "{type: regression}";
  const std::string message = error_of([&] { run.train(options_there()); });
  EXPECT_THAT(message, AllOf(HasSubstr("train.jsonl:13: "), HasSubstr("1 of 4 samples"),
                             HasSubstr("not finite")));
  for (const auto& [name, value] : run.weights())
    EXPECT_TRUE(value.isfinite().all().item<bool>()) << name;
}

TEST(AdamWGpu, TheLoopThatDoesNotWaitGoesOnBitForBit) {
  TinyRun run;
  TrainOptions options = options_there();
  options.save_strategy = "steps";
  options.save_steps = 2;
  options.max_steps = 5;
  run.train(options);
  const auto whole = run.weights();
  run.also = [&](const Event& event) {
    if (std::holds_alternative<Saved>(event)) run.stop = true;
  };
  EXPECT_TRUE(run.train(options).interrupted);
  run.stop = false;
  run.also = [](const Event&) {};
  run.train(options, /*resume=*/true);
  for (const auto& [name, value] : run.weights()) EXPECT_TRUE(at::equal(whole.at(name), value));
}

// Steps are still on their way when memory runs out.
TEST(AdamWGpu, ARunThatRanOutOfMemoryGoesOnWithSmallerMicroBatches) {
  TinyRun run;
  TrainOptions options = options_there();
  options.save_strategy = "steps";
  options.save_steps = 2;
  options.max_steps = 5;
  run.train(options);
  const auto whole = run.weights();
  run.also = [](const Event& event) {
    const Stepped* const step = std::get_if<Stepped>(&event);
    if (step != nullptr && step->step == 3)
      TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory.");
  };
  EXPECT_THROW(run.train(options), c10::OutOfMemoryError);
  run.also = [](const Event&) {};
  options.per_device_train_batch_size = 2;
  options.gradient_accumulation_steps = 2;
  EXPECT_EQ(run.train(options, /*resume=*/true).steps, 5);
  EXPECT_EQ(run.events_of<Started>().front().step, 2);
  for (const auto& [name, value] : run.weights())
    EXPECT_LT((whole.at(name) - value).abs().max().item<double>(), 5e-4) << name;
}

}  // namespace
}  // namespace hone
