// The kernels for a GPU beside ATen in double: on an emulated card, and on a real one where there
// is one.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "models/kernels/dropout.h"
#include "models/kernels/gpu/activation.h"
#include "models/kernels/gpu/compiler.h"
#include "models/kernels/gpu/dropout.h"
#include "models/kernels/gpu/embedding.h"
#include "models/kernels/gpu/launcher.h"
#include "models/kernels/gpu/norm.h"
#include "models/kernels/norm.h"
#include "models/kernels_testing.h"
#include "support/emulated_gpu.h"
#include "support/temporary_folder.h"

namespace hone::kernels {
namespace {

using ::testing::AllOf;
using testing::error;
using ::testing::HasSubstr;
using testing::normal;

// A card, and where its tensors are.
struct CardToTest {
  const gpu::Launcher& on;
  at::Device device;
};

template <class Body>
void on_every_card(const Body& body) {
  body(CardToTest{emulated::emulator(), at::kCPU});
  if (!at::hasCUDA()) return;
  SCOPED_TRACE("cuda:0");
  const gpu::Launcher* real = gpu::launcher_of(at::zeros({1}, at::kCUDA));
  ASSERT_NE(real, nullptr) << gpu::missing_kernels({at::kCUDA, 0});
  body(CardToTest{*real, {at::kCUDA, 0}});
}

double tolerance_of(at::ScalarType type) { return type == at::kBFloat16 ? 5e-3 : 2e-6; }

at::Tensor leaf(const at::Tensor& x, at::Device device) {
  return x.to(device).detach().clone().requires_grad_();
}
at::Tensor double_leaf(const at::Tensor& x) { return x.to(at::kDouble).detach().requires_grad_(); }

// ---- dropout + residual + norm ----

struct GpuNormCase {
  int64_t rows, columns;
  bool has_residual, centred;
  double dropout;
  at::ScalarType type;
};

void check_norm(const CardToTest& card, const GpuNormCase& c) {
  SCOPED_TRACE(::testing::Message() << c.rows << " x " << c.columns << " " << c.type
                                    << (c.centred ? " LayerNorm" : " RMSNorm"));
  const at::Tensor x = normal({c.rows, c.columns}, 1, c.type),
                   residual = normal({c.rows, c.columns}, 2, c.type),
                   weight = normal({c.columns}, 3), bias = normal({c.columns}, 4),
                   upstream = normal({c.rows, c.columns}, 5, c.type),
                   keys = at::arange(c.rows, at::kLong) * int64_t{0x123456789};
  const DropoutOptions dropout{
      .p = c.dropout, .seed = 0x1234567890abcdefULL, .site = 9, .keys = keys};
  const double eps = 1e-6;

  std::vector<at::Tensor> wide, here;
  for (const at::Tensor& t : {x, residual, weight, bias}) {
    wide.push_back(double_leaf(t));
    here.push_back(leaf(t, card.device));
  }
  const at::Tensor old = c.has_residual ? wide[1] : at::Tensor();
  const at::Tensor expected =
      c.centred ? dropout_add_layer_norm_reference(wide[0], old, wide[2], wide[3], eps, dropout)
                : dropout_add_rms_norm_reference(wide[0], old, wide[2], eps, dropout);
  expected.backward(upstream.to(at::kDouble));
  const at::Tensor actual =
      gpu::norm(card.on, {.x = here[0],
                          .residual = c.has_residual ? here[1] : at::Tensor(),
                          .weight = here[2],
                          .bias = c.centred ? here[3] : at::Tensor(),
                          .eps = eps,
                          .centred = c.centred,
                          .dropout = dropout_decisions(c.dropout, dropout.seed, dropout.site),
                          .keys = keys.to(card.device)});
  actual.backward(upstream.to(card.device));

  const double tolerance = tolerance_of(c.type);
  EXPECT_EQ(actual.scalar_type(), c.type);
  EXPECT_LT(error(actual.detach().cpu(), expected.detach()), tolerance);
  EXPECT_LT(error(here[0].grad().cpu(), wide[0].grad()), tolerance);
  EXPECT_LT(error(here[2].grad().cpu(), wide[2].grad()), tolerance);
  if (c.has_residual) {
    EXPECT_LT(error(here[1].grad().cpu(), wide[1].grad()), tolerance);
  }
  if (c.centred) {
    EXPECT_LT(error(here[3].grad().cpu(), wide[3].grad()), tolerance);
  }
}

TEST(KernelsGpu, NormIsThatOfDouble) {
  on_every_card([](const CardToTest& card) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const GpuNormCase& c :
           {GpuNormCase{1, 10, false, true, 0, type}, GpuNormCase{37, 64, true, true, 0.1, type},
            GpuNormCase{50, 384, true, false, 0.1, type},
            GpuNormCase{19, 768, true, true, 0.5, type},
            GpuNormCase{9, 1000, false, false, 0, type},
            GpuNormCase{3, 1026, true, true, 0.1, type}, GpuNormCase{5, 2048, true, false, 0, type},
            GpuNormCase{2, 4100, true, true, 0.1, type},
            GpuNormCase{2, 8192, false, true, 0, type}})
        check_norm(card, c);
    }
  });
}

