#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "models/kernels/norm.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::error;
using testing::normal;
using testing::on_every_target;

struct NormCase {
  int64_t rows, columns;
  bool with_residual;
  double dropout;
  at::ScalarType type = at::kFloat;
};

struct NormOutcome {
  at::Tensor out, dx, dresidual, dweight, dbias;
};

using NormFunction = at::Tensor (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                    const at::Tensor&, double, const DropoutOptions&);

// Inputs rounded to the case's type, then computed in `type`: the reference runs in double.
NormOutcome run(NormFunction function, const NormCase& c, at::ScalarType type) {
  const auto input = [&](uint64_t seed) {
    return normal({c.rows, c.columns}, seed, c.type).to(type).requires_grad_();
  };
  const auto parameter = [&](uint64_t seed) {
    return normal({c.columns}, seed).to(type == at::kDouble ? type : at::kFloat).requires_grad_();
  };
  const at::Tensor x = input(1), residual = c.with_residual ? input(2) : at::Tensor(),
                   weight = parameter(3), bias = parameter(4);
  const DropoutOptions dropout{
      .p = c.dropout, .seed = 3, .site = 4, .keys = at::arange(c.rows, at::kLong) * 77};
  const at::Tensor out = function(x, residual, weight, bias, 1e-12, dropout);
  out.backward(normal({c.rows, c.columns}, 5, c.type).to(type));
  return {out.detach(), x.grad(), c.with_residual ? residual.grad() : at::zeros({1}), weight.grad(),
          bias.grad()};
}

void expect_near(const NormOutcome& actual, const NormOutcome& expected, double tolerance) {
  EXPECT_LT(error(actual.out, expected.out), tolerance);
  EXPECT_LT(error(actual.dx, expected.dx), tolerance);
  EXPECT_LT(error(actual.dresidual, expected.dresidual), tolerance);
  EXPECT_LT(error(actual.dweight, expected.dweight), tolerance);
  EXPECT_LT(error(actual.dbias, expected.dbias), tolerance);
}

TEST(KernelsNorm, MatchesTheReferenceInDoubleOnEveryInstructionSet) {
  on_every_target([] {
    for (const NormCase& c :
         {NormCase{1, 8, false, 0}, NormCase{5, 33, true, 0}, NormCase{70, 384, true, 0.1},
          NormCase{33, 768, false, 0.5}, NormCase{3, 1000, true, 0.1}}) {
      SCOPED_TRACE(c.columns);
      expect_near(run(dropout_add_layer_norm, c, at::kFloat),
                  run(dropout_add_layer_norm_reference, c, at::kDouble), 1e-6);
    }
  });
}

TEST(KernelsNorm, Bf16IsTheDoubleResultRounded) {
  on_every_target([] {
    for (const NormCase& c :
         {NormCase{70, 384, true, 0.1, at::kBFloat16}, NormCase{5, 33, false, 0, at::kBFloat16}}) {
      expect_near(run(dropout_add_layer_norm, c, at::kBFloat16),
                  run(dropout_add_layer_norm_reference, c, at::kDouble), 4e-3);
    }
  });
}

// The weight's gradient stands for both parameters: RMSNorm has no bias.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& residual, const at::Tensor& weight,
                    const at::Tensor& bias, double eps, const DropoutOptions& dropout) {
  return (x.scalar_type() == at::kDouble ? dropout_add_rms_norm_reference : dropout_add_rms_norm)(
             x, residual, weight, eps, dropout) +
         0 * bias.sum().to(x.scalar_type());
}

TEST(KernelsNorm, RmsMatchesTheReferenceInDoubleOnEveryInstructionSet) {
  on_every_target([] {
    for (const NormCase& c :
         {NormCase{1, 8, false, 0}, NormCase{5, 33, true, 0}, NormCase{70, 384, true, 0.1},
          NormCase{33, 768, false, 0.5}, NormCase{3, 1000, true, 0.1}}) {
      SCOPED_TRACE(c.columns);
      const NormOutcome actual = run(rms_norm, c, at::kFloat),
                        expected = run(rms_norm, c, at::kDouble);
      EXPECT_LT(error(actual.out, expected.out), 1e-6);
      EXPECT_LT(error(actual.dx, expected.dx), 1e-6);
      EXPECT_LT(error(actual.dresidual, expected.dresidual), 1e-6);
      EXPECT_LT(error(actual.dweight, expected.dweight), 1e-6);
    }
  });
}

