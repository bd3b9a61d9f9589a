#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "models/kernels/activation.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::error;
using testing::normal;
using testing::on_every_target;

constexpr Activation kAll[] = {Activation::kGelu, Activation::kGeluTanh, Activation::kRelu,
                               Activation::kSilu, Activation::kTanh};

struct Outcome {
  at::Tensor out, dx, dbias;
};

Outcome run(bool reference, const at::Tensor& values, const at::Tensor& bias_values,
            Activation activation, at::ScalarType type) {
  const at::Tensor x = values.to(type).detach().clone().requires_grad_();
  const at::Tensor bias =
      bias_values.to(type == at::kDouble ? type : at::kFloat).detach().clone().requires_grad_();
  const at::Tensor out =
      (reference ? bias_activation_reference : bias_activation)(x, bias, activation);
  out.backward(normal(values.sizes(), 9, values.scalar_type()).to(type));
  return {out.detach(), x.grad(), bias.grad()};
}

TEST(KernelsActivation, MatchesTheReferenceInDoubleOnEveryInstructionSet) {
  on_every_target([] {
    for (const Activation activation : kAll) {
      for (const int64_t columns : {1, 40, 1536}) {
        SCOPED_TRACE(static_cast<int>(activation));
        const at::Tensor x = normal({67, columns}, 1) * 3, bias = normal({columns}, 2);
        const Outcome actual = run(false, x, bias, activation, at::kFloat),
                      expected = run(true, x, bias, activation, at::kDouble);
        EXPECT_LT(error(actual.out, expected.out), 3e-7);
        EXPECT_LT(error(actual.dx, expected.dx), 5e-7);
        EXPECT_LT(error(actual.dbias, expected.dbias), 2e-6);
      }
    }
  });
}

TEST(KernelsActivation, Bf16IsTheDoubleResultRounded) {
  on_every_target([] {
    for (const Activation activation : kAll) {
      SCOPED_TRACE(static_cast<int>(activation));
      const at::Tensor x = (normal({67, 200}, 1) * 3).to(at::kBFloat16), bias = normal({200}, 2);
      const Outcome actual = run(false, x, bias, activation, at::kBFloat16),
                    expected = run(true, x, bias, activation, at::kDouble);
      EXPECT_TRUE(at::allclose(actual.out.to(at::kDouble), expected.out, 5e-3, 1e-5));
      EXPECT_TRUE(at::allclose(actual.dx.to(at::kDouble), expected.dx, 5e-3, 1e-3));
      EXPECT_LT(error(actual.dbias, expected.dbias), 1e-3);
    }
  });
}

// Relative accuracy everywhere, the far negative tail too, where 1 + erf has lost all its digits.
TEST(KernelsActivation, GeluKeepsItsDigitsInTheTail) {
  on_every_target([] {
    const at::Tensor x = at::linspace(-12, 12, 100001, at::kFloat).unsqueeze(0),
                     exact = x.to(at::kDouble);
    const at::Tensor expected = exact * 0.5 * at::erfc(-exact / std::sqrt(2.0));
    EXPECT_TRUE(at::allclose(bias_activation(x, {}, Activation::kGelu).to(at::kDouble), expected,
                             1e-5, 1e-37));
    const at::Tensor middle = x.abs().lt(3).to(at::kDouble);
    EXPECT_TRUE(at::allclose(bias_activation(x, {}, Activation::kGelu).to(at::kDouble) * middle,
                             expected * middle, 1e-6, 1e-12));
  });
}

TEST(KernelsActivation, ExtremesAreFiniteAndNaNIsKept) {
  on_every_target([] {
    for (const Activation activation : kAll) {
      const at::Tensor x =
          at::tensor({-1e6f, -200.0f, 0.0f, 200.0f, 1e6f}).unsqueeze(0).requires_grad_();
      const at::Tensor y = bias_activation(x, {}, activation);
      y.sum().backward();
      EXPECT_TRUE(at::isfinite(x.grad()).all().item<bool>())
          << static_cast<int>(activation) << x.grad();
      EXPECT_LT(error(y, bias_activation_reference(x, {}, activation)), 1e-6)
          << static_cast<int>(activation) << y;
      EXPECT_TRUE(
          at::isnan(bias_activation(at::full({1, 16}, NAN), {}, activation)).all().item<bool>())
          << static_cast<int>(activation);
      EXPECT_TRUE(at::isnan(bias_activation(at::full({1, 16}, NAN, at::kBFloat16), {}, activation))
                      .all()
                      .item<bool>())
          << static_cast<int>(activation);
    }
  });
}

TEST(KernelsActivation, BiasGradientIsTheSameBitsWithAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  const at::Tensor x = normal({500, 64}, 1), bias = normal({64}, 2);
  at::set_num_threads(1);
  const Outcome one = run(false, x, bias, Activation::kGelu, at::kFloat);
  at::set_num_threads(3);
  const Outcome three = run(false, x, bias, Activation::kGelu, at::kFloat);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one.dbias, three.dbias));
}

TEST(KernelsActivation, GatedMatchesTheReferenceInDoubleOnEveryInstructionSet) {
  const auto run_gated = [](auto* function, Activation activation, at::ScalarType given,
                            at::ScalarType type) {
    const at::Tensor x = (normal({67, 86}, 1, given) * 2).to(type).detach().requires_grad_();
    const at::Tensor out = function(x, activation);
    out.backward(normal({67, 43}, 3, given).to(type));
    const auto halves = x.grad().chunk(2, 1);
    return std::vector<at::Tensor>{out.detach(), halves[0], halves[1]};
  };
  on_every_target([&] {
    for (const Activation activation : kAll) {
      for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        const auto actual = run_gated(gated_activation, activation, type, type),
                   expected = run_gated(gated_activation_reference, activation, type, at::kDouble);
        for (size_t i = 0; i < 3; ++i)
          EXPECT_LT(error(actual[i], expected[i]), type == at::kFloat ? 1e-6 : 5e-3)
              << static_cast<int>(activation) << " " << i;
      }
    }
  });
}

TEST(KernelsActivation, UnknownNameIsAModelErrorWithTheKnownOnes) {
  EXPECT_EQ(activation_named("gelu_new"), Activation::kGeluTanh);
  EXPECT_EQ(activation_named("swish"), Activation::kSilu);
  try {
    activation_named("gleu");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kModel);
    EXPECT_NE(error.message().find("gelu_pytorch_tanh"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace hone::kernels
