// Passes that are recorded and replayed, with a recording that needs no device.
#include "tune/replays.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/kernels/cannot_replay.h"
#include "support/tiny_run.h"
#include "tune/batch_loader.h"
#include "tune/buckets.h"
#include "tune/step_parts.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::tiny_options;
using testing_support::TinyRun;

// As a graph of launches: what it is given is done at each replay, on the memory that it was
// recorded with. What the host knew then, it knows still.
class KeptWork : public Recording {
 public:
  void record(const std::function<void()>& work) override { work_ = work; }
  void replay() override { work_(); }

 private:
  std::function<void()> work_;
};

// A network in training with its pass, plain and replayed.
class ReplayedRun {
 public:
  explicit ReplayedRun(const std::string& task = "classify") : run_(task) {
    run_.load_pipeline();
    network().train();
    options_.optim = "adamw_torch";
    parts_ = std::make_unique<StepParts>(run_.pipeline(), options_, no_regularisers_, 10);
    pass = [this](const Batch& batch) {
      const Loss loss = run_.pipeline().task().forward_loss(network(), batch);
      loss.sum.backward();
      return PassResult{0, loss.count, {}, loss.sum.detach()};
    };
  }

  Network& network() { return run_.pipeline().network(); }
  const std::vector<Parameter>& parameters() const { return parts_->parameters(); }
  // Samples as the step after `steps_done` finds them, as the loader prepares them.
  Batch batch(const std::vector<int64_t>& samples, int64_t steps_done) {
    return staged(in_bucket(make_micro_batch(run_.store(), samples, 1, steps_done).batch),
                  /*is_pinned=*/false);
  }
  Replays replays() {
    return Replays({pass, run_.pipeline().task(), network(), parameters(),
                    [this] {
                      ++recorded;
                      return std::make_unique<KeptWork>();
                    },
                    [this](const std::string& told) { warnings.push_back(told); }});
  }
  std::vector<at::Tensor> gradients() const {
    std::vector<at::Tensor> all;
    for (const Parameter& parameter : parameters()) all.push_back(parameter.value.grad().clone());
    return all;
  }
  // Loss and gradients of the pass itself, of the same tokens.
  std::pair<double, std::vector<at::Tensor>> plainly(const Batch& batch) {
    clear_gradients(parameters());
    const double loss = pass(batch).loss_there.item<double>();
    auto all = gradients();
    clear_gradients(parameters());
    return {loss, all};
  }

  Pass pass;
  int recorded = 0;
  std::vector<std::string> warnings;

 private:
  TinyRun run_;
  TrainOptions options_ = tiny_options();
  std::vector<ChosenRegulariser> no_regularisers_;
  std::unique_ptr<StepParts> parts_;
};

void expect_equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i], b[i])) << "gradient " << i;
}

TEST(Replays, GiveWhatThePassItselfGivesOfEachBatch) {
  for (const char* task : {"classify", "ner"}) {
    SCOPED_TRACE(task);
    ReplayedRun run(task);
    Replays replays = run.replays();
    const std::vector<std::vector<int64_t>> samples = {{0, 1, 2}, {3, 4, 5}, {2, 0, 6}};
    std::vector<std::pair<double, std::vector<at::Tensor>>> expected;
    for (size_t i = 0; i < samples.size(); ++i)
      expected.push_back(run.plainly(run.batch(samples[i], static_cast<int64_t>(i))));
    for (size_t i = 0; i < samples.size(); ++i) {
      const PassResult result = replays.run(run.batch(samples[i], static_cast<int64_t>(i)));
      EXPECT_EQ(result.loss_there.item<double>(), expected[i].first);
      EXPECT_GT(result.count, 0);
      expect_equal(run.gradients(), expected[i].second);
      replays.zero_gradients();
    }
    EXPECT_EQ(run.recorded, 1) << "one size, one recording";
    EXPECT_THAT(run.warnings, IsEmpty());
  }
}

TEST(Replays, OfTheSameSamplesInTwoStepsDropOtherValues) {
  ReplayedRun run;
  Replays replays = run.replays();
  const auto loss_of_step = [&](int64_t step) {
    return replays.run(run.batch({0, 1, 2}, step)).loss_there.item<double>();
  };
  const double first = loss_of_step(1), second = loss_of_step(2), again = loss_of_step(1);
  EXPECT_NE(first, second);
  EXPECT_EQ(first, again);
  EXPECT_EQ(run.recorded, 1);
}

TEST(Replays, AddToTheGradientsThatAreThere) {
  ReplayedRun run;
  Replays replays = run.replays();
  const Batch a = run.batch({0, 1, 2}, 0), b = run.batch({3, 4, 5}, 0);
  const auto of_a = run.plainly(a).second, of_b = run.plainly(b).second;
  replays.run(a);
  const void* const place = run.parameters().front().value.grad().const_data_ptr();
  replays.zero_gradients();
  replays.run(a);
  replays.run(b);
  const auto both = run.gradients();
  EXPECT_EQ(run.parameters().front().value.grad().const_data_ptr(), place);
  for (size_t i = 0; i < both.size(); ++i)
    EXPECT_TRUE(at::allclose(both[i], of_a[i] + of_b[i], 1e-5, 1e-6));
}

