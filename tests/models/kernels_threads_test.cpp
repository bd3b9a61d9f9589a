// Every kernel gives the same bits whatever the number of threads, on inputs large enough to be
// shared among them.
#include <ATen/Parallel.h>

#include <functional>
#include <vector>

#include "models/kernels/activation.h"
#include "models/kernels/attention.h"
#include "models/kernels/bias.h"
#include "models/kernels/cross_entropy.h"
#include "models/kernels/dropout.h"
#include "models/kernels/embedding.h"
#include "models/kernels/int8_product.h"
#include "models/kernels/norm.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::normal;
using Tensors = std::vector<at::Tensor>;

constexpr int64_t kManyRows = 700, kManyColumns = 384;

at::Tensor leaf(const at::Tensor& x) { return x.detach().clone().requires_grad_(); }

// The value of `kernel` at the inputs, and the gradient of each of them.
Tensors value_and_gradients(const std::function<at::Tensor(const Tensors&)>& kernel,
                            const Tensors& inputs) {
  Tensors leaves, result;
  for (const at::Tensor& x : inputs) leaves.push_back(leaf(x));
  const at::Tensor y = kernel(leaves);
  y.backward(normal(y.sizes(), 99, y.scalar_type()));
  result.push_back(y.detach());
  for (const at::Tensor& x : leaves) result.push_back(x.grad());
  return result;
}

void expect_same_on_any_threads(const std::function<Tensors()>& run) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const Tensors expected = run();
  for (const int threads : {2, 3, 8}) {
    at::set_num_threads(threads);
    for (int turn = 0; turn < 3; ++turn) {
      const Tensors actual = run();
      ASSERT_EQ(actual.size(), expected.size());
      for (size_t i = 0; i < actual.size(); ++i)
        EXPECT_TRUE(actual[i].equal(expected[i]))
            << "tensor " << i << " on " << threads << " threads";
    }
  }
  at::set_num_threads(before);
}

class KernelsThreads : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  at::Tensor input(at::IntArrayRef shape, uint64_t seed) const {
    return normal(shape, seed, GetParam());
  }
};
INSTANTIATE_TEST_SUITE_P(Types, KernelsThreads, ::testing::Values(at::kFloat, at::kBFloat16),
                         [](const auto& info) { return std::string(at::toString(info.param)); });

DropoutOptions some_dropout() {
  return {.p = 0.1, .seed = 5, .site = 3, .keys = at::arange(kManyRows) * 7};
}

TEST_P(KernelsThreads, Attention) {
  std::vector<int32_t> starts = {0};
  for (int32_t length = 1; starts.back() < kManyRows; length = length * 2 + 1)
    starts.push_back(std::min<int32_t>(kManyRows, starts.back() + length));
  const at::Tensor cu_seqlens = at::tensor(starts, at::kInt);
  AttentionOptions options;
  options.dropout = 0.1, options.seed = 5, options.site = 3,
  options.keys = at::arange(kManyRows) * 7;
  expect_same_on_any_threads([&] {
    return value_and_gradients(
        [&](const Tensors& x) {
          return attention({.joined = x[0], .of_q = {cu_seqlens, kManyRows}}, options);
        },
        {input({kManyRows, 3 * 12, 32}, 1)});
  });
}

TEST_P(KernelsThreads, Norms) {
  const at::Tensor weight = normal({kManyColumns}, 3), bias = normal({kManyColumns}, 4);
  const Tensors inputs = {input({kManyRows, kManyColumns}, 1), input({kManyRows, kManyColumns}, 2),
                          weight, bias};
  expect_same_on_any_threads([&] {
    return value_and_gradients(
        [&](const Tensors& x) {
          return dropout_add_layer_norm(x[0], x[1], x[2], x[3], 1e-12, some_dropout());
        },
        inputs);
  });
  expect_same_on_any_threads([&] {
    return value_and_gradients(
        [&](const Tensors& x) {
          return dropout_add_rms_norm(x[0], x[1], x[2], 1e-6, some_dropout());
        },
        {inputs[0], inputs[1], weight});
  });
}

TEST_P(KernelsThreads, ActivationsDropoutAndBiases) {
  const at::Tensor x = input({kManyRows, kManyColumns}, 1),
                   two = input({kManyRows, 2 * kManyColumns}, 2), bias = normal({kManyColumns}, 3);
  expect_same_on_any_threads([&] {
    return value_and_gradients(
        [&](const Tensors& in) { return bias_activation(in[0], in[1], Activation::kGelu); },
        {x, bias});
  });
  expect_same_on_any_threads([&] {
    return value_and_gradients(
        [&](const Tensors& in) { return gated_activation(in[0], Activation::kSilu); }, {two});
  });
  expect_same_on_any_threads([&] {
    return value_and_gradients([&](const Tensors& in) { return dropout(in[0], some_dropout()); },
                               {x});
  });
  expect_same_on_any_threads([&] {
    at::Tensor y = x.clone();
    add_bias(y, bias);
    return Tensors{y, bias_gradient(x)};
  });
}

TEST_P(KernelsThreads, CrossEntropy) {
  const at::Tensor targets = at::arange(kManyRows) % 50;
  expect_same_on_any_threads([&] {
    return value_and_gradients(
        [&](const Tensors& x) { return cross_entropy_sum(x[0], targets, -100, 0.1); },
        {input({kManyRows, 1000}, 1)});
  });
}

TEST(KernelsThreadsOfFp32, EmbeddingAndInt8) {
  const at::Tensor ids = (at::arange(kManyRows) * 31) % 97,
                   x = normal({kManyRows, kManyColumns}, 1), w = normal({100, kManyColumns}, 2);
  expect_same_on_any_threads([&] {
    return value_and_gradients(
        [&](const Tensors& table) { return kernels::embedding(table[0], ids); },
        {normal({200, kManyColumns}, 3)});
  });
  expect_same_on_any_threads([&] {
    const Int8Rows weight{at::empty(w.sizes(), at::kChar), at::empty({w.size(0)})};
    round_rows(w, weight);
    return Tensors{int8_product(x, weight, {}), weight.values, weight.scales};
  });
}

}  // namespace
}  // namespace hone::kernels