TEST(KernelsGpu, NormOfOtherWidthsIsLeftToAten) {
  const auto has = [](int64_t columns, at::ScalarType type) {
    return gpu::has_norm({.x = at::zeros({1, columns}, type), .weight = at::ones({columns})});
  };
  EXPECT_TRUE(has(2, at::kFloat) && has(8192, at::kBFloat16));
  EXPECT_FALSE(has(33, at::kFloat) || has(8194, at::kFloat) || has(64, at::kDouble));
}

TEST(KernelsGpu, NoRowGivesNoneAndZeroGradients) {
  on_every_card([](const CardToTest& card) {
    const at::Tensor x = leaf(at::zeros({0, 64}), card.device),
                     weight = leaf(at::ones({64}), card.device),
                     bias = leaf(at::ones({64}), card.device);
    const at::Tensor y = gpu::norm(card.on, {.x = x, .weight = weight, .bias = bias, .eps = 1e-6});
    gpu::bias_activation(card.on, y, bias, Activation::kGelu).sum().backward();
    EXPECT_EQ(y.sizes(), (std::vector<int64_t>{0, 64}));
    EXPECT_TRUE(weight.grad().eq(0).all().item<bool>());
    EXPECT_TRUE(bias.grad().eq(0).all().item<bool>());
  });
}

// ---- activations ----

constexpr Activation kAllActivations[] = {Activation::kGelu, Activation::kGeluTanh,
                                          Activation::kRelu, Activation::kSilu, Activation::kTanh};

void check_bias_activation(const CardToTest& card, Activation activation, at::ScalarType type,
                           bool has_bias) {
  const at::Tensor x = normal({41, 520}, 1, type) * 3, bias = normal({520}, 2),
                   upstream = normal({41, 520}, 3, type);
  const at::Tensor wide = double_leaf(x), wide_bias = double_leaf(bias),
                   here = leaf(x, card.device), here_bias = leaf(bias, card.device);
  const at::Tensor expected =
      bias_activation_reference(wide, has_bias ? wide_bias : at::Tensor(), activation);
  expected.backward(upstream.to(at::kDouble));
  const at::Tensor actual =
      gpu::bias_activation(card.on, here, has_bias ? here_bias : at::Tensor(), activation);
  actual.backward(upstream.to(card.device));
  EXPECT_LT(error(actual.detach().cpu(), expected.detach()), tolerance_of(type));
  EXPECT_LT(error(here.grad().cpu(), wide.grad()), tolerance_of(type));
  if (has_bias) {
    EXPECT_LT(error(here_bias.grad().cpu(), wide_bias.grad()), tolerance_of(type));
  }
}

void check_gated_activation(const CardToTest& card, Activation activation, at::ScalarType type) {
  const at::Tensor x = normal({19, 2 * 264}, 1, type) * 2, upstream = normal({19, 264}, 3, type);
  const at::Tensor wide = double_leaf(x), here = leaf(x, card.device);
  const at::Tensor expected = gated_activation_reference(wide, activation);
  expected.backward(upstream.to(at::kDouble));
  const at::Tensor actual = gpu::gated_activation(card.on, here, activation);
  actual.backward(upstream.to(card.device));
  EXPECT_LT(error(actual.detach().cpu(), expected.detach()), tolerance_of(type));
  EXPECT_LT(error(here.grad().cpu(), wide.grad()), tolerance_of(type));
}

