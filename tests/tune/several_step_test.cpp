// An optimizer step of several tasks.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "support/tiny_run.h"
#include "tasks/several/several.h"
#include "tune/batch_loader.h"
#include "tune/step_parts.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using testing_support::first_difference;
using testing_support::tiny_options;
using testing_support::tiny_sentences;
using testing_support::tiny_texts;
using testing_support::TinyBert;
using testing_support::TinyRun;

constexpr const char* kTasks =
    "{topic: {task: {name: classify}, weight: 2}, names: {task: {name: ner}, weight: 0.5}}";

std::vector<Record> named(std::vector<Record> records, const char* task) {
  for (Record& record : records) record.fields[several::kTaskField] = task;
  return records;
}

// Texts and sentences by turns: of the texts more.
std::vector<Record> mixed(int64_t texts, int64_t sentences, uint64_t seed) {
  const std::vector<Record> a = named(tiny_texts(texts, "texts", seed), "topic"),
                            b = named(tiny_sentences(sentences, "sentences", seed), "names");
  std::vector<Record> all;
  for (size_t i = 0; i < a.size(); ++i) {
    all.push_back(a[i]);
    if (i < b.size()) all.push_back(b[i]);
  }
  return all;
}

class SeveralRun : public TinyRun {
 public:
  explicit SeveralRun(TinyBert model = {}) : TinyRun(several::kTaskName, model) {
    at::set_num_threads(1);  // the model is tiny
    train_records() = mixed(15, 9, 5);
    validation_records() = mixed(8, 5, 9);
    task_yaml = kTasks;
  }
};

using Gradients = std::map<std::string, at::Tensor>;

void clear_gradients_of(TinyRun& run) {
  for (const auto& [name, weight] : run.pipeline().network().weights())
    weight.mutable_grad().reset();
}

Gradients gradients_of(TinyRun& run, double divisor) {
  Gradients gradients;
  for (const auto& [name, weight] : run.pipeline().network().weights()) {
    if (weight.grad().defined()) gradients[name] = weight.grad() / divisor;
  }
  return gradients;
}

// The gradient of a step of all training samples, in micro-batches of at most `at_once`.
Gradients several_gradient(TinyRun& run, int64_t at_once, const std::string& regularise = "{}") {
  run.pipeline().network().train();
  clear_gradients_of(run);
  const EpochPlan plan(
      run.store().lengths(),
      {.batch_size = at_once, .accumulation = run.store().size(), .tasks = &run.store().tasks()},
      0);
  EXPECT_EQ(plan.size(), 1);
  Config section = Config::parse(regularise, "regularise");
  const StepParts parts(run.pipeline(), tiny_options(), read_regularisers(section),
                        /*total_steps=*/1);
  double count = 0;
  for (const MicroBatch& micro :
       make_weighed_step(run.store(), plan.step(0), 42, 0, run.pipeline().task().parts()))
    count += parts.pass(micro.batch).count;
  return gradients_of(run, count);
}

double gradient_distance(const Gradients& a, const Gradients& b) {
  double total = 0, worst = 0;
  for (const auto& [name, value] : a) total = std::hypot(total, value.norm().item<double>());
  for (const auto& [name, value] : a) {
    // A softmax does not see what is added to all its inputs: there is rounding alone.
    const double scale =
        name.find("key.bias") == std::string::npos ? value.norm().item<double>() : total;
    worst = std::max(worst, (value - b.at(name)).norm().item<double>() / scale);
  }
  return a.size() == b.size() ? worst : INFINITY;
}

TEST(SeveralStep, HasOneGradientHoweverItIsSplit) {
  SeveralRun run;
  run.load_pipeline();
  for (const std::string regularise : {"{}", "{fgm: {epsilon: 0.5}}"}) {
    const Gradients whole = several_gradient(run, 100, regularise);
    EXPECT_GT(whole.at("heads.names.classifier.weight").norm().item<double>(), 0);
    for (const int64_t at_once : {5, 2, 1})
      EXPECT_LT(gradient_distance(whole, several_gradient(run, at_once, regularise)), 2e-6)
          << "in batches of " << at_once << " with " << regularise;
  }
}

// Copies into a run of one task what it has in common with one of several.
void copy_weights(TinyRun& from, const std::string& head, TinyRun& to) {
  const c10::AutoGradMode no_grad(false);
  const auto source = from.weights();
  for (auto& [name, weight] : to.pipeline().network().weights())
    weight.copy_(source.at(source.contains(name) ? name : head + name));
}

