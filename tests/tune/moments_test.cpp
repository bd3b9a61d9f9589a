#include "tune/optim/moments.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/config.h"
#include "models/kernels_testing.h"
#include "support/errors.h"
#include "tune/optim/adamw.h"
#include "tune/optim/moments_simd.h"
#include "tune/train_options.h"

namespace hone {
namespace {

using kernels::testing::normal;
using kernels::testing::on_every_target;
using testing::HasSubstr;
using testing_support::error_of;

at::Tensor moments_leaf(const at::Tensor& x) { return x.detach().clone().requires_grad_(); }

// ---- codes, beside a plain form of them ----

// Dynamic tree quantization by its definition: the decade is the number of zeros before the
// fraction, and the fraction has the bits that are left. Ascending, without signs.
std::vector<double> levels_by_definition(bool is_root) {
  std::vector<double> levels = {0};
  for (int zeros = 6; zeros >= 0; --zeros) {
    const int fractions = 1 << ((is_root ? 7 : 6) - zeros);
    for (int i = 0; i < fractions; ++i)
      levels.push_back(std::pow(10.0, -zeros) * (0.1 + 0.9 * i / fractions));
  }
  return levels;
}

struct Narrowed {
  at::Tensor codes, scales, values;
};

Narrowed narrowed(const at::Tensor& x, bool is_root, uint32_t key = 1) {
  const int64_t count = x.numel();
  Narrowed n{at::empty({count}, at::kByte), at::empty({(count + kMomentBlock - 1) / kMomentBlock}),
             at::empty({count})};
  const MomentCodes codes{.count = count,
                          .is_root = is_root,
                          .codes = n.codes.mutable_data_ptr<uint8_t>(),
                          .scales = n.scales.mutable_data_ptr<float>()};
  narrow_to_codes(x.const_data_ptr<float>(), {key, 0}, codes);
  widen_codes(codes, n.values.mutable_data_ptr<float>());
  return n;
}

// Values of all sizes: squares of normal numbers over many decades.
at::Tensor wide_values(int64_t count) {
  return normal({count}, 1) * at::pow(10.0, normal({count}, 2)).to(at::kFloat);
}

TEST(Moments, CodesStandForTheLevelsOfTheirDefinition) {
  for (const bool is_root : {false, true}) {
    const std::vector<double> levels = levels_by_definition(is_root);
    ASSERT_EQ(levels.size(), is_root ? 255U : 128U);
    for (size_t code = 0; code < levels.size(); ++code) {
      EXPECT_NEAR(moment_levels(is_root)[code], levels[code], 1e-6 * levels[code]);
      if (is_root) continue;
      EXPECT_EQ(moment_levels(false)[128 + code], -moment_levels(false)[code]);
    }
  }
}

TEST(Moments, AValueBecomesOneOfTheTwoLevelsAroundIt) {
  const at::Tensor x = wide_values(1000);
  for (const bool is_root : {false, true}) {
    const at::Tensor given = is_root ? x.square() : x;
    const std::vector<double> levels = levels_by_definition(is_root);
    on_every_target([&] {
      const Narrowed n = narrowed(given, is_root);
      for (int64_t i = 0; i < x.numel(); ++i) {
        const double scale = n.scales[i / kMomentBlock].item<float>(),
                     wanted = std::abs(x[i].item<double>()) / scale;
        const auto above = std::upper_bound(levels.begin(), levels.end(), wanted * (1 + 1e-5));
        double low = *std::prev(above), high = above == levels.end() ? low : *above;
        if (is_root) low = std::max(low, levels[1]), high = std::max(high, levels[1]);
        const double value = n.values[i].item<double>(),
                     got = (is_root ? std::sqrt(value) : std::abs(value)) / scale;
        EXPECT_GE(got, low * (1 - 2e-5)) << i;
        EXPECT_LE(got, high * (1 + 2e-5)) << i;
        if (is_root || got == 0) continue;
        EXPECT_EQ(value < 0, x[i].item<float>() < 0) << i;
      }
    });
  }
}

TEST(Moments, TheLargestOfABlockIsExactAndZerosStay) {
  at::Tensor x = at::zeros({600});
  x[3] = -0.7, x[300] = 1e-20, x[301] = -1e-24;
  for (const bool is_root : {false, true}) {
    const at::Tensor values = narrowed(is_root ? x.abs() : x, is_root).values;
    EXPECT_NEAR(values[3].item<float>(), is_root ? 0.7 : -0.7, 1e-6);
    EXPECT_NEAR(values[300].item<double>() / 1e-20, 1, 1e-5);
    EXPECT_EQ(values.slice(0, 512).abs().sum().item<float>(), 0);  // a block of none
  }
}

// The mean of many roundings is the value, for small ones beside large ones too.
TEST(Moments, RoundingKeepsTheMean) {
  constexpr int kRoundings = 4000;
  const at::Tensor x =
      at::tensor({1.0, 0.5031, -0.0777, 0.004321, -1.07e-5, 3.3e-8}).to(at::kFloat);
  at::Tensor of_codes = at::zeros({6}, at::kDouble), of_halves = at::zeros({6}, at::kDouble);
  for (uint32_t key = 0; key < kRoundings; ++key) {
    of_codes += narrowed(x, false, key * 7919).values;
    at::Tensor halves = at::empty({6}, at::kBFloat16), wide = at::empty({6});
    auto* bits = static_cast<uint16_t*>(halves.mutable_data_ptr());
    narrow_to_bf16(x.const_data_ptr<float>(), 6, {key * 7919, 0}, bits);
    widen_bf16(bits, 6, wide.mutable_data_ptr<float>());
    of_halves += wide;
  }
  const double steps[] = {0.0141, 0.0141, 0.0029, 0.00057, 2.3e-5, 1e-7};  // between levels there
  for (int64_t i = 0; i < 6; ++i) {
    const double exact = x[i].item<double>();
    EXPECT_NEAR(of_codes[i].item<double>() / kRoundings, exact, 0.04 * steps[i]) << i;
    EXPECT_NEAR(of_halves[i].item<double>() / kRoundings, exact, std::abs(exact) / 5000) << i;
  }
}

TEST(Moments, Bf16KeepsWhatIsNoNumber) {
  const at::Tensor x = at::tensor({NAN, INFINITY, -INFINITY, 3.4e38, -0.0}).to(at::kFloat);
  at::Tensor halves = at::empty({5}, at::kBFloat16);
  narrow_to_bf16(x.const_data_ptr<float>(), 5, {3, 0},
                 static_cast<uint16_t*>(halves.mutable_data_ptr()));
  EXPECT_TRUE(halves[0].isnan().item<bool>());
  EXPECT_EQ(halves[1].item<float>(), INFINITY);
  EXPECT_EQ(halves[2].item<float>(), -INFINITY);
  EXPECT_TRUE(std::isfinite(halves[3].item<float>()));
  EXPECT_EQ(halves[4].item<float>(), 0);
}

// ---- AdamW on them ----

// Rows of numbers to be found by least squares, from noisy gradients: what a narrow second moment
// that stands still would get wrong.
class LeastSquares {
 public:
  explicit LeastSquares(MomentType type)
      : value_(moments_leaf(at::zeros({40, 500}))),
        aim_(normal({40, 500}, 1)),
        optimizer_(std::vector<Parameter>{{.name = "x", .value = value_, .weight_decay = 0.01}},
                   {.moments = type}) {}

