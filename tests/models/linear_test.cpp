#include "models/layers/linear.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/kernels/activation.h"
#include "models/layers/gated_product.h"
#include "models/layers/packed_weights.h"

namespace hone {
namespace {

double distance(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

// As many rows as x has, of no particular tokens.
Rows rows_of(const at::Tensor& x) {
  Packed tokens;
  tokens.ids = at::zeros({x.size(0)}, at::kLong);
  return Rows(tokens, /*is_training=*/false);
}

at::Tensor run(Linear layer, const at::Tensor& x) { return layer(x, rows_of(x)); }
at::Tensor run(const JoinedLinear& layers, const at::Tensor& x) {
  return layers.forward(x, rows_of(x));
}

TEST(Linear, AgreesWithAtLinearInValueAndGradients) {
  Linear layer(24, 40);
  layer->initialise(0.5, 1);
  {
    const c10::AutoGradMode no_grad(false);
    layer->bias.copy_(at::linspace(-1, 1, 40));
  }
  const at::Tensor x = at::sin(at::arange(17 * 24, at::kFloat)).view({17, 24}).requires_grad_(),
                   upstream = at::cos(at::arange(17 * 40, at::kFloat)).view({17, 40});
  const at::Tensor y = run(layer, x);
  (y * upstream).sum().backward();
  const at::Tensor x2 = x.detach().clone().requires_grad_(),
                   w2 = layer->weight.detach().clone().requires_grad_(),
                   b2 = layer->bias.detach().clone().requires_grad_();
  const at::Tensor y2 = at::linear(x2, w2, b2);
  (y2 * upstream).sum().backward();
  EXPECT_LT(distance(y, y2), 1e-6);
  EXPECT_LT(distance(x.grad(), x2.grad()), 1e-6);
  EXPECT_LT(distance(layer->weight.grad(), w2.grad()), 1e-6);
  EXPECT_LT(distance(layer->bias.grad(), b2.grad()), 1e-6);
  EXPECT_LT(distance(layer->activated(x, rows_of(x), kernels::Activation::kRelu), at::relu(y2)),
            1e-6);
}

TEST(Linear, ProductsReadTheShadowAndGradientsReachTheMaster) {
  Linear layer(24, 40);
  layer->initialise(0.5, 1);
  layer->set_precision(Precision::kBf16);
  const at::Tensor x =
      at::sin(at::arange(17 * 24, at::kFloat)).view({17, 24}).to(at::kBFloat16).requires_grad_();
  const at::Tensor y = run(layer, x);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_LT(distance(y.to(at::kFloat), at::linear(x.to(at::kFloat), layer->weight)), 0.01);
  y.sum().backward();
  EXPECT_EQ(layer->weight.grad().scalar_type(), at::kFloat);
  EXPECT_EQ(layer->bias.grad().scalar_type(), at::kFloat);
  EXPECT_EQ(x.grad().scalar_type(), at::kBFloat16);
  EXPECT_LT(distance(layer->weight.grad(), x.detach().to(at::kFloat).sum(0).expand({40, 24})),
            0.01);
  EXPECT_TRUE(layer->bias.grad().equal(at::full({40}, 17.0f)));

  const c10::AutoGradMode no_grad(false);
  layer->weight.mul_(2);
  EXPECT_TRUE(run(layer, x).equal(y));  // the shadow is as old as its last refresh
  layer->refresh_shadow();
  EXPECT_FALSE(run(layer, x).equal(y));
}

// A bf16 copy that is made for each product has the bits of one that is kept, and is never old.
TEST(Linear, ComputesTheSameWithoutAKeptCopy) {
  Linear kept(24, 40), frugal(24, 40);
  frugal->keep_shadow(false);
  const auto outcome = [](Linear layer) {
    const at::Tensor x =
        at::sin(at::arange(17 * 24, at::kFloat)).view({17, 24}).to(at::kBFloat16).requires_grad_();
    const at::Tensor y = run(layer, x);
    y.backward(at::cos(at::arange(17 * 40, at::kFloat)).view({17, 40}).to(at::kBFloat16));
    std::vector found{y.detach(), x.grad(), layer->weight.grad(), layer->bias.grad()};
    layer->zero_grad();
    return found;
  };
  const auto expect_equal = [&] {
    const auto expected = outcome(kept), found = outcome(frugal);
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(found[i].equal(expected[i])) << i;
  };
  for (Linear layer : {kept, frugal}) {
    layer->initialise(0.5, 1);
    layer->set_precision(Precision::kBf16);
  }
  EXPECT_FALSE(frugal->shadow().defined());
  expect_equal();
  for (Linear layer : {kept, frugal}) {
    const c10::AutoGradMode no_grad(false);
    layer->weight.mul_(1.7);
    if (layer->shadow().defined()) layer->refresh_shadow();
  }
  expect_equal();
  frugal->eval();
  EXPECT_TRUE(frugal->shadow().equal(kept->shadow()));
  expect_equal();
  frugal->train();
  EXPECT_FALSE(frugal->shadow().defined());
}

// A gated activation's value is computed again where it was kept before: to the last bit.
TEST(Linear, BehindAGateHasTheGradientsOfBothInTheirTurn) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    Linear layer(24, 40);
    layer->initialise(0.5, 1);
    layer->set_precision(precision);
    const at::ScalarType type = precision == Precision::kFp32 ? at::kFloat : at::kBFloat16;
    const at::Tensor values = at::sin(at::arange(17 * 48, at::kFloat)).view({17, 48}).to(type);
    const auto outcome = [&](const auto& run_it) {
      const at::Tensor x = values.clone().requires_grad_(), y = run_it(x);
      y.backward(at::cos(at::arange(17 * 40, at::kFloat)).view({17, 40}).to(type));
      std::vector found{y.detach(), x.grad(), layer->weight.grad(), layer->bias.grad()};
      layer->zero_grad();
      return found;
    };
    const auto activation = kernels::Activation::kSilu;
    const auto joined = outcome([&](const at::Tensor& x) {
      return gated_product(layer, x, rows_of(x), activation);
    }),
               apart = outcome([&](const at::Tensor& x) {
                 return run(layer, kernels::gated_activation(x, activation));
               });
    for (size_t i = 0; i < joined.size(); ++i) EXPECT_TRUE(joined[i].equal(apart[i])) << i;
  }
}

TEST(Linear, RefusesOtherRowsThanItIsTold) {
  Linear layer(24, 40);
  const at::Tensor x = at::ones({17, 24});
  EXPECT_THROW(layer(x, rows_of(x.slice(0, 1))), c10::Error);
}

struct FrozenCase {
  BaseForm form;
  double rounding;    // of weights, as a share of the largest
  double products;    // of a product beside that with the rounded weights
  int64_t most_bits;  // of a weight
};

class FrozenLinear : public ::testing::TestWithParam<FrozenCase> {};
INSTANTIATE_TEST_SUITE_P(Linear, FrozenLinear,
                         ::testing::Values(FrozenCase{{WeightForm::kBf16}, 0.004, 1e-6, 16},
                                           FrozenCase{{WeightForm::kInt8}, 0.01, 0.02, 9},
                                           FrozenCase{{WeightForm::kNf4, false}, 0.2, 1e-6, 5},
                                           FrozenCase{{WeightForm::kNf4, true}, 0.2, 1e-6, 5}));

Linear frozen_linear(const BaseForm& form) {
  Linear layer(128, 40);
  layer->initialise(0.5, 1);
  const c10::AutoGradMode no_grad(false);
  layer->bias.copy_(at::linspace(-1, 1, 40));
  layer->bias.set_requires_grad(false);
  layer->freeze_weight(form);
  return layer;
}

TEST_P(FrozenLinear, KeepsAFewBitsOfTheWeightAndNothingElse) {
  Linear full(128, 40);
  full->initialise(0.5, 1);
  const Linear layer = frozen_linear(GetParam().form);
  EXPECT_LT(distance(layer->weight_values(), full->weight.detach()), GetParam().rounding);
  EXPECT_FALSE(layer->weight_values().equal(full->weight));
  EXPECT_EQ(layer->weight.sizes(), full->weight.sizes());
  EXPECT_LE(layer->weight.storage().nbytes(), sizeof(float));
  EXPECT_LE(layer->frozen_weight().bytes() * 8, GetParam().most_bits * 128 * 40);
  EXPECT_FALSE(layer->weight.requires_grad());
}

TEST_P(FrozenLinear, ProductAndInputGradientAreThoseOfTheRoundedWeight) {
  Linear layer = frozen_linear(GetParam().form);
  const at::Tensor weight = layer->weight_values(),
                   x = at::sin(at::arange(17 * 128, at::kFloat)).view({17, 128}).requires_grad_(),
                   upstream = at::cos(at::arange(17 * 40, at::kFloat)).view({17, 40});
  const at::Tensor y = run(layer, x);
  (y * upstream).sum().backward();
  const at::Tensor x2 = x.detach().clone().requires_grad_(),
                   y2 = at::linear(x2, weight, layer->bias);
  (y2 * upstream).sum().backward();
  EXPECT_LT(distance(y, y2), GetParam().products);
  EXPECT_LT(distance(x.grad(), x2.grad()), GetParam().products);
  EXPECT_FALSE(layer->weight.grad().defined());
  layer->set_precision(Precision::kBf16);
  EXPECT_FALSE(layer->shadow().defined());
  const at::Tensor x3 = x.detach().to(at::kBFloat16).requires_grad_(), y3 = run(layer, x3);
  EXPECT_EQ(y3.scalar_type(), at::kBFloat16);
  (y3 * upstream).sum().backward();
  EXPECT_LT(distance(y3.to(at::kFloat), y2), 0.03);
  EXPECT_LT(distance(x3.grad().to(at::kFloat), x2.grad()), 0.03);
}

TEST_P(FrozenLinear, JoinedLayersGiveWhatEachGives) {
  std::vector<Linear> layers, alone;
  for (const int64_t out : {40, 24, 8}) {
    for (auto* all : {&layers, &alone}) all->push_back(Linear(128, out));
  }
  const JoinedLinear joined(layers);
  const at::Tensor x = at::sin(at::arange(17 * 128, at::kFloat)).view({17, 128});
  for (size_t i = 0; i < layers.size(); ++i) {  // joined in part on the way
    for (Linear layer : {layers[i], alone[i]}) {
      layer->initialise(0.5, i);
      layer->bias.set_requires_grad(false);
    }
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i]->freeze_weight(GetParam().form);
    alone[i]->freeze_weight(GetParam().form);
    std::vector<at::Tensor> columns;
    for (const Linear& layer : alone) columns.push_back(run(layer, x));
    EXPECT_LT(distance(run(joined, x), at::cat(columns, 1)), 1e-6) << i;
  }
  for (size_t i = 0; i < layers.size(); ++i)
    EXPECT_TRUE(layers[i]->weight_values().equal(alone[i]->weight_values()));
}