TEST(KernelsGpu, ActivationsAreThoseOfDouble) {
  on_every_card([](const CardToTest& card) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const Activation activation : kAllActivations) {
        SCOPED_TRACE(::testing::Message() << static_cast<int>(activation) << " " << type);
        check_bias_activation(card, activation, type, /*has_bias=*/true);
        check_bias_activation(card, activation, type, /*has_bias=*/false);
        check_gated_activation(card, activation, type);
      }
    }
  });
}

// ---- dropout ----

TEST(KernelsGpu, DropoutDropsWhatTheCpuDrops) {
  on_every_card([](const CardToTest& card) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const int64_t columns : {2, 130, 640, 1666}) {
        const at::Tensor x = normal({23, columns}, 1, type),
                         keys = at::randint(INT64_MIN, INT64_MAX, {23}, at::kLong);
        const DropoutOptions how{.p = 0.3, .seed = 77, .site = 4, .keys = keys};
        const at::Tensor there = gpu::dropout(card.on, x.to(card.device), keys.to(card.device),
                                              dropout_decisions(how.p, how.seed, how.site));
        EXPECT_TRUE(at::equal(there.cpu(), dropout(x, how))) << columns << " " << type;
      }
    }
  });
}

// ---- a seed that stands in memory: what is recorded once decides anew each time it runs ----

constexpr uint64_t kOfNoUse = 1;  // a seed by value, which the one in memory takes the place of

TEST(KernelsGpu, DropoutDecidesByTheSeedThatItFindsInMemory) {
  on_every_card([](const CardToTest& card) {
    const at::Tensor x = normal({23, 640}, 1), keys = at::arange(23, at::kLong) * int64_t{77777},
                     seed = at::zeros({1}, at::TensorOptions(at::kLong).device(card.device));
    for (const uint64_t of : {77ULL, 0xfedcba9876543210ULL}) {
      seed.fill_(static_cast<int64_t>(of));
      const at::Tensor there = gpu::dropout(card.on, x.to(card.device), keys.to(card.device),
                                            dropout_decisions(0.3, kOfNoUse, 4), seed);
      EXPECT_TRUE(
          at::equal(there.cpu(), dropout(x, {.p = 0.3, .seed = of, .site = 4, .keys = keys})))
          << of;
    }
  });
}

TEST(KernelsGpu, NormAndItsGradientsDecideByTheSeedThatTheyFindInMemory) {
  on_every_card([](const CardToTest& card) {
    const at::Tensor x = normal({9, 384}, 1), residual = normal({9, 384}, 2),
                     weight = leaf(normal({384}, 3), card.device),
                     keys = at::arange(9, at::kLong).to(card.device),
                     seed = at::zeros({1}, at::TensorOptions(at::kLong).device(card.device));
    const auto of = [&](uint64_t by_value, const at::Tensor& placed) {
      const at::Tensor here = leaf(x, card.device);
      const at::Tensor y = gpu::norm(card.on, {.x = here,
                                               .residual = residual.to(card.device),
                                               .weight = weight,
                                               .eps = 1e-6,
                                               .centred = false,
                                               .dropout = dropout_decisions(0.4, by_value, 2),
                                               .keys = keys,
                                               .placed_seed = placed});
      y.square().sum().backward();
      return std::pair(y.detach().cpu(), here.grad().cpu());
    };
    std::vector<at::Tensor> masks;
    for (const uint64_t value : {5ULL, 6ULL}) {
      seed.fill_(static_cast<int64_t>(value));
      const auto [expected, gradient] = of(value, {});
      const auto [actual, its_gradient] = of(kOfNoUse, seed);
      EXPECT_TRUE(at::equal(actual, expected) && at::equal(its_gradient, gradient)) << value;
      masks.push_back(gradient.eq(0));
    }
    EXPECT_FALSE(at::equal(masks[0], masks[1])) << "two replays drop other values";
  });
}

// ---- embeddings ----

struct TablesToSum {
  std::vector<at::Tensor> values, ids;  // ids undefined: row 0
};