TEST(KernelsNorm, RmsReferenceIsTheDefinition) {
  const at::Tensor x = at::tensor({3.0, 4.0}, at::kDouble).unsqueeze(0),
                   weight = at::tensor({1.0, 2.0}, at::kDouble);
  const at::Tensor y =
      dropout_add_rms_norm_reference(x, x, weight, 0, {});  // 6, 8: root of the mean square 50
  EXPECT_NEAR(y[0][0].item<double>(), 6 / std::sqrt(50.0), 1e-12);
  EXPECT_NEAR(y[0][1].item<double>(), 16 / std::sqrt(50.0), 1e-12);
}

TEST(KernelsNorm, SurvivesALargeMean) {
  const at::Tensor x = normal({4, 256}, 1) + 1000, ones = at::ones({256}), zeros = at::zeros({256});
  const at::Tensor expected =
      dropout_add_layer_norm_reference(x.to(at::kDouble), {}, ones, zeros, 1e-5, {});
  EXPECT_LT(error(dropout_add_layer_norm(x, {}, ones, zeros, 1e-5, {}), expected), 1e-4);
}

// What a decoder's states have: one channel thousands of times as large as the others. The kernel's
// error is that of ATen's operations in fp32, whatever is left of a gradient that all but cancels.
TEST(KernelsNorm, AreAsExactAsPlainOperationsBesideAMassiveChannel) {
  constexpr int64_t kColumns = 576;
  const auto outcome = [&](bool centred, bool is_reference, at::ScalarType type) {
    at::Tensor x = normal({64, kColumns}, 1);
    x.select(1, 7).fill_(21600);
    x = x.to(type).requires_grad_();
    const at::Tensor weight = normal({kColumns}, 2).abs().to(type).requires_grad_(),
                     bias = normal({kColumns}, 3).to(type).requires_grad_();
    const at::Tensor out =
        centred ? (is_reference ? dropout_add_layer_norm_reference : dropout_add_layer_norm)(
                      x, {}, weight, bias, 1e-5, {})
                : (is_reference ? dropout_add_rms_norm_reference : dropout_add_rms_norm)(
                      x, {}, weight, 1e-5, {});
    out.backward(normal({64, kColumns}, 4).to(type));
    return std::vector{out.detach(), x.grad(), weight.grad()};
  };
  for (const bool centred : {true, false}) {
    const auto exact = outcome(centred, true, at::kDouble),
               plain = outcome(centred, true, at::kFloat);
    on_every_target([&] {
      const auto ours = outcome(centred, false, at::kFloat);
      for (size_t i = 0; i < exact.size(); ++i)
        EXPECT_LT(error(ours[i], exact[i]),
                  2 * error(plain[i], exact[i]) + 3e-7)  // and some roundings
            << (centred ? "LayerNorm" : "RMSNorm") << ", " << i;
    });
  }
}

TEST(KernelsNorm, GradientsAreTheSameBitsWithAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  const NormCase c{1000, 96, true, 0.1};
  at::set_num_threads(1);
  const NormOutcome one = run(dropout_add_layer_norm, c, at::kFloat);
  at::set_num_threads(3);
  const NormOutcome three = run(dropout_add_layer_norm, c, at::kFloat);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one.dx, three.dx));
  EXPECT_TRUE(at::equal(one.dweight, three.dweight));
  EXPECT_TRUE(at::equal(one.dbias, three.dbias));
}

TEST(KernelsNorm, AcceptsNoRows) {
  EXPECT_EQ(run(dropout_add_layer_norm, {0, 16, true, 0.1}, at::kFloat).out.size(0), 0);
}

}  // namespace
}  // namespace hone::kernels