TEST(Linear, InitialisesFromItsSeedAlone) {
  Linear a(300, 100), b(300, 100), c(300, 100);
  a->initialise(0.02, 7), b->initialise(0.02, 7), c->initialise(0.02, 8);
  EXPECT_TRUE(a->weight.equal(b->weight));
  EXPECT_FALSE(a->weight.equal(c->weight));
  EXPECT_NEAR(a->weight.std().item<double>(), 0.02, 0.0005);
  EXPECT_NEAR(a->weight.mean().item<double>(), 0, 0.0005);
  EXPECT_NEAR((a->weight.abs() > 0.04).to(at::kFloat).mean().item<double>(), 0.0455, 0.004);
}

TEST(Linear, Int8IsNearFp32ForInferenceAloneAndCanBeLeftAgain) {
  Linear layer(64, 40);
  layer->initialise(0.5, 1);
  const at::Tensor x = at::sin(at::arange(17 * 64, at::kFloat)).view({17, 64});
  const c10::AutoGradMode no_grad(false);
  const at::Tensor exact = run(layer, x);
  layer->set_precision(Precision::kInt8);
  EXPECT_LT(distance(run(layer, x), exact), 0.02);
  EXPECT_FALSE(run(layer, x).equal(exact));
  {
    const c10::AutoGradMode grad(true);
    EXPECT_THROW(run(layer, x), c10::Error);
  }
  layer->set_precision(Precision::kFp32);
  EXPECT_TRUE(run(layer, x).equal(exact));
}