TEST(Replays, ABatchOfAnotherSizeHasARecordingOfItsOwn) {
  ReplayedRun run;
  Replays replays = run.replays();
  replays.run(run.batch({0, 1, 2}, 0));
  replays.run(run.batch({0, 1}, 0));
  replays.run(run.batch({3, 4}, 0));
  EXPECT_EQ(run.recorded, 2);
}

TEST(Replays, ABatchThatWasNotPreparedIsRunAsItIs) {
  ReplayedRun run;
  Replays replays = run.replays();
  Batch plain = run.batch({0, 1, 2}, 0);
  plain.streams[0].placed_seed = at::Tensor();
  const auto expected = run.plainly(plain);
  EXPECT_EQ(replays.run(plain).loss_there.item<double>(), expected.first);
  EXPECT_EQ(run.recorded, 0);
}

// ---- what cannot be replayed

// Runs two batches: each must give what the pass itself gives.
void expect_given_up(ReplayedRun& run, const char* why) {
  Replays replays = run.replays();
  for (const std::vector<int64_t>& samples : {std::vector<int64_t>{0, 1, 2}, {3, 4, 5}}) {
    const Batch batch = run.batch(samples, 4);
    Batch plain = batch;
    plain.streams[0].placed_seed = at::Tensor();
    const auto expected = run.plainly(plain);
    EXPECT_EQ(replays.run(batch).loss_there.item<double>(), expected.first);
    expect_equal(run.gradients(), expected.second);
    replays.zero_gradients();
  }
  EXPECT_THAT(run.warnings,
              ElementsAre(AllOf(HasSubstr("cuda_graphs: passes are run launch by launch: "),
                                HasSubstr(why))));
}

TEST(Replays, AreGivenUpWhereAPassReadsWhatTheHostKnows) {
  ReplayedRun run;
  const Pass inner = run.pass;
  run.pass = [inner](const Batch& batch) {
    PassResult result = inner(batch);
    result.loss_there = result.loss_there * static_cast<double>(batch.streams[0].seed % 1000 + 1);
    return result;
  };
  expect_given_up(run, "a replayed pass came to a loss of ");
}

TEST(Replays, AreGivenUpWhereAnOperationSaysSo) {
  ReplayedRun run;
  const Pass inner = run.pass;
  run.pass = [inner](const Batch& batch) {
    if (batch.streams[0].placed_seed.defined()) throw kernels::CannotReplay("it looks at lengths");
    return inner(batch);
  };
  expect_given_up(run, "it looks at lengths");
}

TEST(Replays, AreGivenUpWhereTheDeviceRefusesToRecord) {
  ReplayedRun run;
  int passes = 0;
  const Pass inner = run.pass;
  run.pass = [inner, &passes](const Batch& batch) {
    if (!batch.streams[0].placed_seed.defined()) return inner(batch);
    TORCH_CHECK(++passes < 2, "operation not permitted when stream is capturing\nand more");
    return inner(batch);
  };
  expect_given_up(run, "operation not permitted when stream is capturing");
}

TEST(Replays, OfManySizesAreRecordedUpToABound) {
  ReplayedRun run;
  run.pass = [](const Batch& batch) {
    return PassResult{0, 1, {}, batch.streams[0].ids.sum().to(at::kFloat)};
  };
  Replays replays = run.replays();
  for (int64_t count = 1; count <= 20; ++count) {
    for (const int64_t length : {2, 9}) {  // of up to 180 tokens: three buckets
      std::vector<Sample> samples(static_cast<size_t>(count));
      std::vector<int64_t> indices(samples.size());
      for (Sample& sample : samples) {
        sample.streams.resize(1);
        sample.streams[0].ids.assign(static_cast<size_t>(length), 3);
        sample.streams[0].segments.assign(static_cast<size_t>(length), 0);
        sample.targets = {{"labels", /*per_token=*/false, /*width=*/1, {1}}};
      }
      const Batch batch = staged(in_bucket(collate(samples, indices, 1)), /*is_pinned=*/false);
      EXPECT_EQ(replays.run(batch).loss_there.item<double>(), 3.0 * double(length * count));
    }
  }
  EXPECT_EQ(run.recorded, static_cast<int>(Replays::kMost));
  EXPECT_THAT(run.warnings, ElementsAre(HasSubstr("32 sizes are recorded")));
}

TEST(Replays, AreNotTriedWhereItIsKnownThatTheyCannotBe) {
  TinyRun single("classify"), numbers("classify");
  numbers.task_yaml = "{type: regression}";
  for (Record& record : numbers.train_records()) record.fields["label"] = 0.5 * record.line;
  single.load_pipeline(), numbers.load_pipeline();
  const Task &fixed = single.pipeline().task(), &other = numbers.pipeline().task();
  EXPECT_EQ(cannot_replay(fixed, false, true, false), "");
  EXPECT_THAT(cannot_replay(fixed, /*has_regularisers=*/true, true, false),
              HasSubstr("regularisers"));
  EXPECT_THAT(cannot_replay(fixed, false, /*steps_there=*/false, false), HasSubstr("optimizer"));
  EXPECT_THAT(cannot_replay(fixed, false, true, /*recomputes=*/true), HasSubstr("recompute"));
  EXPECT_THAT(cannot_replay(other, false, true, false), HasSubstr("the task classify"));
}

}  // namespace
}  // namespace hone
