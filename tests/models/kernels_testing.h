// Shared by the kernels' tests: inputs, comparison of values and gradients, and a run on every
// instruction set.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "models/kernels/simd.h"
// After simd.h, which names the instruction sets:
#include <hwy/highway.h>
#include <hwy/targets.h>

namespace hone::kernels::testing {

inline at::Tensor normal(at::IntArrayRef shape, uint64_t seed, at::ScalarType type = at::kFloat) {
  return at::randn(shape, at::make_generator<at::CPUGeneratorImpl>(seed),
                   at::TensorOptions(at::kFloat))
      .to(type);
}

// Largest difference as a share of the expected tensor's largest value.
inline double error(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_EQ(actual.sizes(), expected.sizes());
  if (expected.numel() == 0) return 0;
  const at::Tensor difference = (actual.to(at::kDouble) - expected.to(at::kDouble)).abs().max();
  const double result =
      (difference / expected.to(at::kDouble).abs().max().clamp_min(1e-30)).item<double>();
  return std::isfinite(result) ? result : 1e30;
}

// Runs `body` once per instruction set that was compiled and that this machine has.
template <class Body>
void on_every_target(const Body& body) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace hone::kernels::testing