// The gradient of the mean loss of a run of one task, without dropout.
Gradients gradient_of_one(TinyRun& several, const std::string& head, const std::string& task,
                          const std::vector<Record>& records) {
  TinyRun one(task, {.dropout = 0});
  one.train_records() = records;
  one.load_pipeline();
  copy_weights(several, head, one);
  clear_gradients_of(one);
  std::vector<int64_t> all(static_cast<size_t>(one.store().size()));
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
  const Loss loss = one.pipeline().task().forward_loss(
      one.pipeline().network(), make_micro_batch(one.store(), all, 42, 0).batch);
  loss.sum.backward();
  return gradients_of(one, loss.count);
}

TEST(SeveralStep, IsTheWeightedSumOfTheTasksByThemselves) {
  SeveralRun run({.dropout = 0});
  run.load_pipeline();
  const Gradients topic =
                      gradient_of_one(run, "heads.topic.", "classify", tiny_texts(15, "texts", 5)),
                  names = gradient_of_one(run, "heads.names.", "ner",
                                          tiny_sentences(9, "sentences", 5));
  Gradients sum;
  for (const auto& [of_task, head, weight] :
       {std::tuple(&topic, "heads.topic.", 2.0), std::tuple(&names, "heads.names.", 0.5)}) {
    for (const auto& [name, value] : *of_task) {
      const std::string full = name.starts_with("bert.") ? name : head + name;
      sum[full] = sum.contains(full) ? sum[full] + weight * value : weight * value;
    }
  }
  EXPECT_LT(gradient_distance(several_gradient(run, 4), sum), 2e-6);
}

TEST(SeveralStep, LossIsTheWeightedSumOfTheMeans) {
  SeveralRun run({.dropout = 0});
  TrainOptions options = tiny_options();
  options.per_device_train_batch_size = 24;  // all samples in one step
  options.max_steps = 1;
  options.learning_rate = 1e-12;
  run.train(options);
  const std::vector<Record> records = run.train_records();
  EXPECT_NEAR(run.events_of<Stepped>().front().loss, run.pipeline().evaluate(records).loss, 1e-5);
}

TrainOptions options_of(const std::string& sampling) {
  TrainOptions options = tiny_options();
  options.task_sampling = sampling;
  options.gradient_accumulation_steps = 2;
  options.save_strategy = "steps";
  options.save_steps = 1;
  return options;
}

TEST(SeveralStep, ResumedRunEqualsTheUninterruptedBitForBit) {
  for (const std::string sampling : {"size", "equal", "temperature"}) {
    const TrainOptions options = options_of(sampling);
    SeveralRun whole, parts;
    whole.train(options);
    parts.also = [&](const Event& event) {
      const auto* stepped = std::get_if<Stepped>(&event);
      parts.stop = stepped != nullptr ? stepped->step == 4 : parts.stop.load();
    };
    EXPECT_TRUE(parts.train(options).interrupted);
    parts.also = [](const Event&) {};
    parts.stop = false;
    parts.train(options, /*resume=*/true);
    EXPECT_EQ(first_difference(whole.weights(), parts.weights()), "") << sampling;
  }
}

TEST(SeveralStep, ResumeRefusesAnotherSamplingAndAnotherWeight) {
  SeveralRun run;
  run.train(options_of("size"));
  const auto message = [&](const TrainOptions& options) -> std::string {
    try {
      run.train(options, /*resume=*/true);
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was refused";
  };
  EXPECT_THAT(message(options_of("equal")),
              HasSubstr("task_sampling \"size\", now it is \"equal\""));
  run.task_yaml = "{topic: {task: {name: classify}}, names: {task: {name: ner}}}";
  EXPECT_THAT(message(options_of("size")), HasSubstr("the task changed"));
}

TEST(SeveralStep, TrainsAdaptersAndAllHeads) {
  SeveralRun run;
  run.peft_yaml = "{peft_type: LORA, r: 2}";
  run.train(tiny_options());
  std::vector<std::string> heads;
  for (const auto& [name, weight] : run.pipeline().network().trained_weights()) {
    if (name.starts_with("heads.")) heads.push_back(name);
  }
  EXPECT_EQ(heads.size(), 4u);  // weight and bias of each
  run.pipeline().save(run.folder() + "/saved");
  const auto again = Pipeline::load(run.folder() + "/saved");
  EXPECT_EQ(again->predict(run.validation_records()),
            run.pipeline().predict(run.validation_records()));
}

TEST(SeveralStep, IsRegularisedAsOneTaskIs) {
  SeveralRun run;
  run.regularise_yaml = "{r_drop: {alpha: 1}, ema: {decay: 0.9}}";
  run.train(tiny_options());
  EXPECT_GT(run.events_of<Stepped>().back().loss, 0);
}

}  // namespace
}  // namespace hone