std::vector<Linear> three_layers(bool has_bias) {
  return {Linear(64, 32, has_bias), Linear(64, 32, has_bias), Linear(64, 16, has_bias)};
}

void fill(std::vector<Linear>& layers) {
  const c10::AutoGradMode no_grad(false);
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i]->initialise(0.5, i);
    if (layers[i]->bias.defined())
      layers[i]->bias.copy_(at::linspace(-1, 1, layers[i]->bias.size(0)));
  }
}

TEST(JoinedLinear, ComputesTheSameWithoutKeptCopies) {
  std::vector<Linear> layers = three_layers(true), frugal = three_layers(true);
  const JoinedLinear joined(layers), of_frugal(frugal);
  fill(layers), fill(frugal);
  const at::Tensor x = at::sin(at::arange(17 * 64, at::kFloat)).view({17, 64}).to(at::kBFloat16);
  for (Linear& layer : frugal) layer->keep_shadow(false);
  for (auto* all : {&layers, &frugal}) {
    for (Linear& layer : *all) layer->set_precision(Precision::kBf16);
  }
  EXPECT_FALSE(frugal[0]->joined_memory()->shadow.defined());
  const at::Tensor expected = run(joined, x);
  EXPECT_TRUE(run(of_frugal, x).equal(expected));
  for (Linear& layer : frugal) layer->eval();
  EXPECT_TRUE(frugal[0]->joined_memory()->shadow.equal(layers[0]->joined_memory()->shadow));
  EXPECT_TRUE(run(of_frugal, x).equal(expected));
  for (Linear& layer : frugal) layer->train();
  EXPECT_FALSE(frugal[0]->joined_memory()->shadow.defined());
}

