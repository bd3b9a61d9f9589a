#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "models/kernels/rotary.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::error;
using testing::normal;

TEST(KernelsRotary, TurnsEachPairByPositionTimesFrequency) {
  const int64_t pairs = 3, dim = 8;
  const at::Tensor x = normal({5, 2, dim}, 1).to(at::kDouble),
                   positions = at::tensor({0, 7, 2, 7, 11}, at::kLong);
  const at::Tensor y = rotate(x, positions, rotary_of(rotary_frequencies(100, 2 * pairs), 12, 1.5));
  for (int64_t i = 0; i < 5; ++i) {
    for (int64_t c = 0; c < pairs; ++c) {
      const double angle = positions[i].item<double>() * std::pow(100, -2.0 * c / (2 * pairs));
      const double a = x[i][1][c].item<double>(), b = x[i][1][c + pairs].item<double>();
      EXPECT_NEAR(y[i][1][c].item<double>(), 1.5 * (a * std::cos(angle) - b * std::sin(angle)),
                  1e-5);
      EXPECT_NEAR(y[i][1][c + pairs].item<double>(),
                  1.5 * (b * std::cos(angle) + a * std::sin(angle)), 1e-5);
    }
  }
  EXPECT_TRUE(at::equal(y.slice(2, 2 * pairs), x.slice(2, 2 * pairs)));
}

TEST(KernelsRotary, ProductsSeeDistancesOnly) {
  const at::Tensor q = normal({1, 1, 16}, 1).to(at::kDouble),
                   k = normal({1, 1, 16}, 2).to(at::kDouble);
  const Rotary rotary = rotary_of(rotary_frequencies(10000, 16), 200);
  const auto product = [&](int64_t of_q, int64_t of_k) {
    const auto at = [](int64_t position) { return at::full({1}, position, at::kLong); };
    return (rotate(q, at(of_q), rotary) * rotate(k, at(of_k), rotary)).sum();
  };
  EXPECT_LT(error(product(150, 143), product(7, 0)), 1e-4);
  EXPECT_GT(error(product(150, 142), product(7, 0)), 1e-2);
}

TEST(KernelsRotary, WithoutAGradientIsThatWithOne) {
  const Rotary rotary = rotary_of(rotary_frequencies(100, 14), 9, 1.5);
  const at::Tensor positions = at::tensor({3, 0, 8, 8, 1}, at::kLong);
  testing::on_every_target([&] {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor x = normal({5, 6, 40}, 1, type).narrow(1, 2, 3);  // rows apart
      const at::Tensor differentiated = rotate(x.detach().requires_grad_(), positions, rotary);
      EXPECT_LT(error(rotate(x, positions, rotary), differentiated.detach()),
                type == at::kFloat ? 1e-6 : 1e-2);
    }
  });
}

TEST(KernelsRotary, RefusesAPositionThatIsNotThere) {
  const Rotary rotary = rotary_of(rotary_frequencies(100, 4), 3);
  for (const int64_t position : {-1, 3})
    EXPECT_THROW(rotate(normal({1, 1, 4}, 1), at::full({1}, position, at::kLong), rotary),
                 c10::Error);
}

TEST(KernelsRotary, RefusesAnOddNumberOfColumns) {
  EXPECT_THROW(rotary_frequencies(10000, 15), c10::Error);
}

}  // namespace
}  // namespace hone::kernels
