#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "models/kernels/embedding.h"
#include "models/kernels/linear_cross_entropy.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::error;
using testing::normal;

constexpr int64_t kRows = 70, kHidden = 24, kVocabulary = 301;

at::Tensor sparse_targets() {
  at::Tensor targets = at::arange(kRows, at::kLong) * 37 % kVocabulary;
  targets.slice(0, 0, kRows, 3).fill_(-100);
  return targets;
}

struct Gradients {
  double loss;
  at::Tensor x, weight, bias;
};

Gradients by_chunks(at::ScalarType type, const LinearCrossEntropyOptions& options) {
  const at::Tensor x = normal({kRows, kHidden}, 1, type).detach().requires_grad_();
  const at::Tensor weight = normal({kVocabulary, kHidden}, 2).detach().requires_grad_();
  const at::Tensor bias = normal({kVocabulary}, 3).detach().requires_grad_();
  const at::Tensor loss = linear_cross_entropy_sum(x, weight, bias, weight.detach().to(type),
                                                   sparse_targets(), options);
  (loss * 3).backward();
  return {loss.item<double>(), x.grad(), weight.grad(), bias.grad()};
}

Gradients by_definition(at::ScalarType given, const LinearCrossEntropyOptions& options) {
  const at::Tensor x = normal({kRows, kHidden}, 1, given).to(at::kDouble).detach().requires_grad_();
  const at::Tensor weight =
      normal({kVocabulary, kHidden}, 2).to(given).to(at::kDouble).detach().requires_grad_();
  const at::Tensor bias = normal({kVocabulary}, 3).to(at::kDouble).detach().requires_grad_();
  const at::Tensor loss =
      linear_cross_entropy_sum_reference(x, weight, bias, sparse_targets(), options);
  (loss * 3).backward();
  return {loss.item<double>(), x.grad(), weight.grad(), bias.grad()};
}

TEST(KernelsLinearCrossEntropy, EqualsTheDefinitionInDoubleWhateverTheChunk) {
  for (const double smoothing : {0.0, 0.1}) {
    for (const int64_t chunk : {1, 7, 46, 47, 1000}) {  // 46 rows have a target
      const LinearCrossEntropyOptions options{.label_smoothing = smoothing, .chunk_rows = chunk};
      const Gradients actual = by_chunks(at::kFloat, options),
                      expected = by_definition(at::kFloat, options);
      EXPECT_NEAR(actual.loss / expected.loss, 1, 1e-6) << chunk;
      EXPECT_LT(error(actual.x, expected.x), 3e-6) << chunk;
      EXPECT_LT(error(actual.weight, expected.weight), 3e-6) << chunk;
      EXPECT_LT(error(actual.bias, expected.bias), 3e-6) << chunk;
      EXPECT_EQ(actual.x[0].abs().max().item<float>(), 0);  // no target, no gradient
    }
  }
}

TEST(KernelsLinearCrossEntropy, CapsLogitsAndTheirGradients) {
  for (const double cap : {0.5, 4.0, 30.0}) {
    const LinearCrossEntropyOptions options{
        .label_smoothing = 0.1, .soft_cap = cap, .chunk_rows = 7};
    const Gradients actual = by_chunks(at::kFloat, options),
                    expected = by_definition(at::kFloat, options),
                    rounded = by_chunks(at::kBFloat16, options),
                    expected_rounded = by_definition(at::kBFloat16, options);
    EXPECT_NEAR(actual.loss / expected.loss, 1, 1e-6) << cap;
    EXPECT_LT(error(actual.x, expected.x), 1e-5) << cap;
    EXPECT_LT(error(actual.weight, expected.weight), 1e-5) << cap;
    EXPECT_LT(error(actual.bias, expected.bias), 1e-5) << cap;
    EXPECT_NEAR(rounded.loss / expected_rounded.loss, 1, 2e-3) << cap;
    EXPECT_LT(error(rounded.weight, expected_rounded.weight), 4e-2) << cap;
  }
}

