#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/kernels/crf.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::error;
using testing::normal;

constexpr int64_t kTags = 3;

// All tag sequences of a length.
std::vector<std::vector<int64_t>> all_paths(int64_t length) {
  std::vector<std::vector<int64_t>> paths = {{}};
  for (int64_t t = 0; t < length; ++t) {
    std::vector<std::vector<int64_t>> longer;
    for (const auto& path : paths) {
      for (int64_t tag = 0; tag < kTags; ++tag) {
        longer.push_back(path);
        longer.back().push_back(tag);
      }
    }
    paths = std::move(longer);
  }
  return paths;
}

at::Tensor score_of(const at::Tensor& emissions, const at::Tensor& table,
                    const std::vector<int64_t>& path, const CrfChain& chain) {
  at::Tensor score = at::zeros({}, at::kDouble);
  for (size_t t = 0; t < path.size(); ++t) {
    score = score + emissions[chain.begin + static_cast<int64_t>(t)][path[t]];
    if (t > 0) score = score + table[path[t - 1]][path[t]];
  }
  if (chain.has_start) score = score + table[kTags][path.front()];
  if (chain.has_end) score = score + table[kTags + 1][path.back()];
  return score;
}

at::Tensor scores_of_all(const at::Tensor& emissions, const at::Tensor& table,
                         const CrfChain& chain) {
  std::vector<at::Tensor> scores;
  for (const auto& path : all_paths(chain.end - chain.begin))
    scores.push_back(score_of(emissions, table, path, chain));
  return at::stack(scores);
}

at::Tensor loss_over_all_paths(const at::Tensor& emissions, const at::Tensor& table,
                               const at::Tensor& tags, const std::vector<CrfChain>& chains) {
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (const CrfChain& chain : chains) {
    if (chain.begin == chain.end) continue;
    const int64_t* tag = tags.const_data_ptr<int64_t>();
    const std::vector<int64_t> path(tag + chain.begin, tag + chain.end);
    sum = sum + chain.weight * (scores_of_all(emissions, table, chain).logsumexp(0) -
                                score_of(emissions, table, path, chain));
  }
  return sum;
}

at::Tensor tags_of(int64_t rows) { return at::arange(rows).remainder(kTags); }

TEST(KernelsCrf, ItsLossAndGradientsAreThoseOfASumOverAllPaths) {
  const std::vector<CrfChain> chains = {{0, 1},
                                        {1, 5, true, true, 0.25},
                                        {5, 5},
                                        {5, 8, false, true, 2},
                                        {8, 10, true, false},
                                        {10, 14, false, false}};
  const at::Tensor emissions = (normal({14, kTags}, 1) * 3).detach().requires_grad_(),
                   table = (normal({kTags + 2, kTags}, 2) * 2).detach().requires_grad_();
  const at::Tensor exact = emissions.detach().to(at::kDouble).requires_grad_(),
                   exact_table = table.detach().to(at::kDouble).requires_grad_();
  const at::Tensor expected = loss_over_all_paths(exact, exact_table, tags_of(14), chains),
                   actual = crf_loss_sum(emissions, table, tags_of(14), chains);
  EXPECT_NEAR(actual.item<double>(), expected.item<double>(), 1e-6 * expected.item<double>());
  (3 * expected).backward();
  (3 * actual).backward();
  EXPECT_LT(error(emissions.grad(), exact.grad()), 1e-6);
  EXPECT_LT(error(table.grad(), exact_table.grad()), 1e-6);
}

