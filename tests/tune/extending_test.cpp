// What the pages on adding something say: a family, a task, an optimizer, a schedule, a regulariser
// and an adapter of another program, one registration each, and a run that is trained with all of
// them.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "models/adapters/adapter.h"
#include "models/bert.h"
#include "models/layers/linear.h"
#include "support/tiny_run.h"
#include "support/toy_similarity.h"
#include "tune/optim/optimizer.h"
#include "tune/regularise/regulariser.h"
#include "tune/schedule.h"

namespace hone {
namespace {

using testing_support::first_difference;
using testing_support::tiny_options;
using testing_support::TinyRun;

// value -= rate * momentum of the gradients' signs (Lion without its interpolation).
class SignMomentum : public Optimizer {
 public:
  explicit SignMomentum(std::vector<Parameter> parameters) : Optimizer(std::move(parameters)) {
    for (const Parameter& p : this->parameters())
      momenta_.push_back(at::zeros_like(p.value, p.value.options().requires_grad(false)));
  }
  void step(double learning_rate, double gradient_scale) override {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < momenta_.size(); ++i) {
      const Parameter& p = parameters()[i];
      if (!p.value.grad().defined()) continue;
      momenta_[i].mul_(0.9).add_(p.value.grad(), 0.1 * gradient_scale);
      p.value.detach().sub_(momenta_[i].sign(), learning_rate * p.rate);
    }
  }
  StateDict state() const override {
    StateDict state;
    for (size_t i = 0; i < momenta_.size(); ++i) state[parameters()[i].name] = momenta_[i];
    return state;
  }
  void load_state(const StateDict& state) override {
    for (size_t i = 0; i < momenta_.size(); ++i) momenta_[i].copy_(state.at(parameters()[i].name));
  }
  int64_t state_bytes() const override {
    int64_t bytes = 0;
    for (const at::Tensor& momentum : momenta_) bytes += static_cast<int64_t>(momentum.nbytes());
    return bytes;
  }

 private:
  std::vector<at::Tensor> momenta_;
};

// Noise on the embeddings, as NEFTune has it: here the same for all.
class Shifted : public Regulariser {
 public:
  struct Options {
    double size = 0.1;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("size", size);
    }
    void check(const Config&) const {}
  };
  Shifted(const Options& options, const RegulariserContext&) : options_(options) {}
  LossOf around_loss(LossOf inner) override {
    return [this, inner](const Batch& batch) {
      Outcome outcome = inner(batch);
      outcome.numbers.emplace_back("shifted.size", options_.size * outcome.loss.count);
      return outcome;
    };
  }

 private:
  Options options_;
};

// y + shift: a bias that is trained beside a frozen layer.
class OutputShift : public Adapter {
 public:
  struct Options {
    double begin = 0;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("begin", begin);
    }
    void check(const Config&) const {}
  };
  OutputShift(const Options& options, const AdapterSite& site)
      : shift_(register_parameter("shift", at::full({site.layer.weight.size(0)}, options.begin))) {}
  at::Tensor apply(const at::Tensor& y, const at::Tensor&, const Rows&) override {
    return y + shift_;
  }
  void merge_into(LinearImpl& layer) override { layer.bias.add_(shift_); }

 private:
  at::Tensor shift_;
};

const bool added = optimizers().add({"sign_momentum", "for tests",
                                     [](std::vector<Parameter> parameters, const TrainOptions&) {
                                       return std::unique_ptr<Optimizer>(
                                           std::make_unique<SignMomentum>(std::move(parameters)));
                                     }}) &&
                   schedules().add({"halving",
                                    [](const ScheduleOptions&, int64_t step) {
                                      return std::pow(0.5, static_cast<double>(step) / 4);
                                    }}) &&
                   regularisers().add({"shifted", "for tests", read_regulariser<Shifted>}) &&
                   adapters().add({"output_shift", "OUTPUT_SHIFT", "for tests", 1e-3,
                                   read_adapter<OutputShift>}) &&
                   families().add({"toy_bert", bert::read_config});

// Pairs of texts for the toy task, and a model of the toy family.
class ToyRun : public TinyRun {
 public:
  ToyRun() : TinyRun(toy_similarity::kName) {
    for (auto* records : {&train_records(), &validation_records()}) {
      for (Record& record : *records) record.fields["other"] = record.fields["text"];
    }
    const std::string path = folder() + "/model/config.json";
    Json config = read_json(path, ErrorKind::kModel);
    config["model_type"] = "toy_bert";
    write_file(path, to_text(config));
    regularise_yaml = "{shifted: {size: 0.25}}";
    peft_yaml = "{peft_type: output_shift, begin: 0.25, target_modules: [query, dense]}";
  }
};

TEST(Extending, OneRegistrationEachAndARunUsesThemAll) {
  ASSERT_TRUE(added);
  ToyRun whole, parts;
  Config root = Config::parse("train: {optim: sign_momentum, lr_scheduler_type: halving}", "t");
  Config section = root.section("train");
  const TrainOptions named = TrainOptions::read(section);
  TrainOptions options = tiny_options();
  options.optim = named.optim;
  options.lr_scheduler_type = named.lr_scheduler_type;
  options.warmup_ratio = 0;
  whole.load_pipeline();
  EXPECT_EQ(whole.pipeline().config().raw["model_type"], "toy_bert");
  EXPECT_STREQ(whole.pipeline().info().name, toy_similarity::kName);
  const auto before = whole.weights();
  whole.train(options);
  // A frozen model learns through what another program put beside its layers.
  EXPECT_EQ(before.at("bert.encoder.layer.1.output.dense.output_shift.shift").size(0), 16);
  for (const auto& [name, value] : whole.weights()) {
    const double moved = (value - before.at(name)).abs().max().item<double>();
    const bool is_trained =
        name.find(".output_shift.shift") != std::string::npos || !name.starts_with("bert.");
    EXPECT_EQ(moved > options.learning_rate, is_trained) << name;  // by more than one step's
    EXPECT_LE(moved, 12 * options.learning_rate) << name;
  }
  const auto steps = whole.events_of<Stepped>();
  ASSERT_EQ(steps.size(), 12U);
  EXPECT_DOUBLE_EQ(steps[4].learning_rate, options.learning_rate / 2);
  EXPECT_NEAR(steps[4].numbers.at(0).second, 0.25, 1e-12);

  parts.also = [&](const Event& event) {
    const auto* s = std::get_if<Stepped>(&event);
    if (s != nullptr && s->step == 5) parts.stop = true;
  };
  parts.train(options);
  parts.stop = false;
  parts.train(options, /*resume=*/true);
  EXPECT_EQ(first_difference(whole.weights(), parts.weights()), "");
}

TEST(Extending, TwoAdaptersOfOneNameAreRefused) {
  EXPECT_THROW(adapters().add({"lora", "LORA", "another", 1e-3, read_adapter<OutputShift>}), Error);
  Linear layer(8, 8);
  const AdapterSite site{"layer", *layer, 1, 2};
  layer->attach("shift", std::make_shared<OutputShift>(OutputShift::Options{}, site));
  EXPECT_THROW(layer->attach("shift", std::make_shared<OutputShift>(OutputShift::Options{}, site)),
               Error);
  layer->attach("other", std::make_shared<OutputShift>(OutputShift::Options{}, site));
  EXPECT_EQ(layer->adapters().size(), 2U);
}

}  // namespace
}  // namespace hone
