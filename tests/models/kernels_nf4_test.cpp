// Weights in 4 bits beside bitsandbytes: tests/golden/nf4.py wrote what it makes of them.
#include "models/kernels/nf4.h"
#include "models/kernels/product.h"
#include "models/kernels_testing.h"
#include "models/weights.h"

namespace hone::kernels {
namespace {

using testing::error;
using testing::normal;
using testing::on_every_target;

const char* const kGoldenNf4 = "tests/golden/nf4.safetensors";
constexpr int kWeights = 4;

at::Tensor values_of(const Nf4& weight, at::ScalarType type = at::kFloat) {
  at::Tensor values = at::empty({weight.rows, weight.columns}, type);
  write_nf4(weight, values);
  return values;
}

bool is_same(const at::Tensor& one, const at::Tensor& other) {  // -0 is not 0
  return one.flatten().view(at::kInt).equal(other.flatten().view(at::kInt));
}

class Nf4Golden : public ::testing::TestWithParam<int> {
 protected:
  const StateDict golden_ = read_safetensors(kGoldenNf4);
  const at::Tensor& part(const std::string& name) const {
    return golden_.at(std::to_string(GetParam()) + "." + name);
  }
  at::Tensor weight() const { return part("weight").to(at::kFloat); }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Nf4Golden, ::testing::Range(0, kWeights));

// The large one is kept with double quantisation alone.
class Nf4PlainGolden : public Nf4Golden {};
INSTANTIATE_TEST_SUITE_P(Kernels, Nf4PlainGolden, ::testing::Range(0, kWeights - 1));

TEST_P(Nf4PlainGolden, CodesAndScalesAreBitsandbytes) {
  on_every_target([&] {
    const Nf4 plain = to_nf4(weight(), /*double_quant=*/false);
    EXPECT_TRUE(plain.packed.equal(part("plain.packed")));
    EXPECT_TRUE(is_same(plain.scales, part("plain.absmax")));
    EXPECT_TRUE(is_same(values_of(plain), part("plain.values")));
  });
}

// The mean of the scales is a sum, whose order is the processor's: the last bit may be another
// one elsewhere.
TEST_P(Nf4Golden, ScalesInEightBitsAreBitsandbytes) {
  const Nf4 nested = to_nf4(weight(), /*double_quant=*/true);
  EXPECT_TRUE(nested.packed.equal(part("nested.packed")));
  EXPECT_TRUE(nested.scale_codes.equal(part("nested.absmax").flatten()));
  EXPECT_LT(error(nested.scale_scales, part("nested.absmax2")), 1e-6);
  EXPECT_NEAR(nested.scale_mean, part("nested.offset").item<float>(), 1e-6);
}

TEST_P(Nf4Golden, ValuesWithScalesInEightBitsAreBitsandbytes) {
  on_every_target([&] {
    const Nf4 nested{.rows = weight().size(0),
                     .columns = weight().size(1),
                     .packed = part("nested.packed"),
                     .scale_codes = part("nested.absmax").flatten(),
                     .scale_scales = part("nested.absmax2"),
                     .scale_mean = part("nested.offset").item<float>()};
    EXPECT_TRUE(is_same(values_of(nested), part("nested.values")));
    EXPECT_TRUE(values_of(nested, at::kBFloat16).equal(part("nested.values").to(at::kBFloat16)));
  });
}

TEST(Nf4, CodeOfScalesIsBitsandbytes) {
  const StateDict golden = read_safetensors(kGoldenNf4);
  EXPECT_LT(error(scale_code_values(), golden.at("code2")), 1e-7);
}

TEST(Nf4, TakesFourBitsAndAHalf) {
  const Nf4 plain = to_nf4(normal({256, 512}, 1), false),
            nested = to_nf4(normal({256, 512}, 1), true);
  EXPECT_EQ(plain.bytes(), 256 * 512 / 2 + 2048 * 4);
  EXPECT_EQ(nested.bytes(), 256 * 512 / 2 + 2048 + 8 * 4);
}

// bitsandbytes errs by 0.0922 of the deviation of a normal distribution.
TEST(Nf4, ErrsByATenthOfTheDeviation) {
  const at::Tensor weight = normal({300, 512}, 3);
  for (const bool double_quant : {false, true}) {
    const at::Tensor rest = values_of(to_nf4(weight, double_quant)) - weight;
    const double size = rest.square().mean().sqrt().item<double>();
    EXPECT_NEAR(size, 0.0922, 0.002) << double_quant;
  }
}

TEST(Nf4, EqualScalesAndZerosComeBackAsTheyAre) {
  const at::Tensor zeros = at::zeros({4, 64}), ones = at::ones({2, 64});
  for (const bool double_quant : {false, true}) {
    EXPECT_EQ(values_of(to_nf4(zeros, double_quant)).abs().max().item<float>(), 0);
    EXPECT_TRUE(values_of(to_nf4(ones, double_quant)).equal(ones));
  }
}

// Layers of equal input, of which panels hold rows of two, and rows begin within a block or a byte.
struct Nf4Layers {
  std::vector<Nf4> parts;
  at::Tensor values;  // fp32, one below the other

  Nf4Layers(std::initializer_list<int64_t> rows, int64_t columns) {
    std::vector<at::Tensor> all;
    for (const int64_t count : rows) {
      parts.push_back(to_nf4(normal({count, columns}, static_cast<uint64_t>(count)), true));
      all.push_back(values_of(parts.back()));
    }
    values = at::cat(all);
  }
};

TEST(Nf4, ProductsThatWritePanelsEqualThoseOfTheWholeWeight) {
  on_every_target([] {
    for (const Nf4Layers& layers :
         {Nf4Layers({70, 33}, 101), Nf4Layers({96, 48, 16}, 144), Nf4Layers({5}, 8)}) {
      const Nf4Weight weight(layers.parts);
      const at::Tensor bias = normal({weight.rows()}, 5);
      for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        for (const int64_t rows : {3, 77}) {
          const at::Tensor x = normal({rows, weight.columns()}, 6, type);
          EXPECT_TRUE(product(x, weight, bias).equal(product(x, layers.values.to(type), bias)))
              << weight.columns() << " columns, " << rows << " rows, " << type;
        }
      }
    }
  });
}

TEST(Nf4, GradientsThatWritePanelsEqualThoseOfTheWholeWeight) {
  const Nf4Layers layers({96, 48, 16}, 144);
  const Nf4Weight weight(layers.parts);
  const at::Tensor g = normal({77, 160}, 7, at::kBFloat16), whole = layers.values.to(at::kBFloat16);
  EXPECT_EQ(has_product_gradients(g, weight), has_product_gradients(g, whole));
  if (!has_product_gradients(g, weight)) GTEST_SKIP() << "this processor multiplies no bf16";
  EXPECT_TRUE(product_input_gradient(g, weight).equal(product_input_gradient(g, whole)));
}

TEST(Nf4, RefusesOtherThanAMatrixInFp32) {
  EXPECT_THROW(to_nf4(at::zeros({64}), false), c10::Error);
  EXPECT_THROW(to_nf4(at::zeros({2, 64}, at::kBFloat16), false), c10::Error);
  const Nf4 weight = to_nf4(at::ones({2, 64}), false);
  EXPECT_THROW(write_nf4(weight, at::zeros({64, 2})), c10::Error);
  EXPECT_THROW(product(at::zeros({3, 2}), Nf4Weight({weight}), std::nullopt), c10::Error);
}

}  // namespace
}  // namespace hone::kernels
