#include "tune/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/random.h"
#include "support/tiny_run.h"
#include "tune/batch_loader.h"
#include "tune/checkpoint.h"
#include "tune/parameters.h"
#include "tune/run_progress.h"

namespace hone {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::first_difference;
using testing_support::tiny_options;
using testing_support::TinyRun;

TEST(Trainer, LearnsTheTinyTask) {
  TinyRun run("classify", {}, 60);
  TrainOptions options = tiny_options();
  options.num_train_epochs = 20;
  options.learning_rate = 1e-2;
  const TrainResult result = run.train(options);
  EXPECT_EQ(result.steps, 300);
  const auto steps = run.events_of<Stepped>();
  ASSERT_EQ(steps.size(), 300U);
  EXPECT_LT(steps.back().loss, 0.5 * steps.front().loss);
  EXPECT_GT(result.best_score, 0.5);  // three classes
  EXPECT_FALSE(result.interrupted);
}

TEST(Trainer, TwoRunsAreEqualBitForBit) {
  TinyRun a, b;
  a.train(tiny_options());
  b.train(tiny_options());
  EXPECT_EQ(first_difference(a.weights(), b.weights()), "");
}

TEST(Trainer, AnotherSeedGivesAnotherRun) {
  TinyRun a, b;
  TrainOptions options = tiny_options();
  a.train(options);
  options.seed = 43;
  b.train(options);
  EXPECT_NE(first_difference(a.weights(), b.weights()), "");
}

// ---- accumulation

// The gradient of 16 samples in micro-batches of `batch`, dropout on.
std::map<std::string, at::Tensor> gradient(TinyRun& run, int64_t batch) {
  const auto parameters = trainable_parameters(run.pipeline().network(), tiny_options());
  run.pipeline().network().train();
  clear_gradients(parameters);
  double count = 0;
  for (int64_t first = 0; first < 16; first += batch) {
    std::vector<int64_t> indices;
    for (int64_t i = first; i < first + batch; ++i) indices.push_back(i);
    const MicroBatch micro = make_micro_batch(run.store(), indices, 42, 0);
    const Loss loss =
        run.pipeline().task().loss(run.pipeline().network().forward(micro.batch), micro.batch);
    loss.sum.backward();
    count += loss.count;
  }
  std::map<std::string, at::Tensor> gradients;
  for (const Parameter& p : parameters) gradients[p.name] = p.value.grad() / count;
  clear_gradients(parameters);
  return gradients;
}

class EveryTask : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Trainer, EveryTask, testing::Values("classify", "ner"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(EveryTask, GradientDependsOnTheSamplesAlone) {
  TinyRun run(GetParam(), {}, 16);
  run.load_pipeline();
  const auto whole = gradient(run, 16), quarters = gradient(run, 4), single = gradient(run, 1);
  double size = 0;
  for (const auto& [name, value] : whole) size = std::max(size, value.abs().max().item<double>());
  for (const auto& [name, value] : whole) {
    EXPECT_LT((value - quarters.at(name)).abs().max().item<double>() / size, 1e-6) << name;
    EXPECT_LT((value - single.at(name)).abs().max().item<double>() / size, 1e-6) << name;
  }
}

// The steps of 16 samples, by how many are in a micro-batch.
using StepsBySplit = std::map<int64_t, std::vector<Stepped>>;

StepsBySplit steps_by_split(TinyRun& run) {
  StepsBySplit steps;
  for (const int64_t batch : {16, 4, 1}) {
    TrainOptions options = tiny_options();
    options.num_train_epochs = 1;
    options.per_device_train_batch_size = batch;
    options.gradient_accumulation_steps = 16 / batch;
    options.eval_strategy = "no";
    run.train(options);
    steps[batch] = run.events_of<Stepped>();
  }
  return steps;
}

void expect_equal_steps(StepsBySplit steps) {
  for (const int64_t batch : {16, 4, 1}) ASSERT_EQ(steps[batch].size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    for (const int64_t batch : {4, 1}) {
      EXPECT_NEAR(steps[batch][i].loss, steps[16][i].loss, 1e-5 * steps[16][i].loss) << batch;
      EXPECT_NEAR(steps[batch][i].gradient_norm, steps[16][i].gradient_norm,
                  1e-5 * steps[16][i].gradient_norm)
          << batch;
      EXPECT_EQ(steps[batch][i].samples, 16);
      EXPECT_EQ(steps[batch][i].tokens, steps[16][i].tokens);
    }
  }
}

// Weights are those of all training rows, whatever a micro-batch holds of them.
TEST(Trainer, BalancedTagsGiveTheSameStepsHoweverTheyAreSplit) {
  TinyRun run("ner", {}, 48);
  run.task_yaml = "{class_weights: balanced, logit_adjustment: 0.5, focal_gamma: 1}";
  expect_equal_steps(steps_by_split(run));
}

TEST_P(EveryTask, LossOfAStepIsTheSameHoweverItIsSplit) {
  TinyRun run(GetParam(), {}, 48);
  expect_equal_steps(steps_by_split(run));
}

TEST_P(EveryTask, EvaluationLossIsTheSameAtAnyBatchSize) {
  TinyRun run(GetParam());
  run.load_pipeline();
  run.evaluation_tokens = 1;
  const auto [alone, loss_alone] = run.evaluate();
  run.evaluation_tokens = 100000;
  const auto [together, loss_together] = run.evaluate();
  EXPECT_NEAR(loss_alone, loss_together, 1e-6 * loss_alone);
  EXPECT_EQ(alone.score, together.score);
}

// ---- resume

TrainOptions options_that_save_each_step() {
  TrainOptions options = tiny_options();
  options.save_strategy = "steps";
  options.save_steps = 1;
  options.eval_strategy = "steps";
  options.eval_steps = 2;
  options.early_stopping_patience = 50;
  return options;
}

// Stops after `step` steps and goes on in a new pipeline: nothing may tell the result from the
// uninterrupted run's.
void expect_equal_when_interrupted_after(int64_t step, TrainOptions options,
                                         const std::string& task) {
  SCOPED_TRACE(step);
  TinyRun whole(task), parts(task);
  whole.train(options);
  parts.also = [&](const Event& event) {
    if (const auto* s = std::get_if<Stepped>(&event); s != nullptr && s->step == step)
      parts.stop = true;
  };
  const TrainResult first = parts.train(options);
  EXPECT_TRUE(first.interrupted);
  EXPECT_EQ(first.steps, step);
  parts.stop = false;
  parts.also = [](const Event&) {};
  const TrainResult second = parts.train(options, /*resume=*/true);
  EXPECT_FALSE(second.interrupted);
  EXPECT_EQ(first_difference(whole.weights(), parts.weights()), "");

  const auto all = whole.events_of<Stepped>(), rest = parts.events_of<Stepped>();
  ASSERT_EQ(rest.size(), all.size() - static_cast<size_t>(step));
  for (size_t i = 0; i < rest.size(); ++i) {
    const Stepped &expected = all[i + static_cast<size_t>(step)], &got = rest[i];
    EXPECT_EQ(got.step, expected.step);
    EXPECT_EQ(got.loss, expected.loss);
    EXPECT_EQ(got.mean_loss, expected.mean_loss);
    EXPECT_EQ(got.loss_z, expected.loss_z);
    EXPECT_EQ(got.gradient_norm, expected.gradient_norm);
    EXPECT_EQ(got.learning_rate, expected.learning_rate);
  }
}

TEST_P(EveryTask, ResumedRunEqualsTheUninterruptedBitForBit) {
  for (const int64_t step : {1, 3, 6, 7, 11, 12})
    expect_equal_when_interrupted_after(step, options_that_save_each_step(), GetParam());
}

TEST(Trainer, ResumesBitForBitWithTokenBudgetAccumulationAndFractionalEpochs) {
  TrainOptions options = options_that_save_each_step();
  options.max_tokens_per_batch = 30;
  options.gradient_accumulation_steps = 2;
  options.num_train_epochs = 2.5;
  options.logging_steps = 4;
  for (const int64_t step : {2, 5}) expect_equal_when_interrupted_after(step, options, "classify");
}

TEST(Trainer, ResumesBitForBitWithClassesDrawnEquallyOften) {
  TrainOptions options = options_that_save_each_step();
  options.class_sampling = "equal";
  for (const int64_t step : {4, 8}) expect_equal_when_interrupted_after(step, options, "classify");
}

TEST(Trainer, ResumesBitForBitInBf16) {
  TrainOptions options = options_that_save_each_step();
  options.precision = "bf16";
  expect_equal_when_interrupted_after(5, options, "classify");
}

// Killed without any warning: the last checkpoint is some steps old.
TEST(Trainer, ResumesBitForBitFromAnOlderCheckpoint) {
  TrainOptions options = options_that_save_each_step();
  options.save_steps = 4;
  TinyRun whole, parts;
  whole.train(options);
  struct Killed {};
  parts.also = [&](const Event& event) {
    if (const auto* s = std::get_if<Stepped>(&event); s != nullptr && s->step == 7) throw Killed{};
  };
  EXPECT_THROW(parts.train(options), Killed);
  parts.also = [](const Event&) {};
  parts.train(options, true);
  EXPECT_EQ(parts.events_of<Started>().at(0).step, 4);
  EXPECT_EQ(first_difference(whole.weights(), parts.weights()), "");
}

TEST(Trainer, ResumeOfAFinishedRunTrainsNothingAndGivesTheSameModel) {
  TinyRun run;
  TrainOptions options = tiny_options();
  const TrainResult first = run.train(options);
  const auto weights = run.weights();
  const TrainResult second = run.train(options, true);
  EXPECT_TRUE(run.events_of<Stepped>().empty());
  EXPECT_EQ(second.best_score, first.best_score);
  EXPECT_EQ(first_difference(weights, run.weights()), "");
}

std::string complaint(const std::function<void()>& act, ErrorKind kind) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

TEST(Trainer, ResumeRefusesAnotherPlanAndWarnsOfAnotherRate) {
  TinyRun run;
  TrainOptions options = tiny_options();
  run.train(options);
  options.per_device_train_batch_size = 8;
  EXPECT_THAT(complaint([&] { run.train(options, true); }, ErrorKind::kUsage),
              testing::AllOf(HasSubstr("per_device_train_batch_size 4, now it is 8"),
                             HasSubstr("--overwrite")));
  options = tiny_options();
  options.learning_rate = 1e-3;
  run.train(options, true);
  ASSERT_EQ(run.events_of<Warned>().size(), 1U);
  EXPECT_THAT(run.events_of<Warned>()[0].message,
              HasSubstr("learning_rate was 0.002 before and is 0.001 now"));
}

TEST(Trainer, ResumeRefusesAnotherWayToDrawClasses) {
  TinyRun run;
  run.train(tiny_options());
  TrainOptions equal = tiny_options();
  equal.class_sampling = "equal";
  EXPECT_THAT(complaint([&] { run.train(equal, true); }, ErrorKind::kUsage),
              HasSubstr("class_sampling \"size\", now it is \"equal\""));
}

// As after running out of memory in the middle of an epoch.
TEST(Trainer, ResumeMaySplitTheSameStepsIntoSmallerMicroBatches) {
  struct Killed {};
  TinyRun whole, cut;
  TrainOptions options = tiny_options();
  whole.train(options);
  options.save_strategy = "steps";
  options.save_steps = 2;
  cut.also = [&](const Event& event) {
    const auto* step = std::get_if<Stepped>(&event);
    if (step != nullptr && step->step == 3) throw Killed{};
  };
  EXPECT_THROW(cut.train(options), Killed);
  cut.also = [](const Event&) {};
  options.per_device_train_batch_size = 1;
  options.gradient_accumulation_steps = 4;
  cut.train(options, true);
  EXPECT_EQ(cut.events_of<Started>().at(0).step, 2);
  for (const auto& [name, value] : whole.weights())
    EXPECT_LT((cut.weights().at(name) - value).abs().max().item<double>(), 2e-4) << name;
  options.gradient_accumulation_steps = 3;
  EXPECT_THAT(complaint([&] { cut.train(options, true); }, ErrorKind::kUsage),
              HasSubstr("gradient_accumulation_steps"));
}

// What was changed between a run and its continuation, and what the refusal says of it.
void expect_refused(const std::function<void(TinyRun&)>& change, const std::string& words) {
  SCOPED_TRACE(words);
  TinyRun run;
  run.train(tiny_options());
  change(run);
  EXPECT_THAT(complaint([&] { run.train(tiny_options(), true); }, ErrorKind::kUsage),
              testing::AllOf(HasSubstr(words), HasSubstr("--overwrite")));
}

TEST(Trainer, ResumeRefusesWhatTheRunWasNotBegunWithAndSaysWhatChanged) {
  expect_refused([](TinyRun& run) { run.train_records().pop_back(); },
                 "the train data changed: row count 21 -> 20");
  expect_refused([](TinyRun& run) { run.train_records()[6].fields["text"] = "word1 word2"; },
                 "row 7 is another (train.jsonl:7)");
  expect_refused([](TinyRun& run) { run.validation_records()[2].fields["label"] = "a"; },
                 "the validation data changed: row 3 is another (dev.jsonl:3)");
  expect_refused(
      [](TinyRun& run) {
        for (auto* records : {&run.train_records(), &run.validation_records()}) {
          for (Record& record : *records)
            record.fields["label"] = "new_" + record.fields["label"].get<std::string>();
        }
      },
      "labels: a, b, c -> new_a, new_b, new_c");
  expect_refused(
      [](TinyRun& run) { testing_support::write_tiny_bert(run.folder() + "/model", {}, 2); },
      "the base model changed");
  expect_refused([](TinyRun& run) { run.task_yaml = "{label_separator: x, type: multi}"; },
                 "type: single -> multi");
}

TEST(Trainer, ALongerRunGoesOnFromAFinishedOne) {
  TinyRun run;
  TrainOptions options = tiny_options();
  run.train(options);
  options.num_train_epochs = 3;
  const TrainResult result = run.train(options, true);
  EXPECT_EQ(result.steps, 18);
  EXPECT_EQ(run.events_of<Started>().at(0).step, 12);
  EXPECT_THAT(run.events_of<Warned>().at(0).message, HasSubstr("num_train_epochs was 2.0"));
}

Report scripted(double score) {
  Report report;
  report.metric = "accuracy";
  report.score = score;
  report.metrics = {{"accuracy", score}, {"error_rate", 1 - score}};
  return report;
}

TEST(Trainer, ARunThatStoppedEarlyGoesOnWhereItIsGivenMorePatience) {
  TinyRun run;
  TrainOptions options = tiny_options();
  options.num_train_epochs = 6;
  options.early_stopping_patience = 1;
  run.evaluate_instead = [] { return std::pair(scripted(0.5), 1.0); };
  EXPECT_TRUE(run.train(options).stopped_early);
  options.early_stopping_patience = 3;
  const TrainResult result = run.train(options, true);
  EXPECT_EQ(result.steps, 24);
}

TEST(Trainer, ResumeWithoutACheckpointSaysSo) {
  TinyRun run;
  EXPECT_THAT(complaint([&] { run.train(tiny_options(), true); }, ErrorKind::kUsage),
              HasSubstr("no complete checkpoint"));
}

TEST(Trainer, ANewRunRefusesAFolderWithCheckpoints) {
  TinyRun run;
  run.train(tiny_options());
  TrainerInputs inputs;
  inputs.pipeline = &run.pipeline();
  inputs.train = &run.store();
  inputs.output_dir = run.output();
  EXPECT_THAT(complaint([&] { train(inputs, tiny_options(), {}); }, ErrorKind::kUsage),
              testing::AllOf(HasSubstr("run/checkpoints"), HasSubstr("--resume")));
  EXPECT_TRUE(fs::exists(run.output() + "/checkpoints/last/trainer_state.json"));
}

// ---- evaluation, best, stopping

TEST(Trainer, ALossThatIsNoNumberIsNeverTheBest) {
  TinyRun run;
  TrainOptions options = tiny_options();
  const std::vector<std::pair<double, double>> evaluations = {
      {0.9, std::nan("")}, {0.4, 1.0}, {std::nan(""), 1.0}};
  options.num_train_epochs = 3;
  size_t next = 0;
  run.evaluate_instead = [&] {
    const auto [score, loss] = evaluations[next++];
    return std::pair(scripted(score), loss);
  };
  EXPECT_EQ(run.train(options).best_step, 12);
  ASSERT_EQ(run.events_of<Warned>().size(), 2U);
  EXPECT_THAT(run.events_of<Warned>()[0].message, HasSubstr("after step 6"));
}

// It is made when the run goes on; if it is interrupted again then, no step is taken without it.
TEST(Trainer, AnEvaluationThatIsInterruptedIsMadeWhenTheRunGoesOn) {
  TinyRun run;
  TrainOptions options = tiny_options();
  options.eval_strategy = "epoch";
  const auto interrupted = [&] {
    run.stop = true;
    return std::optional<std::pair<Report, double>>();
  };
  for (const bool resumes : {false, true}) {
    run.stop = false;
    run.evaluate_instead = interrupted;
    const TrainResult result = run.train(options, resumes);
    EXPECT_TRUE(result.interrupted);
    EXPECT_EQ(result.steps, 6);
    EXPECT_TRUE(run.events_of<Evaluated>().empty());
  }
  run.stop = false;
  run.evaluate_instead = nullptr;
  EXPECT_EQ(run.train(options, /*resume=*/true).steps, 12);
  const auto evaluated = run.events_of<Evaluated>();
  ASSERT_EQ(evaluated.size(), 2U);
  EXPECT_EQ(evaluated[0].step, 6);
}

TEST(Trainer, ALookForTheCriterionThatIsInterruptedIsTakenWhenTheRunGoesOn) {
  TinyRun run;
  TrainOptions options = tiny_options();
  options.eval_strategy = "epoch";
  options.metric_for_best_model = "no_such_metric";
  run.evaluate_instead = [&] {
    run.stop = true;
    return std::optional<std::pair<Report, double>>();
  };
  EXPECT_TRUE(run.train(options).interrupted);
  run.stop = false;
  run.evaluate_instead = nullptr;
  EXPECT_THROW(run.train(options, /*resume=*/true), Error);
  EXPECT_TRUE(run.events_of<Stepped>().empty());
}

TEST(Trainer, EndsWithTheLastWeightsWhereTheBestAreDamaged) {
  TinyRun run;
  TrainOptions options = tiny_options();
  double score = 1;
  std::map<std::string, at::Tensor> last;
  run.evaluate_instead = [&] {
    last = run.weights();
    return std::pair(scripted(score -= 0.1), 1.0);
  };
  run.train(options);
  for (const char* name : {"best", "best.previous"})
    fs::remove(run.output() + "/checkpoints/" + name + "/model.safetensors");
  run.train(options, true);
  EXPECT_EQ(first_difference(last, run.weights()), "");
  EXPECT_THAT(
      run.events_of<Warned>().at(0).message,
      testing::AllOf(HasSubstr("best/model.safetensors"), HasSubstr("last weights are kept")));
}

TEST(Trainer, BeginsWhenAllThatMayFailBeforeHasNotFailed) {
  TinyRun run;
  run.load_pipeline();
  TrainerInputs inputs;
  inputs.pipeline = &run.pipeline();
  inputs.train = &run.store();
  inputs.output_dir = run.output();
  inputs.evaluate = [&] { return run.evaluate(); };
  bool began = false;
  inputs.begin = [&] { began = true; };
  TrainOptions options = tiny_options();
  options.metric_for_best_model = "acuracy";
  complaint([&] { train(inputs, options, {}); }, ErrorKind::kUsage);
  EXPECT_FALSE(began);
  fs::create_directories(run.output() + "/checkpoints");
  inputs.begin = [&] { fs::remove_all(run.output() + "/checkpoints"); };
  EXPECT_EQ(train(inputs, tiny_options(), {}).steps, 12);
}

TEST(Trainer, EvaluatesAndSavesWhenAskedTo) {
  TinyRun run;
  TrainOptions options = tiny_options();  // 6 steps in an epoch
  options.eval_strategy = "steps";
  options.eval_steps = 5;
  options.save_strategy = "steps";
  options.save_steps = 4;
  run.train(options);
  std::vector<int64_t> evaluated, saved;
  for (const Evaluated& e : run.events_of<Evaluated>()) evaluated.push_back(e.step);
  for (const Saved& s : run.events_of<Saved>()) {
    if (!s.is_best) saved.push_back(s.step);
  }
  EXPECT_EQ(evaluated, (std::vector<int64_t>{5, 10, 12}));
  EXPECT_EQ(saved, (std::vector<int64_t>{4, 8, 12}));
  options.eval_strategy = options.save_strategy = "epoch";
  run.train(options);
  evaluated.clear();
  for (const Evaluated& e : run.events_of<Evaluated>()) evaluated.push_back(e.step);
  EXPECT_EQ(evaluated, (std::vector<int64_t>{6, 12}));
}

TEST(Trainer, StopsEarlyAndEndsWithTheBestWeights) {
  TinyRun run;
  TrainOptions options = tiny_options();
  options.num_train_epochs = 10;
  options.eval_strategy = "steps";
  options.eval_steps = 2;
  options.early_stopping_patience = 3;
  std::map<std::string, at::Tensor> at_best;
  const std::vector<double> scores = {0.3, 0.6, 0.5, 0.6, 0.1, 0.9};
  size_t next = 0;
  run.evaluate_instead = [&] {
    if (next == 1) at_best = run.weights();
    return std::pair(scripted(scores[next++]), 1.0);
  };
  const TrainResult result = run.train(options);
  EXPECT_TRUE(result.stopped_early);
  EXPECT_EQ(result.steps, 10);
  EXPECT_EQ(result.best_step, 4);
  EXPECT_DOUBLE_EQ(result.best_score, 0.6);
  EXPECT_EQ(first_difference(at_best, run.weights()), "");
}

TEST(Trainer, KeepsTheLastWeightsWhereAskedTo) {
  TinyRun run;
  TrainOptions options = tiny_options();
  options.load_best_model_at_end = false;
  double score = 1;
  std::map<std::string, at::Tensor> last;
  run.evaluate_instead = [&] {
    last = run.weights();
    return std::pair(scripted(score -= 0.1), 1.0);
  };
  run.train(options);
  EXPECT_EQ(first_difference(last, run.weights()), "");
}

TEST(Trainer, TakesTheMetricAskedForWithItsDirection) {
  TinyRun run;
  TrainOptions options = tiny_options();
  options.metric_for_best_model = "loss";
  std::vector<double> losses = {0.5, 0.7};
  size_t next = 0;
  run.evaluate_instead = [&] { return std::pair(scripted(0.5), losses[next++]); };
  EXPECT_EQ(run.train(options).best_step, 6);
  options.metric_for_best_model = "acuracy";
  next = 0;
  EXPECT_THAT(complaint([&] { run.train(options); }, ErrorKind::kUsage), HasSubstr("accuracy"));
  EXPECT_TRUE(run.events_of<Stepped>().empty());  // refused before anything was spent
}

TEST(Trainer, TrainsOnAfterAnEvaluationWithDropout) {
  TinyRun run;
  run.also = [&](const Event& event) {
    if (std::holds_alternative<Stepped>(event)) {
      EXPECT_TRUE(run.pipeline().network().is_training());
    }
  };
  run.train(tiny_options());
}

TEST(Trainer, EndsAfterAnEvaluationDuringWhichItWasAskedToStop) {
  TinyRun run;
  TrainOptions options = tiny_options();
  run.evaluate_instead = [&] {
    run.stop = true;
    return std::pair(scripted(0.5), 1.0);
  };
  const TrainResult result = run.train(options);
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(result.steps, 6);
  run.stop = false;
  int again = 0;
  run.evaluate_instead = [&] {
    ++again;
    return std::pair(scripted(0.4), 1.0);
  };
  EXPECT_EQ(run.train(options, true).best_step, 6);
  EXPECT_EQ(again, 1);  // of step 12; that of step 6 counts
}

TEST(Trainer, SavesAnEvaluationThatWasPutOffAndEndsIfAskedToDuringIt) {
  TinyRun run;
  const TrainOptions options = tiny_options();
  run.also = [&](const Event& event) {
    if (const auto* s = std::get_if<Stepped>(&event)) run.stop = s->step == 6;
  };
  int evaluations = 0;
  run.evaluate_instead = [&] {
    ++evaluations;
    run.stop = true;
    return std::pair(scripted(0.5), 1.0);
  };
  EXPECT_TRUE(run.train(options).interrupted);  // between step 6 and its evaluation
  EXPECT_EQ(evaluations, 0);
  run.also = [](const Event&) {};
  run.stop = false;
  const TrainResult resumed = run.train(options, true);
  EXPECT_TRUE(resumed.interrupted);
  EXPECT_EQ(resumed.steps, 6);
  EXPECT_EQ(evaluations, 1);
  run.stop = false;
  EXPECT_EQ(run.train(options, true).steps, 12);
  EXPECT_EQ(evaluations, 2);  // step 12's: step 6 was not evaluated again
}

// ---- trouble

TEST(Trainer, EndsAfterTheStepWhenAskedToStop) {
  TinyRun run;
  run.stop = true;
  const TrainResult result = run.train(tiny_options());
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(result.steps, 1);
  EXPECT_TRUE(fs::exists(run.output() + "/checkpoints/last/trainer_state.json"));
}

TEST(Trainer, NamesTheRowWhoseLossIsNotFinite) {
  TinyRun run("classify", {}, 21);
  for (size_t i = 0; i < run.train_records().size(); ++i)
    run.train_records()[i].fields["label"] = 0.1 * static_cast<double>(i);
  run.train_records()[12].fields["label"] = 1e30;  // its square is infinite in fp32
  run.task_yaml = "{type: regression}";
  TrainOptions options = tiny_options();
  options.eval_strategy = "no";
  options.save_strategy = "steps";
  options.save_steps = 1;
  const std::string message = complaint([&] { run.train(options); }, ErrorKind::kData);
  EXPECT_THAT(message, testing::AllOf(HasSubstr("train.jsonl:13: "), HasSubstr("1 of 4 samples"),
                                      HasSubstr("not finite")));
  for (const Saved& saved : run.events_of<Saved>()) EXPECT_LT(saved.step, 6);
}

TEST(Trainer, SaysWhenTheWeightsThemselvesHaveDiverged) {
  TinyRun run;
  TrainOptions options = tiny_options();
  options.learning_rate = 1e38;
  options.warmup_ratio = 0;
  options.max_grad_norm = 0;
  options.eval_strategy = "no";
  const std::string message = complaint([&] { run.train(options); }, ErrorKind::kData);
  EXPECT_THAT(message, testing::AllOf(HasSubstr("train.jsonl:"), HasSubstr("diverged"),
                                      HasSubstr("learning_rate")));
}

TEST(Trainer, NeitherEvaluatesNorSavesWeightsThatAreNoNumbers) {
  for (const std::string evaluates : {"epoch", "no"}) {
    TinyRun run;
    TrainOptions options = tiny_options();
    options.learning_rate = 1e38;
    options.warmup_ratio = 0;
    options.max_steps = 1;
    options.eval_strategy = evaluates;
    EXPECT_THAT(complaint([&] { run.train(options); }, ErrorKind::kData),
                testing::AllOf(HasSubstr("after step 1"), HasSubstr("learning_rate")));
    EXPECT_TRUE(run.events_of<Saved>().empty());
    EXPECT_TRUE(run.events_of<Evaluated>().empty());
  }
}

TEST(Trainer, RefusesAnEmptyTrainingSet) {
  TinyRun run;
  run.load_pipeline();
  SampleStore empty;
  empty.seal();
  TrainerInputs inputs;
  inputs.pipeline = &run.pipeline();
  inputs.train = &empty;
  inputs.output_dir = run.output();
  EXPECT_THAT(complaint([&] { train(inputs, tiny_options(), {}); }, ErrorKind::kData),
              HasSubstr("no training sample"));
}

TEST(Trainer, ComputesInBf16WithFp32Masters) {
  TinyRun run("classify", {}, 60);
  TrainOptions options = tiny_options();
  options.precision = "bf16";
  options.num_train_epochs = 20;
  options.learning_rate = 1e-2;
  run.train(options);
  const auto steps = run.events_of<Stepped>();
  EXPECT_LT(steps.back().loss, 0.5 * steps.front().loss);
  for (const auto& [name, value] : run.weights())
    EXPECT_EQ(value.scalar_type(), at::kFloat) << name;
  EXPECT_EQ(run.events_of<Started>().at(0).precision, "bf16");
}

// Where blocks are recomputed, bf16 copies of weights live no longer than a product, but for
// evaluations.
TEST(Trainer, RecomputingInBf16EndsInTheSameWeights) {
  for (const char* optimizer : {"adamw", "muon"}) {
    TinyRun plain, recomputed;
    TrainOptions options = tiny_options();
    options.precision = "bf16";
    options.optim = optimizer;
    options.eval_strategy = "steps";
    options.eval_steps = 5;
    plain.train(options);
    options.recompute = true;
    recomputed.train(options);
    EXPECT_EQ(first_difference(plain.weights(), recomputed.weights()), "") << optimizer;
    const auto expected = plain.events_of<Evaluated>(), found = recomputed.events_of<Evaluated>();
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i].loss, expected[i].loss);
  }
}

