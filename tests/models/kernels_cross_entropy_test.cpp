#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "models/kernels/cross_entropy.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::error;
using testing::normal;
using testing::on_every_target;

at::Tensor random_targets(int64_t rows, int64_t classes) {
  at::Tensor targets = at::randint(classes, {rows}, at::make_generator<at::CPUGeneratorImpl>(2),
                                   at::TensorOptions(at::kLong));
  if (rows > 3) targets[3] = -100;
  return targets;
}

TEST(KernelsCrossEntropy, MatchesATenInDoubleOnEveryInstructionSet) {
  on_every_target([] {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const int64_t classes : {1, 2, 9, 77, 30522}) {
        for (const double smoothing : {0.0, 0.1}) {
          const int64_t rows = classes > 1000 ? 5 : 200;
          const at::Tensor logits =
                               (normal({rows, classes}, 1, type) * 4).detach().requires_grad_(),
                           targets = random_targets(rows, classes);
          const at::Tensor exact = logits.detach().to(at::kDouble).requires_grad_();
          const at::Tensor expected =
              at::cross_entropy_loss(exact, targets, {}, at::Reduction::Sum, -100, smoothing);
          const at::Tensor actual = cross_entropy_sum(logits, targets, -100, smoothing);
          EXPECT_NEAR(actual.item<double>(), expected.item<double>(),
                      1e-6 * std::max(1.0, expected.item<double>()))
              << classes;
          (expected * 3).backward();
          (actual * 3).backward();
          if (classes > 1) {
            EXPECT_LT(error(logits.grad(), exact.grad()), type == at::kFloat ? 3e-6 : 4e-3)
                << classes << " " << smoothing;
          }
          EXPECT_EQ(logits.grad()[3].abs().max().item<float>(), 0);
        }
      }
    }
  });
}

TEST(KernelsCrossEntropy, LargeLogitsNeitherOverflowNorLoseTheSmallLoss) {
  const at::Tensor logits = at::tensor({1000.0f, -1000.0f, 999.0f}).unsqueeze(0);
  EXPECT_NEAR(cross_entropy_sum(logits, at::zeros({1}, at::kLong)).item<double>(),
              std::log1p(std::exp(-1.0)), 1e-7);
  EXPECT_NEAR(cross_entropy_sum(logits, at::ones({1}, at::kLong)).item<double>(),
              2000 + std::log1p(std::exp(-1.0)), 1e-3);
}

TEST(KernelsCrossEntropy, NaNIsKept) {
  EXPECT_TRUE(std::isnan(
      cross_entropy_sum(at::full({1, 5}, NAN), at::zeros({1}, at::kLong)).item<float>()));
}

TEST(KernelsCrossEntropy, RefusesATargetThatIsNoClass) {
  EXPECT_THROW(cross_entropy_sum(normal({2, 3}, 1), at::tensor({0, 3}, at::kLong)), c10::Error);
  EXPECT_THROW(cross_entropy_sum(normal({2, 3}, 1), at::tensor({0, -1}, at::kLong)), c10::Error);
}

TEST(KernelsCrossEntropy, NoRowsGiveZero) {
  EXPECT_EQ(cross_entropy_sum(at::zeros({0, 3}), at::zeros({0}, at::kLong)).item<float>(), 0);
}

}  // namespace
}  // namespace hone::kernels
