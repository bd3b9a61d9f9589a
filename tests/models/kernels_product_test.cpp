#include <ATen/Parallel.h>

#include "models/kernels/kept_memory.h"
#include "models/kernels/product.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::error;
using testing::normal;
using testing::on_every_target;

at::Tensor bf16(at::IntArrayRef shape, uint64_t seed) { return normal(shape, seed, at::kBFloat16); }

// The fp32 products of the same rounded operands.
struct Exact {
  at::Tensor y, dx, dw;
};
Exact exact(const at::Tensor& x, const at::Tensor& w, const at::Tensor& g, const at::Tensor& bias) {
  const at::Tensor a = x.to(at::kFloat), b = w.to(at::kFloat), c = g.to(at::kFloat);
  return {at::mm(a, b.t()) + bias, at::mm(c, b), at::mm(c.t(), a)};
}

class Product : public ::testing::Test {
  void SetUp() override {
    if (!has_product_gradients(bf16({1, 16}, 1), bf16({16, 16}, 2)))
      GTEST_SKIP() << "this processor does not multiply bf16";
  }
};

TEST_F(Product, AgreesWithFp32) {
  on_every_target([] {
    // Rows around a block and around what a weight gradient sums at a time; panels of 16 to 64
    // columns; a depth beyond one block product's.
    for (const auto& [rows, in, out] : {std::tuple{1, 16, 16},
                                        {7, 32, 80},
                                        {64, 64, 64},
                                        {65, 400, 48},
                                        {480, 48, 112},
                                        {481, 48, 112},
                                        {512, 80, 64},
                                        {1100, 80, 64},
                                        {9, 4112, 32},
                                        {40, 32, 4112}}) {
      SCOPED_TRACE(::testing::Message() << rows << " rows, " << in << " to " << out);
      const at::Tensor x = bf16({rows, in}, 1), w = bf16({out, in}, 2), g = bf16({rows, out}, 3),
                       bias = normal({out}, 4);
      const Exact expected = exact(x, w, g, bias);
      EXPECT_LT(error(product(x, w, bias), expected.y), 1.0 / 256);
      EXPECT_LT(error(product(x, w, std::nullopt), expected.y - bias), 1.0 / 256);
      EXPECT_LT(error(product_input_gradient(g, w), expected.dx), 1.0 / 256);
      const at::Tensor dw = product_weight_gradient(g, x);
      EXPECT_EQ(dw.scalar_type(), at::kFloat);
      EXPECT_LT(error(dw, expected.dw), 1e-5);
    }
  });
}

TEST_F(Product, BitsDoNotDependOnThreads) {
  const at::Tensor x = bf16({700, 400}, 1), w = bf16({208, 400}, 2), g = bf16({700, 208}, 3);
  const int threads = at::get_num_threads();
  const auto all = [&] {
    return std::vector{product(x, w, std::nullopt), product_input_gradient(g, w),
                       product_weight_gradient(g, x)};
  };
  const auto before = all();
  for (const int other : {1, 2, 5}) {
    at::set_num_threads(other);
    const auto now = all();
    for (size_t i = 0; i < now.size(); ++i)
      EXPECT_TRUE(now[i].equal(before[i])) << other << " threads, product " << i;
  }
  at::set_num_threads(threads);
}

TEST_F(Product, OfBf16MayBeFp32) {
  for (const int64_t out : {48, 33}) {
    const at::Tensor x = bf16({70, 32}, 1), w = bf16({out, 32}, 2), bias = normal({out}, 3);
    const at::Tensor wide = product(x, w, bias, at::kFloat);
    EXPECT_LT(error(wide, at::mm(x.to(at::kFloat), w.to(at::kFloat).t()) + bias), 1e-5);
    EXPECT_TRUE(product(x, w, bias).equal(wide.to(at::kBFloat16)));
  }
  EXPECT_THROW(product(normal({2, 32}, 1), normal({16, 32}, 2), std::nullopt, at::kBFloat16),
               c10::Error);
}

TEST_F(Product, AGradientIsAddedToASum) {
  const at::Tensor x = bf16({490, 32}, 1), g = bf16({490, 48}, 2), sum = normal({48, 32}, 3);
  const at::Tensor expected = sum + product_weight_gradient(g, x);
  add_product_weight_gradient(g.narrow(0, 0, 0), x.narrow(0, 0, 0), sum);
  add_product_weight_gradient(g, x, sum);
  EXPECT_LT(error(sum, expected), 1e-5);
  EXPECT_THROW(add_product_weight_gradient(g, x, normal({32, 48}, 3)), c10::Error);
}

// A gradient of a MiB or more goes to memory that an earlier one of its size has left.
TEST(KeptMemory, IsUsedAgainForTheSameSizeUntilItIsReleased) {
  const at::Tensor held = kept_empty({512, 512});
  at::Tensor first = kept_empty({512, 512});
  const void* const place = first.const_data_ptr();
  first.fill_(3);
  first.reset();
  EXPECT_NE(kept_empty({513, 512}).const_data_ptr(), place);
  EXPECT_EQ(kept_empty({1024, 256}).const_data_ptr(), place);
  release_kept_memory();
  EXPECT_EQ(kept_empty({512, 512}).sum().item<float>(), 0);  // new to the process
  held.fill_(1);                                             // what is used stays
}

