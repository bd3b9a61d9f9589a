#include "models/layers/linear.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace hone {
namespace {

double distance(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
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
  const at::Tensor y = layer(x);
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
  EXPECT_LT(distance(layer->forward_without_bias(x) + layer->bias, y2), 1e-6);
}

TEST(Linear, ProductsReadTheShadowAndGradientsReachTheMaster) {
  Linear layer(24, 40);
  layer->initialise(0.5, 1);
  layer->set_precision(Precision::kBf16);
  const at::Tensor x =
      at::sin(at::arange(17 * 24, at::kFloat)).view({17, 24}).to(at::kBFloat16).requires_grad_();
  const at::Tensor y = layer(x);
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
  EXPECT_TRUE(layer(x).equal(y));  // the shadow is as old as its last refresh
  layer->refresh_shadow();
  EXPECT_FALSE(layer(x).equal(y));
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
  const at::Tensor exact = layer(x);
  layer->set_precision(Precision::kInt8);
  EXPECT_LT(distance(layer(x), exact), 0.02);
  EXPECT_FALSE(layer(x).equal(exact));
  {
    const c10::AutoGradMode grad(true);
    EXPECT_THROW(layer(x), c10::Error);
  }
  layer->set_precision(Precision::kFp32);
  EXPECT_TRUE(layer(x).equal(exact));
}

TEST(JoinedLinear, EqualsItsLayersInEveryPrecision) {
  std::vector<Linear> layers = {Linear(64, 32), Linear(64, 32), Linear(64, 16)};
  std::vector<Linear> alone = {Linear(64, 32), Linear(64, 32), Linear(64, 16)};
  const JoinedLinear joined(layers);
  const c10::AutoGradMode no_grad(false);
  for (size_t i = 0; i < layers.size(); ++i) {
    layers[i]->initialise(0.5, i), alone[i]->initialise(0.5, i);
    layers[i]->bias.copy_(at::linspace(-1, 1, layers[i]->bias.size(0)));
    alone[i]->bias.copy_(layers[i]->bias);
  }
  const at::Tensor x = at::sin(at::arange(17 * 64, at::kFloat)).view({17, 64});
  for (const Precision precision :
       {Precision::kFp32, Precision::kBf16, Precision::kInt8, Precision::kFp32}) {
    std::vector<at::Tensor> expected;
    for (size_t i = 0; i < layers.size(); ++i) {
      layers[i]->set_precision(precision), alone[i]->set_precision(precision);
      expected.push_back(alone[i](precision == Precision::kBf16 ? x.to(at::kBFloat16) : x));
    }
    const at::Tensor y = joined.forward(precision == Precision::kBf16 ? x.to(at::kBFloat16) : x);
    EXPECT_LT(distance(y.to(at::kFloat), at::cat(expected, 1).to(at::kFloat)),
              precision == Precision::kBf16 ? 1e-2 : 1e-6);
  }
}

// Module::to gives each parameter memory of its own.
TEST(JoinedLinear, IsJoinedAgainAfterItsLayersWereMoved) {
  std::vector<Linear> layers = {Linear(24, 8), Linear(24, 16)};
  JoinedLinear joined(layers);
  for (size_t i = 0; i < 2; ++i) layers[i]->initialise(0.5, i);
  const c10::AutoGradMode no_grad(false);
  const at::Tensor x = at::sin(at::arange(5 * 24, at::kFloat)).view({5, 24}),
                   before = joined.forward(x);
  for (Linear& layer : layers) {
    layer->weight.set_data(layer->weight.detach().clone());
    layer->bias.set_data(layer->bias.detach().clone());
  }
  joined.rejoin();
  EXPECT_TRUE(at::equal(joined.forward(x), before));
  layers[1]->weight.mul_(2);
  EXPECT_TRUE(at::equal(joined.forward(x).narrow(1, 8, 16), before.narrow(1, 8, 16) * 2))
      << "the layers' memory is the product's again";
}

TEST(JoinedLinear, GradientsAreThoseOfItsLayers) {
  std::vector<Linear> layers = {Linear(24, 8), Linear(24, 8)},
                      alone = {Linear(24, 8), Linear(24, 8)};
  const JoinedLinear joined(layers);
  for (size_t i = 0; i < 2; ++i) layers[i]->initialise(0.5, i), alone[i]->initialise(0.5, i);
  const at::Tensor x = at::sin(at::arange(17 * 24, at::kFloat)).view({17, 24}),
                   upstream = at::cos(at::arange(17 * 16, at::kFloat)).view({17, 16});
  const at::Tensor x1 = x.clone().requires_grad_(), x2 = x.clone().requires_grad_();
  layers[1]->weight.requires_grad_(false);  // a frozen layer beside one that learns
  alone[1]->weight.requires_grad_(false);
  (joined.forward(x1) * upstream).sum().backward();
  (at::cat({alone[0](x2), alone[1](x2)}, 1) * upstream).sum().backward();
  EXPECT_LT(distance(x1.grad(), x2.grad()), 1e-6);
  EXPECT_LT(distance(layers[0]->weight.grad(), alone[0]->weight.grad()), 1e-6);
  EXPECT_FALSE(layers[1]->weight.grad().defined());
  for (size_t i = 0; i < 2; ++i)
    EXPECT_LT(distance(layers[i]->bias.grad(), alone[i]->bias.grad()), 1e-6);
}

}  // namespace
}  // namespace hone
