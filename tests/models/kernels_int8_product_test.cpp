#include <cmath>
#include <limits>

#include "models/kernels/int8_product.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::error;
using testing::normal;
using testing::on_every_target;

Int8Rows rounded(const at::Tensor& x) {
  const Int8Rows result{at::empty(x.sizes(), at::kChar), at::empty({x.size(0)})};
  round_rows(x, result);
  return result;
}

TEST(Int8Product, RoundsEachRowToItsLargestNumber) {
  on_every_target([] {
    const at::Tensor x = at::tensor({0.5f, -1.27f, 0.014f, 0.016f, 0.0f, 0.0f, 0.0f, 0.0f, 3e38f,
                                     -1e38f, 1.0f, 0.0f})
                             .view({3, 4});
    const Int8Rows r = rounded(x);
    EXPECT_TRUE(r.values.equal(
        at::tensor({50, -127, 1, 2, 0, 0, 0, 0, 127, -42, 0, 0}, at::kChar).view({3, 4})))
        << r.values;
    EXPECT_LT(error(r.scales, at::tensor({0.01f, 0.0f, 3e38f / 127})), 1e-6);
  });
}

TEST(Int8Product, RoundsToFewerLevelsWhereAsked) {
  on_every_target([] {
    const at::Tensor x = at::tensor({0.63f, -0.31f, 0.004f}).view({1, 3});
    const Int8Rows r{at::empty(x.sizes(), at::kChar), at::empty({1})};
    round_rows(x, r, 63);
    EXPECT_TRUE(r.values.equal(at::tensor({63, -31, 0}, at::kChar).view({1, 3}))) << r.values;
    EXPECT_LT(error(r.scales, at::tensor({0.01f})), 1e-6);
  });
  EXPECT_TRUE(weight_levels() == 127 || weight_levels() == 63);
}

TEST(Int8Product, AgreesWithItsReference) {
  on_every_target([] {
    for (const auto& [rows, in, out] :
         {std::tuple{1, 1, 1}, {1, 384, 5}, {7, 17, 33}, {130, 384, 384}, {64, 1536, 100}}) {
      const at::Tensor x = normal({rows, in}, 1), bias = normal({out}, 2);
      const Int8Rows weight = rounded(normal({out, in}, 3));
      for (const at::Tensor& b : {bias, at::Tensor()}) {
        // One number on the border between two whole ones may be rounded either way: a step of it
        // is 1/127 of a weight.
        EXPECT_LT(error(int8_product(x, weight, b), int8_product_reference(x, weight, b)), 2e-3)
            << rows << " " << in << " " << out;
      }
    }
  });
}

at::Tensor input_gradient_reference(const at::Tensor& g, const Int8Rows& weight) {
  const at::Tensor factored = g.to(at::kDouble) * weight.scales.to(at::kDouble),
                   scale = std::get<0>(factored.abs().max(1, true)) / 127;
  return at::mm(at::round(factored / scale), weight.values.to(at::kDouble)) * scale;
}

TEST(Int8Product, InputGradientAgreesWithItsDefinition) {
  on_every_target([] {
    for (const auto& [rows, in, out] :
         {std::tuple{1, 5, 3}, {7, 33, 17}, {130, 384, 384}, {64, 100, 1536}}) {
      const Int8Rows weight = rounded(normal({out, in}, 3));
      for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        const at::Tensor g = normal({rows, out}, 1, type), result = int8_input_gradient(g, weight),
                         wanted = input_gradient_reference(g, weight);
        EXPECT_EQ(result.scalar_type(), type);
        EXPECT_LT(error(result, wanted), type == at::kFloat ? 4e-3 : 1e-2)
            << rows << " " << in << " " << out;
        const at::Tensor exact =
            at::mm(g.to(at::kDouble), weight.values.to(at::kDouble) * weight.scales.unsqueeze(1));
        EXPECT_LT(((result - exact).norm() / exact.norm()).item<double>(), 0.015);
      }
    }
  });
}

TEST(Int8Product, ARowsGradientDoesNotDependOnOtherRows) {
  const Int8Rows weight = rounded(normal({96, 64}, 3));
  const at::Tensor g = normal({40, 96}, 1), whole = int8_input_gradient(g, weight);
  for (const int64_t row : {0, 17, 39})
    EXPECT_TRUE(int8_input_gradient(g.narrow(0, row, 1), weight).equal(whole.narrow(0, row, 1)));
}

TEST(Int8Product, RowsInBf16GiveWhatTheirWidenedValuesGive) {
  on_every_target([] {
    const at::Tensor x = normal({33, 100}, 1, at::kBFloat16), bias = normal({50}, 2);
    const Int8Rows weight = rounded(normal({50, 100}, 3));
    const at::Tensor y = int8_product(x, weight, bias);
    EXPECT_EQ(y.scalar_type(), at::kBFloat16);
    EXPECT_TRUE(y.equal(int8_product(x.to(at::kFloat), weight, bias).to(at::kBFloat16)));
  });
}

// Few rows go another way than many.
TEST(Int8Product, OfARowIsTheSameBitsWhateverRowsAreBesideIt) {
  on_every_target([] {
    for (const auto& [in, out] : {std::pair{31, 7}, {64, 40}, {577, 130}}) {
      const at::Tensor x = normal({40, in}, 1), bias = normal({out}, 2);
      const Int8Rows weight = rounded(normal({out, in}, 3));
      const at::Tensor all = int8_product(x, weight, bias);
      for (int64_t rows = 1; rows < 12; ++rows)
        EXPECT_TRUE(at::equal(int8_product(x.slice(0, 3, 3 + rows), weight, bias),
                              all.slice(0, 3, 3 + rows)))
            << rows << " rows of " << in;
    }
  });
}

TEST(Int8Product, IsNearTheProductItStandsFor) {
  const at::Tensor x = normal({200, 384}, 1), w = normal({300, 384}, 2), bias = normal({300}, 3),
                   exact = at::linear(x, w, bias);
  const double off =
      ((int8_product(x, rounded(w), bias) - exact).norm() / exact.norm()).item<double>();
  EXPECT_LT(off, 0.015);
  EXPECT_GT(off, 1e-4);  // else nothing was rounded
}

TEST(Int8Product, ARowThatIsNotFiniteIsNotANumberAndSpoilsNoOther) {
  on_every_target([] {
    for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
      for (const int64_t place : {0, 3, 20}) {
        at::Tensor x = normal({3, 21}, 1);
        const Int8Rows weight = rounded(normal({4, 21}, 2));
        const at::Tensor clean = int8_product(x, weight, {});
        x[1][place] = bad;
        const at::Tensor y = int8_product(x, weight, {});
        EXPECT_TRUE(y[1].isnan().all().item<bool>());
        EXPECT_TRUE(y[0].equal(clean[0]) && y[2].equal(clean[2]));
      }
    }
  });
}

TEST(Int8Product, OfNoRowsIsEmpty) {
  EXPECT_EQ(int8_product(at::empty({0, 8}), rounded(normal({4, 8}, 1)), {}).sizes(),
            at::IntArrayRef({0, 4}));
}

}  // namespace
}  // namespace hone::kernels