TEST_F(Product, TakesRowsThatAreNotContiguousAndNone) {
  const at::Tensor wide = bf16({30, 64}, 1), x = wide.narrow(1, 32, 32), w = bf16({48, 32}, 2),
                   g = bf16({30, 48}, 3);
  const at::Tensor bias = normal({96}, 4).slice(0, 0, 96, 2);
  EXPECT_TRUE(product(x, w, bias).equal(product(x.contiguous(), w, bias.contiguous())));
  EXPECT_TRUE(product_weight_gradient(g, x).equal(product_weight_gradient(g, x.contiguous())));
  EXPECT_EQ(product(x.narrow(0, 0, 0), w, std::nullopt).sizes(), at::IntArrayRef({0, 48}));
  EXPECT_TRUE(
      product_weight_gradient(g.narrow(0, 0, 0), x.narrow(0, 0, 0)).equal(at::zeros({48, 32})));
}

TEST_F(Product, RefusesSizesAndTypesThatDoNotAgree) {
  const at::Tensor w = bf16({48, 32}, 1);
  EXPECT_THROW(product(bf16({3, 64}, 2), w, std::nullopt), c10::Error);
  EXPECT_THROW(product(bf16({3, 1, 32}, 2), w, std::nullopt), c10::Error);
  EXPECT_THROW(product(bf16({3, 32}, 2), w, normal({32}, 3)), c10::Error);
  EXPECT_THROW(product_input_gradient(bf16({3, 32}, 2), w), c10::Error);
  EXPECT_THROW(product_weight_gradient(bf16({3, 48}, 2), bf16({4, 32}, 3)), c10::Error);
  EXPECT_THROW(product_weight_gradient(normal({3, 48}, 2), bf16({3, 32}, 3)), c10::Error);
}

TEST_F(Product, KeepsWhatIsNotANumber) {
  at::Tensor x = at::ones({2, 32}, at::kBFloat16), bias = at::zeros({16});
  x[1][5] = NAN;
  bias.view(at::kInt)[3] = 0x7fffffff;  // a NaN that rounding by addition would turn into a zero
  const at::Tensor y = product(x, at::ones({16, 32}, at::kBFloat16), bias);
  EXPECT_TRUE(y[1].isnan().all().item<bool>());
  EXPECT_TRUE(y[0][3].isnan().item<bool>());
  EXPECT_EQ(y[0].isnan().sum().item<int64_t>(), 1);
}

TEST(ProductKernel, AgreesWithExactProductsInBothTypesAndAllSizes) {
  on_every_target([] {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const auto& [rows, in, out] :
           {std::tuple{1, 1, 1}, {3, 40, 5}, {70, 312, 118}, {65, 33, 66}, {2, 5000, 17}}) {
        SCOPED_TRACE(::testing::Message() << rows << " rows, " << in << " to " << out);
        const at::Tensor x = normal({rows, in}, 1, type), w = normal({out, in}, 2, type),
                         bias = normal({out}, 3),
                         exact = at::linear(x.to(at::kDouble), w.to(at::kDouble)),
                         y = product(x, w, bias);
        EXPECT_EQ(y.scalar_type(), type);
        const double allowed = type == at::kFloat ? 1e-5 : 1.0 / 256;
        EXPECT_LT(error(y, exact + bias), allowed);
        EXPECT_LT(error(product(x, w, std::nullopt), exact), allowed);
      }
    }
  });
}

// A decoder's normalised states may have a channel that outweighs all others together: a single
// chain of sums would round every later product to its size (5e-7 here).
TEST(ProductKernel, KeepsDigitsBesideAMassiveChannel) {
  on_every_target([] {
    for (const int64_t rows : {2, 30}) {
      at::Tensor x = normal({rows, 4096}, 1) * 1e-3;
      x.select(1, 5).fill_(24);
      const at::Tensor w = normal({200, 4096}, 2), wide = w.to(at::kDouble),
                       exact = at::linear(x.to(at::kDouble), wide),
                       difference = product(x, w, std::nullopt).to(at::kDouble) - exact;
      const at::Tensor error = difference.square().mean().sqrt() / exact.abs().max();
      EXPECT_LT(error.item<double>(), 2.5e-7) << rows << " rows";
    }
  });
}

TEST(ProductKernel, LeavesOtherTypesAlone) {
  EXPECT_FALSE(has_product(normal({4, 32}, 1), bf16({32, 32}, 2)));
  EXPECT_FALSE(has_product(normal({4, 32}, 1, at::kDouble), normal({32, 32}, 2, at::kDouble)));
  EXPECT_FALSE(has_product(bf16({4, 32}, 1), bf16({0, 32}, 2)));
  EXPECT_FALSE(has_product_gradients(normal({4, 32}, 1), normal({32, 32}, 2)));
  EXPECT_FALSE(has_product_gradients(bf16({4, 40}, 1), bf16({32, 40}, 2)));
  EXPECT_FALSE(has_product_gradients(bf16({4, 32}, 1), bf16({3, 32}, 2)));
}

}  // namespace
}  // namespace hone::kernels
