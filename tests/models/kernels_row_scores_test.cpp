#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "models/kernels/row_scores.h"

namespace hone::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> waves(int64_t n) {
  std::vector<float> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = 5 * std::sin(1.3f * static_cast<float>(i));
  return x;
}

// In whole vectors and in what is left behind them.
TEST(RowScores, TheLargestIsFoundAtEveryPlace) {
  for (const int64_t n : {1, 3, 16, 37}) {
    for (int64_t at = 0; at < n; ++at) {
      std::vector<float> x(static_cast<size_t>(n), -kInfinity);
      EXPECT_EQ(largest_score(x.data(), n), -kInfinity);
      x[static_cast<size_t>(at)] = -7;
      EXPECT_EQ(largest_score(x.data(), n), -7);
      for (const float bad : {kInfinity, std::nanf("")}) {
        x[static_cast<size_t>(at)] = bad;
        EXPECT_TRUE(std::isnan(largest_score(x.data(), n))) << n << " " << at << " " << bad;
      }
    }
  }
}

TEST(RowScores, PlacesAboveABoundAreFoundInTheirOrder) {
  for (const int64_t n : {1, 16, 61}) {
    const std::vector<float> x = waves(n);
    for (const float bound : {-kInfinity, -5.0f, 0.0f, 4.9f, x[0], kInfinity}) {
      int64_t next = 0;
      for (int64_t i = 0; i < n; ++i) {
        if (!(x[static_cast<size_t>(i)] > bound)) continue;
        next = next_above(x.data(), next, n, bound);
        EXPECT_EQ(next++, i) << n << " " << bound;
      }
      EXPECT_EQ(next_above(x.data(), next, n, bound), n) << n << " " << bound;
    }
  }
}

TEST(RowScores, LogSoftmaxAgreesWithAtens) {
  for (const int64_t n : {1, 16, 61, 5000}) {
    std::vector<float> x = waves(n);
    if (n > 16) x[3] = -kInfinity;
    const at::Tensor row = at::tensor(x);
    log_softmax_row(x.data(), n, largest_score(x.data(), n));
    EXPECT_TRUE(at::allclose(at::tensor(x), at::log_softmax(row, 0), 1e-5, 1e-6)) << n;
  }
}

}  // namespace
}  // namespace hone::kernels