// ---- a rate that goes by evaluations

TEST(Plateau, TheRateFallsAfterMoreThanPatienceEvaluationsThatWereNotTheBest) {
  RunProgress progress;
  std::vector<double> factors;
  for (const bool is_best : {true, false, false, false, true, false, false, false, false, false}) {
    progress.wait_on_plateau(is_best, 0.5, 2);
    factors.push_back(progress.rate_factor);
  }
  EXPECT_EQ(factors, (std::vector<double>{1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25}));
}

TEST(Plateau, IsKeptInACheckpoint) {
  RunProgress progress, again;
  for (int i = 0; i < 5; ++i) progress.wait_on_plateau(false, 0.5, 2);
  again.load_state(progress.state());
  EXPECT_EQ(again.rate_factor, progress.rate_factor);
  EXPECT_EQ(again.waited, progress.waited);
}

TEST(Plateau, OfARunIsThatOfItsEvaluations) {
  testing_support::TinyRun run;
  TrainOptions options = testing_support::tiny_options();
  options.lr_scheduler_type = kReduceOnPlateau;
  options.lr_plateau_factor = 0.5;
  options.lr_plateau_patience = 0;
  options.eval_strategy = "steps";
  options.eval_steps = 2;
  options.warmup_ratio = 0;
  int64_t evaluations = 0;
  run.evaluate_instead = [&] {  // the first is the best
    Report report;
    return std::pair(report, 1.0 + static_cast<double>(evaluations++));
  };
  options.metric_for_best_model = "loss";
  run.train(options);
  const auto steps = run.events_of<Stepped>();
  ASSERT_EQ(steps.size(), 12U);
  EXPECT_EQ(steps[2].learning_rate, options.learning_rate);
  EXPECT_EQ(steps[4].learning_rate, options.learning_rate / 2);
  EXPECT_EQ(steps[6].learning_rate, options.learning_rate / 4);
}

}  // namespace
}  // namespace hone