TEST(JoinedLinear, EqualsItsLayersInEveryPrecisionWithAndWithoutBias) {
  for (const bool has_bias : {true, false}) {
    std::vector<Linear> layers = three_layers(has_bias), alone = three_layers(has_bias);
    const JoinedLinear joined(layers);
    fill(layers), fill(alone);
    const c10::AutoGradMode no_grad(false);
    const at::Tensor x = at::sin(at::arange(17 * 64, at::kFloat)).view({17, 64});
    for (const Precision precision :
         {Precision::kFp32, Precision::kBf16, Precision::kInt8, Precision::kFp32}) {
      const at::Tensor in = precision == Precision::kBf16 ? x.to(at::kBFloat16) : x;
      std::vector<at::Tensor> expected;
      for (size_t i = 0; i < layers.size(); ++i) {
        layers[i]->set_precision(precision), alone[i]->set_precision(precision);
        expected.push_back(run(alone[i], in));
      }
      EXPECT_LT(distance(run(joined, in).to(at::kFloat), at::cat(expected, 1).to(at::kFloat)),
                precision == Precision::kBf16 ? 1e-2 : 1e-6)
          << "bias " << has_bias;
    }
  }
}

struct SomeLayers : torch::nn::Module {
  explicit SomeLayers(std::vector<Linear> layers) {
    for (size_t i = 0; i < layers.size(); ++i)
      register_module("layer" + std::to_string(i), layers[i]);
  }
};

// Sizes that fill neither panels nor steps of the block products, and some that do.
TEST(PackedWeights, GiveTheSameBitsInEveryPrecision) {
  for (const auto& [in, out] : std::vector<std::pair<int64_t, int64_t>>{{128, 128}, {300, 150}}) {
    const std::vector<Linear> layers = {Linear(in, out), Linear(in, out, /*has_bias=*/false)},
                              parts = {Linear(in, 64), Linear(in, 7)};
    const JoinedLinear joined(parts);
    std::vector<Linear> all = {layers[0], layers[1], parts[0], parts[1]};
    SomeLayers module(all);
    fill(all);
    const c10::AutoGradMode no_grad(false);
    for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
      for (Linear layer : all) layer->set_precision(precision);
      for (const int64_t rows : {1, 5, 8, 9, 64, 131}) {
        at::Tensor x = at::sin(at::arange(rows * in, at::kFloat)).view({rows, in});
        if (precision == Precision::kBf16) x = x.to(at::kBFloat16);
        const auto results = [&] {
          return std::vector<at::Tensor>{run(layers[0], x), run(layers[1], x), run(joined, x),
                                         Linear(layers[1])->wide_product(x, layers[0]->bias)};
        };
        const std::vector<at::Tensor> expected = results();
        const PackedWeights packed(module);
        const std::vector<at::Tensor> found = results();
        for (size_t i = 0; i < found.size(); ++i)
          EXPECT_TRUE(found[i].equal(expected[i])) << i << ", rows " << rows << ", in " << in;
      }
    }
  }
}