void check_embedding_sum(const CardToTest& card, const TablesToSum& of, int64_t tokens,
                         double scale) {
  std::vector<LookedUp> tables;
  std::vector<at::Tensor> here, wide;
  at::Tensor expected;
  for (size_t i = 0; i < of.values.size(); ++i) {
    here.push_back(leaf(of.values[i], card.device));
    wide.push_back(double_leaf(of.values[i]));
    const at::Tensor& ids = of.ids[i];
    tables.push_back({here[i], ids.defined() ? ids.to(card.device) : ids});
    const at::Tensor rows =
        at::embedding(wide[i], ids.defined() ? ids : at::zeros({tokens}, at::kLong));
    expected = i == 0 ? rows * scale : expected + rows;
  }
  const at::Tensor upstream = normal({tokens, of.values[0].size(1)}, 9);
  expected.backward(upstream.to(at::kDouble));
  const at::Tensor actual = gpu::embedding_sum(card.on, tables, tokens, scale);
  actual.backward(upstream.to(card.device));
  EXPECT_LT(error(actual.detach().cpu(), expected.detach()), 1e-6);
  for (size_t i = 0; i < here.size(); ++i)
    EXPECT_LT(error(here[i].grad().cpu(), wide[i].grad()), 2e-6) << "table " << i;
}

TEST(KernelsGpu, EmbeddingSumAndItsGradientsAreThoseOfDouble) {
  on_every_card([](const CardToTest& card) {
    for (const int64_t tokens : {1, 31, 33, 1500}) {
      SCOPED_TRACE(tokens);
      const at::Tensor words = at::randint(0, 40, {tokens}, at::kLong),
                       positions = at::arange(tokens, at::kLong) % 128,
                       segments = at::randint(0, 2, {tokens}, at::kLong);
      check_embedding_sum(
          card,
          {{normal({40, 70}, 1), normal({130, 70}, 2), normal({2, 70}, 3), normal({3, 70}, 4)},
           {words, positions, segments, {}}},
          tokens, 1.5);
      check_embedding_sum(card, {{normal({40, 512}, 1)}, {words}}, tokens, 1);
    }
  });
}

TEST(KernelsGpu, AFrozenTableGetsNoGradient) {
  on_every_card([](const CardToTest& card) {
    const at::Tensor words = normal({10, 8}, 1).to(card.device),
                     positions = leaf(normal({6, 8}, 2), card.device),
                     ids = at::arange(5, at::kLong).to(card.device);
    gpu::embedding_sum(card.on, {{words, ids}, {positions, ids}}, 5, /*scale=*/3).sum().backward();
    EXPECT_FALSE(words.grad().defined());
    EXPECT_TRUE(positions.grad().slice(0, 0, 5).eq(1).all().item<bool>());
    EXPECT_TRUE(positions.grad()[5].eq(0).all().item<bool>());
  });
}

TEST(KernelsGpu, TheRowOfPaddingGetsNoGradient) {
  on_every_card([](const CardToTest& card) {
    const at::Tensor words = leaf(normal({3, 8}, 1), card.device),
                     segments = leaf(normal({3, 8}, 2), card.device),
                     ids = at::tensor({int64_t{1}, int64_t{2}, int64_t{1}}).to(card.device);
    gpu::embedding_sum(card.on, {{words, ids, /*padding=*/1}, {segments, ids}}, 3, 1)
        .sum()
        .backward();
    const auto of_rows = [](const at::Tensor& table) { return table.grad().select(1, 0).cpu(); };
    EXPECT_TRUE(at::equal(of_rows(words), at::tensor({0.0f, 0.0f, 1.0f})));
    EXPECT_TRUE(at::equal(of_rows(segments), at::tensor({0.0f, 2.0f, 1.0f})));
  });
}

TEST(KernelsGpu, AnEmptyBatchHasNoRowsAndGivesNoGradient) {
  on_every_card([](const CardToTest& card) {
    const at::Tensor table = leaf(normal({4, 8}, 1), card.device),
                     none = at::zeros({0}, at::kLong).to(card.device);
    const at::Tensor sum = gpu::embedding_sum(card.on, {{table, none}}, 0, 1);
    EXPECT_EQ(gpu::dropout(card.on, sum.detach(), none, dropout_decisions(0.5, 1, 1)).numel(), 0);
    sum.sum().backward();
    EXPECT_TRUE(table.grad().eq(0).all().item<bool>());
  });
}

