#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <numeric>

#include "models/kernels/attention.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::error;
using testing::normal;
using testing::on_every_target;

struct Case {
  std::vector<int32_t> lengths;
  int64_t heads, kv_heads, dim;
  bool is_causal = false;
  double dropout = 0;
  at::ScalarType type = at::kFloat;
  double scale = 0;
};

at::Tensor starts_of(const std::vector<int32_t>& lengths) {
  std::vector<int32_t> starts = {0};
  for (const int32_t length : lengths) starts.push_back(starts.back() + length);
  return at::tensor(starts, at::kInt);
}

struct Outcome {
  at::Tensor out, dq, dk, dv;
};

using Function = at::Tensor (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                                const at::Tensor&, int64_t, const AttentionOptions&);

// Inputs rounded to the case's type, then computed in `type`: the reference runs in double.
Outcome run(Function function, const Case& c, at::ScalarType type) {
  const at::Tensor starts = starts_of(c.lengths);
  const int64_t tokens = starts[-1].item<int64_t>();
  const auto input = [&](int64_t heads, uint64_t seed) {
    return normal({tokens, heads, c.dim}, seed, c.type).to(type).requires_grad_();
  };
  const at::Tensor q = input(c.heads, 1), k = input(c.kv_heads, 2), v = input(c.kv_heads, 3);
  const at::Tensor keys = at::arange(tokens, at::kLong) * 1000003;
  const AttentionOptions options{.is_causal = c.is_causal,
                                 .scale = c.scale,
                                 .dropout = c.dropout,
                                 .seed = 5,
                                 .site = 6,
                                 .keys = keys};
  const int64_t longest =
      c.lengths.empty() ? 0 : *std::max_element(c.lengths.begin(), c.lengths.end());
  const at::Tensor out = function(q, k, v, starts, longest, options);
  out.backward(normal({tokens, c.heads, c.dim}, 4, c.type).to(type));
  return {out.detach(), q.grad(), k.grad(), v.grad()};
}

void expect_near(const Outcome& actual, const Outcome& expected, double tolerance) {
  EXPECT_LT(error(actual.out, expected.out), tolerance);
  EXPECT_LT(error(actual.dq, expected.dq), tolerance);
  EXPECT_LT(error(actual.dk, expected.dk), tolerance);
  EXPECT_LT(error(actual.dv, expected.dv), tolerance);
}

// Short and long (several blocks of queries, several tiles of keys), odd sizes, grouped heads.
std::vector<Case> cases(at::ScalarType type) {
  std::vector<Case> result;
  for (const bool is_causal : {false, true}) {
    for (const double dropout : {0.0, 0.3}) {
      result.push_back({{1, 5, 16, 17, 33, 64}, 12, 12, 32, is_causal, dropout, type});
      result.push_back({{65, 0, 300}, 4, 2, 64, is_causal, dropout, type});
      result.push_back({{3, 20}, 9, 3, 24, is_causal, dropout, type, 0.4});
      result.push_back({{7}, 14, 2, 6, is_causal, dropout, type});
    }
  }
  result.push_back({{700}, 2, 2, 16, true, 0.1, type});
  return result;
}

TEST(KernelsAttention, MatchesTheReferenceInDoubleOnEveryInstructionSet) {
  for (const Case& c : cases(at::kFloat)) {
    SCOPED_TRACE(::testing::Message() << c.lengths.front() << " dim " << c.dim << " causal "
                                      << c.is_causal << " dropout " << c.dropout);
    const Outcome expected = run(attention_reference, c, at::kDouble);
    on_every_target([&] { expect_near(run(attention, c, at::kFloat), expected, 2e-6); });
  }
}

TEST(KernelsAttention, Bf16IsNearTheDoubleResult) {
  for (const Case& c : cases(at::kBFloat16)) {
    SCOPED_TRACE(::testing::Message() << c.lengths.front() << " dim " << c.dim << " causal "
                                      << c.is_causal << " dropout " << c.dropout);
    const Outcome expected = run(attention_reference, c, at::kDouble);
    on_every_target([&] { expect_near(run(attention, c, at::kBFloat16), expected, 1.5e-2); });
  }
}

TEST(KernelsAttention, ResultsAreTheSameBitsWithAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const Case c{{90, 3, 45, 12}, 12, 12, 32, false, 0.1, type};
    at::set_num_threads(1);
    const Outcome one = run(attention, c, type);
    at::set_num_threads(5);
    const Outcome five = run(attention, c, type);
    EXPECT_TRUE(at::equal(one.out, five.out));
    EXPECT_TRUE(at::equal(one.dq, five.dq));
    EXPECT_TRUE(at::equal(one.dk, five.dk));
    EXPECT_TRUE(at::equal(one.dv, five.dv));
  }
  at::set_num_threads(before);
}

// A sequence gives the same bits alone as among neighbours, dropout and all: its decisions come
// from its own keys.
TEST(KernelsAttention, NeighboursChangeNothing) {
  const at::Tensor q = normal({40, 12, 32}, 1), k = normal({40, 12, 32}, 2),
                   v = normal({40, 12, 32}, 3);
  AttentionOptions options{.dropout = 0.2, .seed = 1, .site = 2, .keys = at::arange(40, at::kLong)};
  const at::Tensor together = attention(q, k, v, starts_of({13, 7, 20}), 20, options);
  options.keys = options.keys.slice(0, 13, 20);
  const auto alone = [](const at::Tensor& x) { return x.slice(0, 13, 20); };
  EXPECT_TRUE(at::equal(attention(alone(q), alone(k), alone(v), starts_of({7}), 7, options),
                        alone(together)));
}

TEST(KernelsAttention, TakesStridedViewsOfOneProduct) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor qkv = normal({50, 3, 4, 32}, 1, type);
    const at::Tensor q = qkv.select(1, 0), k = qkv.select(1, 1), v = qkv.select(1, 2),
                     starts = starts_of({30, 20});
    EXPECT_TRUE(
        at::equal(attention(q, k, v, starts, 30, {}),
                  attention(q.contiguous(), k.contiguous(), v.contiguous(), starts, 30, {})));
  }
}

TEST(KernelsAttention, NaNReachesItsOwnSequenceOnly) {
  on_every_target([] {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor q = normal({20, 2, 16}, 1, type), k = normal({20, 2, 16}, 2, type),
                       v = normal({20, 2, 16}, 3, type);
      q[3][0][5] = NAN;
      const at::Tensor out = attention(q, k, v, starts_of({10, 10}), 10, {});
      EXPECT_TRUE(at::isnan(out[3][0]).all().item<bool>());
      EXPECT_FALSE(at::isnan(out.slice(0, 10)).any().item<bool>());
    }
  });
}

TEST(KernelsAttention, AcceptsNoTokensAndRefusesWrongShapes) {
  EXPECT_EQ(run(attention, {{}, 2, 2, 8}, at::kFloat).out.size(0), 0);
  const at::Tensor x = normal({4, 3, 8}, 1);
  EXPECT_THROW(attention(x, normal({4, 2, 8}, 1), normal({4, 2, 8}, 1), starts_of({4}), 4, {}),
               c10::Error);
  EXPECT_THROW(attention(x, x, x, starts_of({4}), 4, {.dropout = 0.1, .keys = {}}), c10::Error);
}

}  // namespace
}  // namespace hone::kernels