TEST(PackedWeights, AreUsedAsLongAsTheyLiveAndWhereNothingIsDifferentiated) {
  Linear layer(64, 32);
  layer->initialise(0.5, 1);
  SomeLayers module(std::vector<Linear>{layer});
  const at::Tensor x = at::sin(at::arange(3 * 64, at::kFloat)).view({3, 64});
  const at::Tensor before = run(layer, x).detach();
  auto packed = std::make_unique<const PackedWeights>(module);
  {
    const c10::AutoGradMode no_grad(false);
    layer->weight.mul_(2);  // not while they live, but it shows which is read
    EXPECT_TRUE(run(layer, x).equal(before));
  }
  EXPECT_FALSE(run(layer, x).equal(before));
  packed.reset();
  const c10::AutoGradMode no_grad(false);
  EXPECT_FALSE(run(layer, x).equal(before));
  const PackedWeights again(module);
  layer->set_precision(Precision::kInt8);
  EXPECT_LT(distance(run(layer, x), 2 * before), 0.02);
  EXPECT_FALSE(run(layer, x).equal(2 * before));
}

TEST(JoinedLinear, RefusesLayersOfWhichSomeHaveNoBias) {
  EXPECT_THROW(JoinedLinear({Linear(24, 8, true), Linear(24, 8, false)}), c10::Error);
}

// Module::to gives each parameter memory of its own.
TEST(JoinedLinear, IsJoinedAgainAfterItsLayersWereMoved) {
  std::vector<Linear> layers = {Linear(24, 8), Linear(24, 16)};
  JoinedLinear joined(layers);
  for (size_t i = 0; i < 2; ++i) layers[i]->initialise(0.5, i);
  const c10::AutoGradMode no_grad(false);
  const at::Tensor x = at::sin(at::arange(5 * 24, at::kFloat)).view({5, 24}),
                   before = run(joined, x);
  for (Linear& layer : layers) {
    layer->weight.set_data(layer->weight.detach().clone());
    layer->bias.set_data(layer->bias.detach().clone());
  }
  joined.rejoin();
  EXPECT_TRUE(at::equal(run(joined, x), before));
  layers[1]->weight.mul_(2);
  EXPECT_TRUE(at::equal(run(joined, x).narrow(1, 8, 16), before.narrow(1, 8, 16) * 2))
      << "the layers' memory is the product's again";
}

TEST(JoinedLinear, GradientsAreThoseOfItsLayersWithAndWithoutBias) {
  for (const bool has_bias : {true, false}) {
    std::vector<Linear> layers = three_layers(has_bias), alone = three_layers(has_bias);
    const JoinedLinear joined(layers);
    fill(layers), fill(alone);
    const at::Tensor x = at::sin(at::arange(17 * 64, at::kFloat)).view({17, 64}),
                     upstream = at::cos(at::arange(17 * 80, at::kFloat)).view({17, 80});
    const at::Tensor x1 = x.clone().requires_grad_(), x2 = x.clone().requires_grad_();
    layers[1]->weight.requires_grad_(false);  // a frozen layer beside those that learn
    alone[1]->weight.requires_grad_(false);
    (run(joined, x1) * upstream).sum().backward();
    (at::cat({run(alone[0], x2), run(alone[1], x2), run(alone[2], x2)}, 1) * upstream)
        .sum()
        .backward();
    EXPECT_LT(distance(x1.grad(), x2.grad()), 1e-6);
    EXPECT_FALSE(layers[1]->weight.grad().defined());
    for (const size_t i : {0, 2})
      EXPECT_LT(distance(layers[i]->weight.grad(), alone[i]->weight.grad()), 1e-6);
    for (size_t i = 0; has_bias && i < 3; ++i)
      EXPECT_LT(distance(layers[i]->bias.grad(), alone[i]->bias.grad()), 1e-6);
  }
}

}  // namespace
}  // namespace hone
