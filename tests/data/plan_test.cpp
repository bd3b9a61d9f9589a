#include "data/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/random.h"

namespace hone {
namespace {

using ::testing::ElementsAre;

using Group = std::vector<int64_t>;

std::vector<int32_t> some_lengths(size_t count, uint64_t seed) {
  RandomStream random(seed);
  std::vector<int32_t> lengths(count);
  for (int32_t& length : lengths) length = static_cast<int32_t>(1 + random.below(100));
  return lengths;
}

Group samples_of(const std::vector<Group>& step) {
  Group out;
  for (const Group& group : step) out.insert(out.end(), group.begin(), group.end());
  std::sort(out.begin(), out.end());
  return out;
}

// steps[s][m]: the samples of micro-batch m of step s.
std::vector<std::vector<Group>> plan_epoch(const std::vector<int32_t>& lengths,
                                           const PlanOptions& options, int64_t epoch) {
  const EpochPlan plan(lengths, options, epoch);
  std::vector<std::vector<Group>> steps;
  for (int64_t step = 0; step < plan.size(); ++step) steps.push_back(plan.step(step));
  return steps;
}

Group samples_of(const std::vector<std::vector<Group>>& plan) {
  Group out;
  for (const auto& step : plan) {
    const Group samples = samples_of(step);
    out.insert(out.end(), samples.begin(), samples.end());
  }
  std::sort(out.begin(), out.end());
  return out;
}

int64_t tokens(const Group& group, const std::vector<int32_t>& lengths) {
  return std::accumulate(group.begin(), group.end(), int64_t{0}, [&](int64_t sum, int64_t i) {
    return sum + lengths[static_cast<size_t>(i)];
  });
}

RC_GTEST_PROP(PlanEpoch, CoversEachSampleExactlyOnce, ()) {
  const auto count = *rc::gen::inRange<size_t>(0, 200);
  const std::vector<int32_t> lengths = some_lengths(count, *rc::gen::arbitrary<uint64_t>());
  PlanOptions options;
  options.batch_size = *rc::gen::inRange<int64_t>(1, 20);
  options.max_tokens = *rc::gen::element<int64_t>(0, 0, 1, 50, 100, 333);
  options.accumulation = *rc::gen::inRange<int64_t>(1, 5);
  options.group_by_length = *rc::gen::arbitrary<bool>();
  options.seed = *rc::gen::arbitrary<uint64_t>();
  const auto plan = plan_epoch(lengths, options, *rc::gen::inRange<int64_t>(0, 100));
  Group all(count);
  std::iota(all.begin(), all.end(), int64_t{0});
  RC_ASSERT(samples_of(plan) == all);
  for (const auto& step : plan) {
    RC_ASSERT(!step.empty());
    RC_ASSERT(step.size() <= static_cast<size_t>(options.accumulation));
    for (const Group& group : step) {
      RC_ASSERT(!group.empty());
      if (options.max_tokens > 0) {
        RC_ASSERT(group.size() == 1 || tokens(group, lengths) <= options.max_tokens);
      } else {
        RC_ASSERT(group.size() <= static_cast<size_t>(options.batch_size));
      }
    }
  }
  for (size_t step = 0; step + 1 < plan.size(); ++step) {
    if (options.max_tokens == 0)
      RC_ASSERT(samples_of(plan[step]).size() ==
                static_cast<size_t>(options.batch_size * options.accumulation));
  }
}

// The gradient of a step is that of its samples: grouping may not change which they are.
RC_GTEST_PROP(PlanEpoch, GroupingChangesNoStep, ()) {
  const std::vector<int32_t> lengths =
      some_lengths(*rc::gen::inRange<size_t>(0, 300), *rc::gen::arbitrary<uint64_t>());
  PlanOptions options;
  options.batch_size = *rc::gen::inRange<int64_t>(1, 20);
  options.max_tokens = *rc::gen::element<int64_t>(0, 150, 400);
  options.accumulation = *rc::gen::inRange<int64_t>(1, 5);
  options.group_by_length = false;
  const auto plain = plan_epoch(lengths, options, 3);
  options.group_by_length = true;
  const auto grouped = plan_epoch(lengths, options, 3);
  RC_ASSERT(plain.size() == grouped.size());
  for (size_t step = 0; step < plain.size(); ++step) {
    RC_ASSERT(samples_of(plain[step]) == samples_of(grouped[step]));
    RC_ASSERT(grouped[step].size() <= plain[step].size());
  }
}

TEST(PlanEpoch, IsAFunctionOfSeedAndEpoch) {
  const std::vector<int32_t> lengths = some_lengths(100, 1);
  PlanOptions options;
  EXPECT_EQ(plan_epoch(lengths, options, 0), plan_epoch(lengths, options, 0));
  EXPECT_NE(plan_epoch(lengths, options, 0), plan_epoch(lengths, options, 1));
  PlanOptions other = options;
  other.seed = 43;
  EXPECT_NE(plan_epoch(lengths, options, 0), plan_epoch(lengths, other, 0));
}

TEST(PlanEpoch, SplittingABatchKeepsItsSamples) {
  const std::vector<int32_t> lengths = some_lengths(100, 1);
  PlanOptions whole, parts;
  whole.batch_size = 16;
  parts.batch_size = 4;
  parts.accumulation = 4;
  const auto one = plan_epoch(lengths, whole, 0), four = plan_epoch(lengths, parts, 0);
  ASSERT_EQ(one.size(), four.size());
  for (size_t step = 0; step < one.size(); ++step)
    EXPECT_EQ(samples_of(one[step]), samples_of(four[step]));
}

TEST(PlanEpoch, PutsSamplesOfLikeLengthTogether) {
  PlanOptions options;
  options.batch_size = 2;
  options.accumulation = 2;
  const std::vector<int32_t> lengths = {5, 90, 7, 80};  // one step whatever the shuffle
  EXPECT_THAT(plan_epoch(lengths, options, 0), ElementsAre(ElementsAre(Group{1, 3}, Group{2, 0})));
  options.group_by_length = false;
  bool is_kept = false;
  for (int64_t epoch = 0; epoch < 20; ++epoch)
    is_kept |= plan_epoch(lengths, options, epoch)[0][0] != Group{1, 3};
  EXPECT_TRUE(is_kept) << "without grouping, the shuffle's order stands";
}

TEST(PlanEpoch, KeepsAnUnfilledLastStep) {
  PlanOptions options;
  options.batch_size = 2;
  options.accumulation = 2;
  EXPECT_EQ(plan_epoch(some_lengths(8, 1), options, 0).size(), 2U);
  EXPECT_EQ(plan_epoch(some_lengths(9, 1), options, 0).size(), 3U);
}

TEST(PlanEpoch, TakesAWholeEpochInOneStep) {
  PlanOptions options;
  options.batch_size = 2;
  options.accumulation = int64_t{1} << 60;  // "all of it"
  const auto steps = plan_epoch(some_lengths(9, 1), options, 0);
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(steps[0].size(), 5U);
}

TEST(PlanEpoch, FillsTheTokenBudget) {
  const std::vector<int32_t> lengths = some_lengths(10000, 2);
  PlanOptions options;
  options.max_tokens = 4096;
  int64_t groups = 0;
  for (const auto& step : plan_epoch(lengths, options, 0))
    groups += static_cast<int64_t>(step.size());
  const int64_t total = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  EXPECT_LE(groups, total / 4096 * 102 / 100 + 1) << "budgets are filled to about 98 %";
}

TEST(PlanEvaluation, GoesFromLongToShortWithinTheBudget) {
  EXPECT_THAT(plan_evaluation({5, 90, 7, 80, 1}, 100), ElementsAre(Group{1}, Group{3, 2, 0, 4}));
  EXPECT_THAT(plan_evaluation({500, 1}, 100), ElementsAre(Group{0}, Group{1}));
  EXPECT_TRUE(plan_evaluation({}, 100).empty());
}

// ---- several tasks

// Of the first task many samples, of the others fewer.
std::vector<int32_t> some_tasks(const std::vector<int32_t>& sizes, uint64_t seed) {
  std::vector<int32_t> tasks;
  for (size_t task = 0; task < sizes.size(); ++task)
    tasks.insert(tasks.end(), static_cast<size_t>(sizes[task]), static_cast<int32_t>(task));
  std::vector<int32_t> shuffled;
  for (const int64_t i : permutation(static_cast<int64_t>(tasks.size()), seed))
    shuffled.push_back(tasks[static_cast<size_t>(i)]);
  return shuffled;
}

RC_GTEST_PROP(PlanOfSeveralTasks, HasMicroBatchesOfOneTaskAndTheStepsOfOne, ()) {
  const auto seed = *rc::gen::arbitrary<uint64_t>();
  const std::vector<int32_t> tasks = some_tasks({37, 9, 20}, seed),
                             lengths = some_lengths(tasks.size(), seed);
  PlanOptions options{.batch_size = *rc::gen::inRange<int64_t>(1, 9),
                      .accumulation = *rc::gen::inRange<int64_t>(1, 4)};
  const auto one = plan_epoch(lengths, options, 3);
  options.tasks = &tasks;
  const auto several = plan_epoch(lengths, options, 3);
  RC_ASSERT(several.size() == one.size());
  for (size_t step = 0; step < one.size(); ++step) {
    RC_ASSERT(samples_of(several[step]) == samples_of(one[step]));
    for (const Group& micro : several[step]) {
      RC_ASSERT(static_cast<int64_t>(micro.size()) <= options.batch_size);
      for (const int64_t i : micro) RC_ASSERT(tasks[i] == tasks[micro.front()]);
    }
  }
}

// How often an epoch draws from each task.
std::vector<int64_t> draws(const std::vector<int32_t>& sizes, double temperature) {
  const std::vector<int32_t> tasks = some_tasks(sizes, 1), lengths(tasks.size(), 5);
  std::vector<int64_t> counts(sizes.size());
  for (const int64_t i :
       samples_of(plan_epoch(lengths, {.tasks = &tasks, .temperature = temperature}, 0)))
    ++counts[static_cast<size_t>(tasks[static_cast<size_t>(i)])];
  return counts;
}

RC_GTEST_PROP(PlanInPairs, HasTheSamePairsHoweverAStepIsSplit, ()) {
  const std::vector<int32_t> lengths =
      some_lengths(*rc::gen::inRange<size_t>(0, 120), *rc::gen::arbitrary<uint64_t>());
  const auto pairs_of = [&](const std::vector<Group>& step) {
    std::vector<Group> pairs;
    for (const Group& micro : step) {
      for (size_t i = 0; i + 1 < micro.size(); i += 2)
        pairs.push_back(samples_of(std::vector<Group>{{micro[i], micro[i + 1]}}));
    }
    std::sort(pairs.begin(), pairs.end());
    return pairs;
  };
  PlanOptions options{.batch_size = 24, .pairs = true};
  const auto whole = plan_epoch(lengths, options, 2);
  options.batch_size = *rc::gen::element<int64_t>(1, 2, 3, 6);
  options.accumulation = 24 / options.batch_size;
  options.group_by_length = *rc::gen::arbitrary<bool>();
  const auto parts = plan_epoch(lengths, options, 2);
  RC_ASSERT(parts.size() == whole.size());
  for (size_t step = 0; step < whole.size(); ++step) {
    RC_ASSERT(samples_of(parts[step]) == samples_of(whole[step]));
    RC_ASSERT(pairs_of(parts[step]) == pairs_of(whole[step]));
    for (size_t micro = 0; micro < parts[step].size(); ++micro) {
      const auto size = static_cast<int64_t>(parts[step][micro].size());
      RC_ASSERT(size <= std::max<int64_t>(2, options.batch_size));
      RC_ASSERT(size % 2 == 0 || micro + 1 == parts[step].size());
    }
  }
}

TEST(PlanByClass, DrawsByThePowerOfTheirSizesInMicroBatchesOfAny) {
  const auto counts = [](double temperature) {
    const std::vector<int32_t> classes = some_tasks({0, 64, 16, 4, 0}, 1),  // 0: of no class
        lengths(classes.size(), 5);
    std::vector<int64_t> drawn(5);
    bool is_mixed = false;
    for (const auto& step :
         plan_epoch(lengths, {.strata = &classes, .strata_temperature = temperature}, 0)) {
      for (const Group& micro : step) {
        for (const int64_t i : micro) {
          ++drawn[static_cast<size_t>(classes[static_cast<size_t>(i)])];
          is_mixed = is_mixed ||
                     classes[static_cast<size_t>(i)] != classes[static_cast<size_t>(micro.front())];
        }
      }
    }
    EXPECT_TRUE(is_mixed);
    return drawn;
  };
  EXPECT_THAT(counts(1), ElementsAre(0, 64, 16, 4, 0));
  EXPECT_THAT(counts(2), ElementsAre(0, 48, 24, 12, 0));
  EXPECT_THAT(counts(std::numeric_limits<double>::infinity()), ElementsAre(0, 28, 28, 28, 0));
}

TEST(PlanOfSeveralTasks, DrawsByThePowerOfTheirSizes) {
  const double equal = std::numeric_limits<double>::infinity();
  EXPECT_THAT(draws({64, 16, 4}, 1), ElementsAre(64, 16, 4));
  EXPECT_THAT(draws({64, 16, 4}, 2), ElementsAre(48, 24, 12));  // 8 : 4 : 2
  EXPECT_THAT(draws({64, 16, 4}, equal), ElementsAre(28, 28, 28));
  EXPECT_THAT(draws({7, 2, 1}, equal), ElementsAre(4, 3, 3));  // what rounding leaves goes first
}

TEST(PlanOfSeveralTasks, TakesAllSamplesOfATaskBeforeAnyComesAgain) {
  const std::vector<int32_t> tasks = some_tasks({30, 6}, 2), lengths(tasks.size(), 5);
  std::vector<int64_t> seen(tasks.size());
  for (int64_t epoch = 0; epoch < 5; ++epoch) {  // 18 of each task in an epoch: 90 in all
    for (const int64_t i : samples_of(plan_epoch(
             lengths, {.tasks = &tasks, .temperature = std::numeric_limits<double>::infinity()},
             epoch)))
      ++seen[static_cast<size_t>(i)];
  }
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], tasks[i] == 0 ? 3 : 15) << i;
}

}  // namespace
}  // namespace hone
