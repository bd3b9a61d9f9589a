#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "models/kernels/dropout.h"
#include "models/kernels/random.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::normal;
using testing::on_every_target;

uint32_t halfword(const std::array<uint32_t, 4>& words, int64_t i) {
  return words[i / 2] >> (16 * (i % 2)) & 0xffff;
}

TEST(KernelsDropout, MaskIsPhiloxOfSeedSiteKeyAndColumn) {
  const std::vector<int64_t> keys = {0, 7, (int64_t{123456} << 20) + 5, -3};
  const DropoutOptions options{
      .p = 0.3, .seed = 0xfedcba9876543210, .site = 42, .keys = at::tensor(keys, at::kLong)};
  const int64_t columns = 300;
  const at::Tensor mask = dropout_mask(4, columns, options);
  for (int64_t row = 0; row < 4; ++row) {
    for (int64_t c = 0; c < columns; ++c) {
      const auto words =
          philox(options.seed, keys[row], uint64_t{options.site} << 32 | (c / 128 * 16 + c % 16));
      const float expected = halfword(words, c % 128 / 16) < std::lround(0.3 * 65536)
                                 ? 0.0f
                                 : static_cast<float>(1 / 0.7);
      ASSERT_EQ(mask[row][c].item<float>(), expected) << "row " << row << ", column " << c;
    }
  }
}

TEST(KernelsDropout, AttentionMaskIsPhiloxOfSeedSiteKeyHeadAndPosition) {
  const std::vector<int64_t> keys = {9, int64_t{1} << 40, 12};
  const at::Tensor mask = attention_keep_mask(at::tensor(keys, at::kLong), 12, 3, 0.5, 77, 3);
  for (int64_t head = 0; head < 12; ++head) {
    for (int64_t row = 0; row < 3; ++row) {
      for (int64_t position = 0; position < 3; ++position) {
        const auto words = philox(77, keys[row],
                                  uint64_t{3} << 32 | uint64_t{1} << 31 |
                                      static_cast<uint64_t>(head / 8) << 24 | position);
        ASSERT_EQ(mask[head][row][position].item<float>(),
                  halfword(words, head % 8) < 32768 ? 0.0f : 1.0f);
      }
    }
  }
}

TEST(KernelsDropout, FastPathEqualsTheMaskOnEveryInstructionSet) {
  on_every_target([] {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const int64_t columns : {1, 16, 37, 128, 384, 1000}) {
        const DropoutOptions options{
            .p = 0.1, .seed = 5, .site = 6, .keys = at::arange(50, at::kLong) * 1000003};
        const at::Tensor x = normal({50, columns}, 1, type).requires_grad_(),
                         y = dropout(x, options);
        const at::Tensor mask = dropout_mask(50, columns, options);
        ASSERT_TRUE(at::equal(y, (x * mask).to(type))) << columns;
        const at::Tensor gradient = normal({50, columns}, 2, type);
        y.backward(gradient);
        ASSERT_TRUE(at::equal(x.grad(), (gradient * mask).to(type))) << columns;
      }
    }
  });
}

TEST(KernelsDropout, DropsTheShareAskedForAndNeighboursAreIndependent) {
  const DropoutOptions options{
      .p = 0.1, .seed = 11, .site = 2, .keys = at::arange(2000, at::kLong)};
  const at::Tensor kept = dropout_mask(2000, 500, options).gt(0).to(at::kDouble);
  EXPECT_NEAR(kept.mean().item<double>(), 0.9, 4 * std::sqrt(0.09 / 1e6));
  const at::Tensor dropped = 1 - kept;
  for (const int64_t distance : {1, 2, 8, 16, 128}) {
    const double both =
        (dropped.slice(1, distance) * dropped.slice(1, 0, 500 - distance)).mean().item<double>();
    EXPECT_NEAR(both, 0.01, 5 * std::sqrt(0.01 / (2000 * (500 - distance)))) << distance;
  }
  DropoutOptions elsewhere = options;
  elsewhere.site = 3;
  EXPECT_NEAR((dropped * (1 - dropout_mask(2000, 500, elsewhere).gt(0).to(at::kDouble)))
                  .mean()
                  .item<double>(),
              0.01, 5e-4);
}

TEST(KernelsDropout, ProbabilityZeroIsTheSameTensorAndOneIsZero) {
  const at::Tensor x = normal({3, 20}, 1);
  EXPECT_TRUE(dropout(x, {}).is_same(x));
  EXPECT_EQ(dropout(x, {.p = 1.0, .keys = at::arange(3, at::kLong)}).abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace hone::kernels
