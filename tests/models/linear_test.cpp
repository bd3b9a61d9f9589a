#include "models/layers/linear.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace hone {
namespace {

double distance(const at::Tensor& a, const at::Tensor& b) { return ((a - b).abs().max() / b.abs().max()).item<double>(); }

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
  const at::Tensor x2 = x.detach().clone().requires_grad_(), w2 = layer->weight.detach().clone().requires_grad_(),
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
  const at::Tensor x = at::sin(at::arange(17 * 24, at::kFloat)).view({17, 24}).to(at::kBFloat16).requires_grad_();
  const at::Tensor y = layer(x);
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  EXPECT_LT(distance(y.to(at::kFloat), at::linear(x.to(at::kFloat), layer->weight)), 0.01);
  y.sum().backward();
  EXPECT_EQ(layer->weight.grad().scalar_type(), at::kFloat);
  EXPECT_EQ(layer->bias.grad().scalar_type(), at::kFloat);
  EXPECT_EQ(x.grad().scalar_type(), at::kBFloat16);
  EXPECT_LT(distance(layer->weight.grad(), x.detach().to(at::kFloat).sum(0).expand({40, 24})), 0.01);
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

}  // namespace
}  // namespace hone