// Spread over the paths that may happen, as by hand.
TEST(KernelsCrf, ASmoothedLossIsThatOfAllAllowedPaths) {
  const std::vector<CrfChain> chains = {{0, 1}, {1, 5, true, true, 0.25}, {5, 8, false, true, 2}};
  const at::Tensor emissions = normal({8, kTags}, 3).detach().requires_grad_();
  at::Tensor scores = normal({kTags + 2, kTags}, 4).detach();
  scores[0][2] = kForbidden;  // no path has tag 2 after tag 0, and none begins with it
  scores[kTags][2] = kForbidden;
  const at::Tensor table = scores.clone().requires_grad_(),
                   exact = emissions.detach().to(at::kDouble).requires_grad_(),
                   exact_table = scores.to(at::kDouble).requires_grad_(),
                   tags = at::tensor({0, 1, 2, 0, 1, 2, 1, 0}, at::kLong);
  constexpr double kSmoothing = 0.3;
  at::Tensor expected = at::zeros({}, at::kDouble);
  for (const CrfChain& chain : chains) {
    const at::Tensor all = scores_of_all(exact, exact_table, chain),
                     allowed = all.masked_select(all.detach().gt(kForbidden / 2));
    const int64_t* tag = tags.const_data_ptr<int64_t>();
    const at::Tensor own =
        score_of(exact, exact_table, {tag + chain.begin, tag + chain.end}, chain);
    expected = expected + chain.weight * (all.logsumexp(0) - (1 - kSmoothing) * own -
                                          kSmoothing * allowed.mean());
  }
  const at::Tensor actual = crf_loss_sum(emissions, table, tags, chains, kSmoothing);
  EXPECT_NEAR(actual.item<double>(), expected.item<double>(), 1e-5);
  expected.backward();
  actual.backward();
  EXPECT_LT(error(emissions.grad(), exact.grad()), 1e-5);
  EXPECT_LT(error(table.grad(), exact_table.grad()), 1e-5);
}

TEST(KernelsCrf, LargeScoresNeitherOverflowNorReachWhatIsForbidden) {
  at::Tensor table = at::zeros({kTags + 2, kTags});
  table[0][2] = table[kTags][2] = kForbidden;
  const at::Tensor emissions =
      at::tensor({300.0F, 0.0F, 600.0F, -300.0F, 0.0F, 500.0F}).view({2, kTags}).requires_grad_();
  const std::vector<CrfChain> chains = {{0, 2}};
  const at::Tensor tags = at::tensor({0, 1}, at::kLong),
                   loss = crf_loss_sum(emissions, table, tags, chains);
  // Of what is allowed, 1 and then 2 is best by 200.
  EXPECT_NEAR(loss.item<double>(), 500 - 300, 1e-3);
  loss.backward();
  EXPECT_TRUE(emissions.grad().isfinite().all().item<bool>());
  EXPECT_THAT(crf_best_path(emissions.detach(), table).tags, ::testing::ElementsAre(1, 2));
}

TEST(KernelsCrf, FindsTheBestOfAllPathsAndTheProbabilityOfEachTag) {
  for (const int64_t length : {1, 2, 5}) {
    const at::Tensor emissions = normal({length, kTags}, 10 + length),
                     table = normal({kTags + 2, kTags}, 20 + length);
    const at::Tensor scores =
        scores_of_all(emissions.to(at::kDouble), table.to(at::kDouble), {0, length});
    const auto paths = all_paths(length);
    const CrfPath found = crf_best_path(emissions, table);
    EXPECT_EQ(found.tags, paths[scores.argmax().item<int64_t>()]);
    const at::Tensor p = scores.softmax(0);
    for (int64_t t = 0; t < length; ++t) {
      double sum = 0;
      for (size_t i = 0; i < paths.size(); ++i)
        sum += paths[i][t] == found.tags[t] ? p[static_cast<int64_t>(i)].item<double>() : 0;
      EXPECT_NEAR(found.probabilities[t], sum, 1e-9) << length << " " << t;
    }
  }
  EXPECT_TRUE(crf_best_path(at::zeros({0, kTags}), at::zeros({kTags + 2, kTags})).tags.empty());
}

TEST(KernelsCrf, GivesTheSameBitsWithAnyNumberOfThreads) {
  std::vector<CrfChain> chains;
  for (int64_t i = 0; i < 30; ++i) chains.push_back({5 * i, 5 * i + 5});
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (const int count : {1, 3}) {
    at::set_num_threads(count);
    const at::Tensor emissions = normal({150, kTags}, 1).detach().requires_grad_(),
                     table = normal({kTags + 2, kTags}, 2).detach().requires_grad_();
    const at::Tensor loss = crf_loss_sum(emissions, table, tags_of(150), chains);
    loss.backward();
    results.push_back(at::cat({loss.detach().view(1), table.grad().flatten()}));
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(at::equal(results[0], results[1]));
}

}  // namespace
}  // namespace hone::kernels