  void run(int64_t from, int64_t to) {
    for (int64_t step = from; step < to; ++step) {
      const at::Tensor noise = normal(aim_.sizes(), 100 + static_cast<uint64_t>(step));
      value_.mutable_grad() = (value_.detach() - aim_) * (1 + 0.5 * noise) * sizes_;
      optimizer_.step(2e-2 * (1 - static_cast<double>(step) / 400), 1);
    }
  }
  double error() const { return ((value_.detach() - aim_).norm() / aim_.norm()).item<double>(); }
  at::Tensor value() const { return value_.detach().clone(); }
  StateDict state() const {
    StateDict copy;
    for (const auto& [name, tensor] : optimizer_.state()) copy[name] = tensor.clone();
    return copy;
  }
  void go_on_from(const LeastSquares& other) {
    value_.detach().copy_(other.value_.detach());
    optimizer_.load_state(other.state());
  }
  const AdamW& optimizer() const { return optimizer_; }

 private:
  at::Tensor value_, aim_;
  at::Tensor sizes_ = at::pow(10.0, normal({40, 1}, 2)).to(at::kFloat);  // gradients of many sizes
  AdamW optimizer_;
};

// AdamW's rule in double from the moments that were kept, over 100 steps: what it moves, and that
// each moment is kept as one of the two values around it.
TEST(Moments, AdamWOnThemFollowsItsRuleOverAHundredSteps) {
  const std::vector<int64_t> shape = {40, 30};  // four blocks and a part of one
  const double rate = 1e-2, decay = 0.1;
  for (const MomentType type : {MomentType::kBf16, MomentType::kInt8}) {
    const at::Tensor value = moments_leaf(normal(shape, 3));
    AdamW optimizer({{.name = "x", .value = value, .weight_decay = decay}}, {.moments = type});
    NarrowMoments kept(type, shape);
    at::Tensor mean = at::zeros(shape), square = at::zeros(shape);
    for (int64_t step = 1; step <= 100; ++step) {
      const at::Tensor g = normal(shape, 10 + static_cast<uint64_t>(step)) *
                           at::pow(10.0, normal({40, 1}, 2)).to(at::kFloat);
      const at::Tensor m = mean.to(at::kDouble) * 0.9 + g.to(at::kDouble) * 0.1,
                       v = square.to(at::kDouble) * 0.999 + g.to(at::kDouble).square() * 0.001,
                       before = value.detach().to(at::kDouble);
      const double c1 = 1 - std::pow(0.9, step), c2 = 1 - std::pow(0.999, step);
      const at::Tensor expected =
          before * (1 - rate * decay) - rate / c1 * m / ((v / c2).sqrt() + 1e-8);
      value.mutable_grad() = g;
      optimizer.step(rate, 1);
      EXPECT_LT((value.detach().to(at::kDouble) - expected).abs().max().item<double>(), 2e-6)
          << step << " " << static_cast<int>(type);
      kept.load(optimizer.state(), "x");
      kept.read(0, mean.numel(), mean.mutable_data_ptr<float>(), square.mutable_data_ptr<float>());
      if (type == MomentType::kBf16) {  // eight bits of fraction: neighbours are 2^-7 apart
        EXPECT_LE(((mean.to(at::kDouble) - m).abs() - m.abs() / 128).max().item<double>(), 0);
        continue;
      }
      // Of a decade the levels are 0.9 / 64 apart or less, of a scale whose highest level, 0.986,
      // is the block's largest.
      const at::Tensor largest = at::constant_pad_nd(m.flatten().abs(), {0, 80})
                                     .view({-1, kMomentBlock})
                                     .amax(1, true)
                                     .expand({-1, kMomentBlock})
                                     .flatten()
                                     .slice(0, 0, m.numel());
      EXPECT_LE(((mean - m).flatten().abs() - largest * (0.9 / 64 / 0.98)).max().item<double>(), 0);
    }
  }
}

TEST(Moments, AdamWFindsWhatItFindsWithFp32Ones) {
  LeastSquares exact(MomentType::kFp32);
  exact.run(0, 400);
  ASSERT_LT(exact.error(), 0.08);
  for (const MomentType type : {MomentType::kBf16, MomentType::kInt8}) {
    LeastSquares narrow(type);
    narrow.run(0, 400);
    EXPECT_LT(narrow.error(), exact.error() + 0.02) << static_cast<int>(type);
  }
}

TEST(Moments, ARunGoesOnBitForBitOnAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  for (const MomentType type : {MomentType::kBf16, MomentType::kInt8}) {
    LeastSquares whole(type), first(type), second(type);
    at::set_num_threads(1);
    whole.run(0, 12);
    at::set_num_threads(3);
    first.run(0, 5);
    second.go_on_from(first);
    second.run(5, 12);
    EXPECT_TRUE(at::equal(second.value(), whole.value())) << static_cast<int>(type);
    for (const auto& [name, tensor] : whole.state())
      EXPECT_TRUE(at::equal(second.state().at(name), tensor)) << name;
  }
  at::set_num_threads(before);
}

TEST(Moments, TakeTheBytesThatAreTold) {
  for (const auto& [type, bytes] : {std::pair(MomentType::kFp32, 160000),
                                    {MomentType::kBf16, 80000},
                                    {MomentType::kInt8, 40000 + 2 * 79 * 4}}) {
    LeastSquares problem(type);
    problem.run(0, 1);
    int64_t all = 0;
    for (const auto& [name, tensor] : problem.state())
      if (name != "step") all += static_cast<int64_t>(tensor.nbytes());
    EXPECT_EQ(all, bytes);
    EXPECT_EQ(problem.optimizer().state_bytes(), bytes);
  }
}

TEST(Moments, AStateOfAnotherTypeIsRefused) {
  LeastSquares of_8_bits(MomentType::kInt8), of_16(MomentType::kBf16);
  of_8_bits.run(0, 1);
  EXPECT_THAT(error_of([&] { of_16.go_on_from(of_8_bits); }),
              HasSubstr("is of another type than optim_moments asks for"));
}

TrainOptions moments_section(const std::string& yaml) {
  Config section = Config::parse(yaml, "train");
  return TrainOptions::read(section);
}

TEST(Moments, AreChosenByName) {
  EXPECT_EQ(moments_section("{}").optim_moments, "fp32");
  EXPECT_EQ(moment_type(moments_section("{optim_moments: int8}").optim_moments), MomentType::kInt8);
  EXPECT_EQ(moment_type(moments_section("{optim: adamw, optim_moments: bf16}").optim_moments),
            MomentType::kBf16);
  EXPECT_THAT(error_of([] { moments_section("{optim_moments: fp16}"); }), HasSubstr("bf16"));
  EXPECT_THAT(error_of([] { moments_section("{optim: lion, optim_moments: int8}"); }),
              HasSubstr("optimizer lion keeps what it keeps in fp32"));
}

}  // namespace
}  // namespace hone