TEST(KernelsGpu, ASequenceOfAHundredThousandTokensIsEmbeddedAndDropped) {
  on_every_card([](const CardToTest& card) {
    constexpr int64_t kTokens = 100'000;
    const at::Tensor words = at::arange(kTokens, at::kLong) * 7919 % 40;
    check_embedding_sum(card, {{normal({40, 2}, 1)}, {words}}, kTokens, 1);
    const at::Tensor x = normal({kTokens, 2}, 2);
    const DropoutOptions how{
        .p = 0.1, .seed = 3, .site = 1, .keys = at::arange(kTokens, at::kLong)};
    EXPECT_TRUE(at::equal(gpu::dropout(card.on, x.to(card.device), how.keys.to(card.device),
                                       dropout_decisions(how.p, how.seed, how.site))
                              .cpu(),
                          dropout(x, how)));
  });
}

TEST(KernelsGpu, AnIdOutsideOfItsTableIsNoNumber) {
  on_every_card([](const CardToTest& card) {
    const at::Tensor table = normal({4, 8}, 1).to(card.device),
                     ids = at::tensor({int64_t{3}, int64_t{4}, int64_t{-1}}).to(card.device);
    const at::Tensor sum = gpu::embedding_sum(card.on, {{table, ids}}, 3, 1).cpu();
    EXPECT_TRUE(sum[0].isfinite().all().item<bool>());
    EXPECT_FALSE(sum[1].isfinite().all().item<bool>());
    EXPECT_FALSE(sum[2].isfinite().all().item<bool>());
  });
}

// ---- where there is no card ----

TEST(KernelsGpu, AreNotAskedForOnTheCpu) {
  EXPECT_EQ(gpu::launcher_of(at::zeros({1})), nullptr);
  EXPECT_EQ(gpu::missing_kernels(at::kCPU), "");
}

class CachesIn {
 public:
  explicit CachesIn(const std::string& folder) {
    if (const char* const before = std::getenv("XDG_CACHE_HOME")) before_ = before;
    setenv("XDG_CACHE_HOME", folder.c_str(), 1);
  }
  ~CachesIn() {
    before_ ? setenv("XDG_CACHE_HOME", before_->c_str(), 1) : unsetenv("XDG_CACHE_HOME");
  }

 private:
  std::optional<std::string> before_;
};

// NVRTC needs no card; where it is not, the reason is told.
TEST(KernelsGpu, AreCompiledOnceAndKept) {
  const testing_support::TemporaryFolder cache;
  const CachesIn place(cache.path());
  try {
    const std::string kernels = gpu::compiled_kernels("dropout.cu", "sm_80");
    EXPECT_THAT(kernels, HasSubstr("dropout_bf16"));
    const std::string folder = cache / "hone/kernels";
    std::vector<std::string> kept;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      kept.push_back(entry.path());
    ASSERT_EQ(kept.size(), 1u);
    const std::string whole = read_file(kept[0], ErrorKind::kUsage);
    EXPECT_EQ(whole.substr(64), kernels);
    write_file(kept[0], whole.substr(0, whole.size() / 2));
    EXPECT_EQ(gpu::compiled_kernels("dropout.cu", "sm_80"), kernels) << "a cut file is not used";
    EXPECT_EQ(read_file(kept[0], ErrorKind::kUsage), whole);
    EXPECT_THROW(gpu::compiled_kernels("dropout.cu", "sm_1"), gpu::CannotCompile);
  } catch (const gpu::CannotCompile& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("NVRTC"), HasSubstr("libcaffe2_nvrtc.so"),
                                    HasSubstr("libnvrtc.so")));
  }
}

TEST(KernelsGpu, EverySourceIsInTheProgram) {
  std::vector<std::string> names;
  for (const gpu::Source& source : gpu::kernel_sources()) names.emplace_back(source.name);
  for (const char* name : {"common.h", "parameters.h", "norm.h", "norm_1024.cu", "optimizer.cu"})
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
}

}  // namespace
}  // namespace hone::kernels