// Sizes that bf16 products of blocks take: the gradient of the weight is added up in fp32.
TEST(KernelsLinearCrossEntropy, AddsUpBf16ChunksOfWholeBlocks) {
  const at::Tensor weight = normal({96, 32}, 2), targets = at::arange(70, at::kLong) % 96,
                   x = normal({70, 32}, 1, at::kBFloat16);
  const auto gradient = [&](int64_t chunk) {
    const at::Tensor leaf = weight.detach().clone().requires_grad_();
    linear_cross_entropy_sum(x, leaf, {}, weight.to(at::kBFloat16), targets, {.chunk_rows = chunk})
        .backward();
    return leaf.grad();
  };
  EXPECT_LT(error(gradient(16), gradient(1000)), 1e-5);
}

TEST(KernelsLinearCrossEntropy, Bf16IsTheSameButForRounding) {
  const Gradients actual = by_chunks(at::kBFloat16, {.chunk_rows = 16}),
                  expected = by_definition(at::kBFloat16, {});
  EXPECT_NEAR(actual.loss / expected.loss, 1, 2e-3);
  EXPECT_LT(error(actual.x, expected.x), 2e-2);
  EXPECT_LT(error(actual.weight, expected.weight), 2e-2);
  EXPECT_LT(error(actual.bias, expected.bias), 2e-2);
  EXPECT_EQ(actual.weight.scalar_type(), at::kFloat);
}

TEST(KernelsLinearCrossEntropy, AddsToTheGradientOfALeafInItsPlace) {
  const at::Tensor x = normal({kRows, kHidden}, 1),
                   weight = normal({kVocabulary, kHidden}, 2).requires_grad_();
  const auto loss = [&] {
    return linear_cross_entropy_sum(x, weight, {}, weight.detach(), sparse_targets());
  };
  const at::Tensor asked = torch::autograd::grad({loss()}, {weight})[0];
  EXPECT_FALSE(weight.grad().defined());  // asked for, not added
  loss().backward();
  const void* const place = weight.grad().const_data_ptr();
  EXPECT_TRUE(weight.grad().equal(asked));
  (loss() * 2).backward();
  EXPECT_EQ(weight.grad().const_data_ptr(), place);
  EXPECT_LT(error(weight.grad(), 3 * asked), 1e-6);
}

// The lookups' gradient goes where the output's is: there is one of the table's size, not two.
TEST(KernelsLinearCrossEntropy, ATiedTableHasOneGradient) {
  const at::Tensor ids = at::arange(kRows, at::kLong) * 11 % kVocabulary,
                   table = normal({kVocabulary, kHidden}, 2).requires_grad_(),
                   wide = table.detach().to(at::kDouble).requires_grad_();
  const auto rows = c10::make_intrusive<TableRows>();
  for (int pass = 0; pass < 2; ++pass)
    linear_cross_entropy_sum(embedding(table, ids, rows), table, {}, table.detach(),
                             sparse_targets())
        .backward();
  linear_cross_entropy_sum_reference(at::embedding(wide, ids), wide, {}, sparse_targets())
      .backward();
  EXPECT_LT(error(table.grad(), 2 * wide.grad()), 3e-6);
  EXPECT_EQ(rows->touched(table.grad()), nullptr);  // any row may have one
}

TEST(KernelsLinearCrossEntropy, NoTargetAtAllGivesZero) {
  const at::Tensor x = normal({4, kHidden}, 1).requires_grad_(),
                   weight = normal({kVocabulary, kHidden}, 2);
  const at::Tensor loss =
      linear_cross_entropy_sum(x, weight, {}, weight, at::full({4}, -100, at::kLong));
  EXPECT_EQ(loss.item<float>(), 0);
  loss.backward();
  EXPECT_EQ(x.grad().abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace hone::kernels
