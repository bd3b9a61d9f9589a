#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "models/kernels/attention.h"
#include "models/kernels/attention_padded.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::normal;
using testing::on_every_target;

struct Case {
  std::vector<int32_t> queries;  // tokens of each sequence
  int64_t heads, kv_heads, dim;
  bool is_causal = false;
  double dropout = 0;
  at::ScalarType type = at::kFloat;
  double scale = 0;
  std::vector<int32_t> keys = {};  // none: as many as queries
  int64_t window = 0;
  int64_t pairs = 0;  // that are rotated
  int64_t buckets = 0;
  bool has_bias = false, has_position_keys = false, has_position_queries = false;
  double soft_cap = 0;
  std::vector<int32_t> room = {};  // rows after each sequence's keys that are not in use
};

Case with_cap(Case c, double soft_cap) {
  c.soft_cap = soft_cap;
  return c;
}
Case with_room(Case c, std::vector<int32_t> room) {
  c.room = std::move(room);
  return c;
}

Case with_distances(Case c, int64_t buckets, bool bias, bool keys, bool queries) {
  c.buckets = buckets;
  c.has_bias = bias, c.has_position_keys = keys, c.has_position_queries = queries;
  return c;
}

std::ostream& operator<<(std::ostream& out, const Case& c) {
  for (const int32_t length : c.queries) out << length << " ";
  for (const int32_t length : c.keys) out << "/ " << length << " ";
  return out << "tokens, heads " << c.heads << "/" << c.kv_heads << ", dim " << c.dim << ", causal "
             << c.is_causal << ", dropout " << c.dropout << ", window " << c.window << ", pairs "
             << c.pairs << ", buckets " << c.buckets << " of " << (c.has_bias ? "biases " : "")
             << (c.has_position_keys ? "keys " : "") << (c.has_position_queries ? "queries" : "")
             << ", cap " << c.soft_cap << (c.room.empty() ? "" : ", room to grow");
}

Stretches stretches(const std::vector<int32_t>& lengths) {
  std::vector<int32_t> ends = {0};
  for (const int32_t length : lengths) ends.push_back(ends.back() + length);
  const int64_t longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  return {at::tensor(ends, at::kInt), longest};
}
int64_t rows(const Stretches& of) { return of.ends[-1].item<int64_t>(); }

// Of sequences with room after them.
Stretches roomy(const std::vector<int32_t>& lengths, const std::vector<int32_t>& room) {
  std::vector<int32_t> all = lengths;
  for (size_t s = 0; s < room.size(); ++s) all[s] += room[s];
  Stretches of = stretches(all);
  of.longest = *std::max_element(lengths.begin(), lengths.end());
  of.lengths = at::tensor(lengths, at::kInt);
  return of;
}

// Rows that are not in use become NaN.
void spoil_room(const at::Tensor& x, const Stretches& of) {
  const at::NoGradGuard no_grad;
  for (int64_t s = 0; of.lengths.defined() && s < of.lengths.size(0); ++s)
    x.slice(0, of.ends[s].item<int64_t>() + of.lengths[s].item<int64_t>(),
            of.ends[s + 1].item<int64_t>())
        .fill_(NAN);
}

// As T5 and MPNet have them: exact near by, logarithmic farther off, before and after apart.
BucketOf logarithmic_buckets(int64_t buckets) {
  return [half = buckets / 2](int64_t distance) -> int64_t {
    if (half == 0) return 0;
    const int64_t far = std::abs(distance), exact = half / 2;
    int64_t bucket = far;
    if (far >= exact)
      bucket = exact + static_cast<int64_t>(std::log2(static_cast<double>(far + 1)) * 2);
    return std::min(bucket, half - 1) + (distance > 0 ? half : 0);
  };
}

using Function = at::Tensor (*)(const AttentionInputs&, const AttentionOptions&);
using Results = std::vector<at::Tensor>;  // the result and the gradients of the inputs

AttentionOptions options_of(const Case& c, int64_t queries) {
  return {.is_causal = c.is_causal,
          .window = c.window,
          .soft_cap = c.soft_cap,
          .scale = c.scale,
          .dropout = c.dropout,
          .seed = 5,
          .site = 6,
          .keys = at::arange(queries, at::kLong) * 1000003};
}

// Inputs rounded to the case's type, then computed in `type`: the reference runs in double.
Results run(Function function, const Case& c, at::ScalarType type) {
  AttentionInputs x;
  x.of_q = stretches(c.queries);
  if (!c.keys.empty()) x.of_k = stretches(c.keys);
  if (!c.room.empty()) x.of_k = roomy(c.keys, c.room);
  const Stretches& of_k = c.keys.empty() ? x.of_q : x.of_k;
  Results result(1);
  const auto input = [&](at::IntArrayRef shape, uint64_t seed) {
    const at::Tensor leaf = normal(shape, seed, c.type).to(type).requires_grad_();
    result.push_back(leaf);
    return leaf;
  };
  x.q = input({rows(x.of_q), c.heads, c.dim}, 1);
  x.k = input({rows(of_k), c.kv_heads, c.dim}, 2);
  x.v = input({rows(of_k), c.kv_heads, c.dim}, 3);
  spoil_room(x.k, of_k);
  spoil_room(x.v, of_k);
  if (c.buckets > 0) x.bucket_of = logarithmic_buckets(c.buckets);
  if (c.has_bias) x.bias = input({c.heads, c.buckets}, 11);
  if (c.has_position_keys) x.position_keys = input({c.buckets, c.heads, c.dim}, 12);
  if (c.has_position_queries) x.position_queries = input({c.buckets, c.heads, c.dim}, 13);
  if (c.pairs > 0) x.rotary = rotary_of(rotary_frequencies(1000, 2 * c.pairs), of_k.longest);
  result[0] = function(x, options_of(c, rows(x.of_q)));
  result[0].backward(normal(result[0].sizes(), 4, c.type).to(type));
  for (at::Tensor& item : result) item = &item == &result[0] ? item.detach() : item.grad();
  return result;
}

// As a share of the largest value, unless all are small: the gradients of scores cancel where there
// is a single key, and those of a bias in a single bucket are a sum of many terms that cancel.
void expect_near(const Case& c, const Results& actual, const Results& expected, double tolerance) {
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(actual[i].sizes(), expected[i].sizes());
    if (expected[i].numel() == 0) continue;
    const at::Tensor difference = (actual[i].to(at::kDouble) - expected[i]).abs().max();
    double least = i > 3 ? 1 : 0.05;
    if (i > 3 && c.buckets == 1) least = std::sqrt(expected[0].size(0));
    const double size = std::max(least, expected[i].abs().max().item<double>());
    EXPECT_LT(difference.item<double>() / size, tolerance)
        << (i == 0 ? "result" : "gradient ") << i;
  }
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
      result.push_back({{1, 70, 2}, 4, 1, 40, is_causal, dropout, type, 0, {310, 71, 2}, 0, 20});
      result.push_back({{300, 9}, 2, 2, 32, is_causal, dropout, type, 0, {}, 20, 16});
      result.push_back({{1, 66}, 2, 1, 16, is_causal, dropout, type, 0, {90, 350}, 1, 3});
    }
  }
  result.push_back({{700}, 2, 2, 16, true, 0.1, type});
  const Case plain{{1, 5, 16, 70, 300}, 4, 4, 32, false, 0, type},
      grouped{{1, 0, 70}, 4, 2, 24, true, 0.2, type, 0.3, {330, 3, 80}, 30, 4};
  for (const Case& c : {plain, grouped}) {
    result.push_back(with_distances(c, 32, true, false, false));
    result.push_back(with_distances(c, 10, false, true, true));
    result.push_back(with_distances(c, 1, true, true, true));
  }
  result.push_back({{40, 0, 3}, 2, 2, 16, false, 0.1, type, 0, {7, 5, 270}});
  const Case decoder{{1, 64, 300, 1, 2}, 6, 2, 32, true, 0, type, 0, {1, 64, 300, 280, 9}, 40, 16};
  result.push_back(decoder);
  result.push_back(with_cap(decoder, 1.5));
  result.push_back(with_room(decoder, {3, 0, 20, 40, 1}));
  result.push_back(with_room(with_cap(decoder, 0.7), {0, 5, 0, 7, 300}));
  result.push_back(with_cap({{1, 1, 1, 6}, 4, 2, 16, true, 0, type}, 2));
  for (const Case& c : {plain, grouped}) {
    result.push_back(with_cap(c, 1));
    result.push_back(with_cap(with_distances(c, 32, true, false, false), 2));
    result.push_back(with_cap(with_distances(c, 10, true, true, true), 0.8));
  }
  return result;
}

TEST(KernelsAttention, MatchesTheReferenceInDoubleOnEveryInstructionSet) {
  for (const Case& c : cases(at::kFloat)) {
    SCOPED_TRACE(::testing::Message() << c);
    const Results expected = run(attention_reference, c, at::kDouble);
    on_every_target([&] { expect_near(c, run(attention, c, at::kFloat), expected, 2e-6); });
  }
}

// What a GPU computes where no kernel of its own does.
TEST(KernelsAttention, AllSequencesAtOnceAreTheReference) {
  for (const Case& c : cases(at::kFloat)) {
    SCOPED_TRACE(::testing::Message() << c);
    expect_near(c, run(attention_padded, c, at::kDouble), run(attention_reference, c, at::kDouble),
                1e-7);
  }
}

TEST(KernelsAttention, Bf16IsNearTheDoubleResult) {
  for (const Case& c : cases(at::kBFloat16)) {
    SCOPED_TRACE(::testing::Message() << c);
    const Results expected = run(attention_reference, c, at::kDouble);
    on_every_target([&] { expect_near(c, run(attention, c, at::kBFloat16), expected, 1.5e-2); });
  }
}

Case random_case(std::mt19937& random) {
  const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % n); };
  Case c{{}, 1 + below(3), 1, 1 + below(80)};
  c.kv_heads = c.heads;
  c.heads *= 1 + below(3);
  c.is_causal = below(2) == 1;
  c.dropout = below(3) == 0 ? 0.2 : 0;
  c.window = below(2) == 1 ? 1 + below(90) : 0;
  c.pairs = below(2) == 1 ? below(c.dim / 2 + 1) : 0;
  c.soft_cap = below(3) == 0 ? 0.5 + static_cast<double>(below(4)) : 0;
  if (below(2) == 1) c.buckets = 1 + below(40);
  if (c.buckets > 0) {
    const int64_t which = 1 + below(7);
    c = with_distances(c, c.buckets, which & 1, which & 2, which & 4);
  }
  const bool has_more_queries = !c.is_causal && c.window == 0 && c.pairs == 0 && below(3) == 0;
  for (int64_t s = below(4); s >= 0; --s) {
    c.queries.push_back(static_cast<int32_t>(below(4) == 0 ? 1
                                             : s == 0      ? 1 + below(139)
                                                           : below(140)));
    const auto keys = static_cast<int32_t>(1 + below(300));
    c.keys.push_back(has_more_queries ? keys : std::max(c.queries.back(), keys));
  }
  for (size_t s = 0; below(3) == 0 && s < c.keys.size(); ++s)
    c.room.push_back(static_cast<int32_t>(below(50)));
  if (c.room.size() < c.keys.size()) c.room.clear();
  return c;
}

TEST(KernelsAttention, MatchesTheReferenceOnRandomShapes) {
  std::mt19937 random(7);
  for (int i = 0; i < 60; ++i) {
    const Case c = random_case(random);
    SCOPED_TRACE(::testing::Message() << c);
    expect_near(c, run(attention, c, at::kFloat), run(attention_reference, c, at::kDouble), 1e-5);
  }
}

TEST(KernelsAttention, MatchesTheReferenceOnLongSequences) {
  for (const Case& c : {Case{{4096}, 1, 1, 64, false, 0, at::kFloat, 0, {}, 64, 32},
                        Case{{1}, 4, 1, 32, true, 0, at::kFloat, 0, {4096}, 0, 16},
                        with_distances({{4096}, 1, 1, 32, false, 0, at::kFloat, 0, {}, 300}, 32,
                                       true, true, true)}) {
    SCOPED_TRACE(::testing::Message() << c);
    expect_near(c, run(attention, c, at::kFloat), run(attention_reference, c, at::kDouble), 1e-5);
  }
}

void expect_equal(const Results& a, const Results& b) {
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i], b[i])) << i;
}

TEST(KernelsAttention, ResultsAreTheSameBitsWithAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const int64_t window : {0, 9}) {
      const Case c = with_distances(
          {{90, 3, 45, 12}, 12, 12, 32, false, 0.1, type, 0, {90, 3, 80, 40}, window, 16}, 8, true,
          true, true);
      at::set_num_threads(1);
      const Results one = run(attention, c, type);
      at::set_num_threads(5);
      expect_equal(run(attention, c, type), one);
    }
  }
  at::set_num_threads(before);
}

// A sequence gives the same bits alone as among neighbours, dropout and all: its decisions come
// from its own keys.
TEST(KernelsAttention, NeighboursChangeNothing) {
  const at::Tensor q = normal({40, 12, 32}, 1), k = normal({40, 12, 32}, 2),
                   v = normal({40, 12, 32}, 3);
  AttentionOptions options{.dropout = 0.2, .seed = 1, .site = 2, .keys = at::arange(40, at::kLong)};
  const at::Tensor together =
      attention({.q = q, .k = k, .v = v, .of_q = stretches({13, 7, 20})}, options);
  options.keys = options.keys.slice(0, 13, 20);
  const auto alone = [](const at::Tensor& x) { return x.slice(0, 13, 20); };
  EXPECT_TRUE(at::equal(
      attention({.q = alone(q), .k = alone(k), .v = alone(v), .of_q = stretches({7})}, options),
      alone(together)));
}

// Token by token with the keys so far, as with a cache, and in one go: the same bits.
TEST(KernelsAttention, ACacheChangesNothing) {
  on_every_target([] {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor q = normal({300, 4, 24}, 1, type), k = normal({300, 2, 24}, 2, type),
                       v = normal({300, 2, 24}, 3, type);
      const Rotary rotary = rotary_of(rotary_frequencies(100, 24), 300);
      for (const int64_t window : {0, 40}) {
        const AttentionOptions options{.is_causal = true, .window = window};
        const at::Tensor whole = attention(
            {.q = q, .k = k, .v = v, .of_q = stretches({300}), .rotary = rotary}, options);
        for (const int32_t n : {1, 2, 17, 64, 65, 255, 256, 257, 300}) {
          const at::Tensor last = attention({.q = q.slice(0, n - 1, n),
                                             .k = k.slice(0, 0, n),
                                             .v = v.slice(0, 0, n),
                                             .of_q = stretches({1}),
                                             .of_k = stretches({n}),
                                             .rotary = rotary},
                                            options);
          EXPECT_TRUE(at::equal(last[0], whole[n - 1])) << n << " keys, window " << window;
        }
      }
    }
  });
}

// ---- a decoder's step: few queries, nothing to be differentiated ----

// Keys that a query sees are turned already, as those of a cache are.
struct Step {
  AttentionInputs inputs;
  AttentionOptions options;
};

Step step_of(const std::vector<int32_t>& queries, const std::vector<int32_t>& keys,
             const std::vector<int32_t>& room, at::ScalarType type, int64_t dim, int64_t window) {
  Step step;
  AttentionInputs& x = step.inputs;
  x.of_q = stretches(queries);
  x.of_k = roomy(keys, room);
  x.q = normal({rows(x.of_q), 6, dim}, 1, type);
  x.k = normal({rows(x.of_k), 2, dim}, 2, type);
  x.v = normal({rows(x.of_k), 2, dim}, 3, type);
  spoil_room(x.k, x.of_k);
  spoil_room(x.v, x.of_k);
  step.options = {.is_causal = true, .window = window, .soft_cap = window > 0 ? 3.0 : 0.0};
  return step;
}

at::Tensor in_double(Step step) {
  for (at::Tensor* x : {&step.inputs.q, &step.inputs.k, &step.inputs.v}) *x = x->to(at::kDouble);
  return attention_reference(step.inputs, step.options);
}

TEST(KernelsAttention, AStepMatchesTheReferenceInDouble) {
  const std::vector<int32_t> queries = {1, 4, 1, 0, 2, 1, 1}, keys = {1, 4, 17, 9, 300, 1100, 2500},
                             room = {0, 3, 0, 1, 40, 9, 100};
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const int64_t dim : {64, 24}) {
      for (const int64_t window : {0, 1, 700}) {
        const Step step = step_of(queries, keys, room, type, dim, window);
        const at::Tensor expected = in_double(step);
        on_every_target([&] {
          EXPECT_LT(testing::error(attention(step.inputs, step.options), expected),
                    type == at::kFloat ? 2e-6 : 1.5e-2)
              << dim << " values, window " << window;
        });
      }
    }
  }
}

TEST(KernelsAttention, AStepOfOneSequenceIsTheSameBitsBesideOthersAndOnAnyThreads) {
  const int before = at::get_num_threads();
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const Step step = step_of({1, 90, 2, 1}, {1300, 90, 40, 2100}, {0, 0, 5, 1}, type, 32, 0);
    at::set_num_threads(1);
    const at::Tensor together = attention(step.inputs, step.options);
    at::set_num_threads(5);
    EXPECT_TRUE(at::equal(attention(step.inputs, step.options), together));
    for (int64_t s = 0; s < 4; ++s) {
      const auto rows_of = [&](const at::Tensor& x, const at::Tensor& ends) {
        return x.slice(0, ends[s].item<int64_t>(), ends[s + 1].item<int64_t>());
      };
      const AttentionInputs& x = step.inputs;
      const at::Tensor q = rows_of(x.q, x.of_q.ends), k = rows_of(x.k, x.of_k.ends);
      AttentionInputs alone{.q = q, .k = k, .v = rows_of(x.v, x.of_k.ends)};
      alone.of_q = stretches({static_cast<int32_t>(q.size(0))});
      alone.of_k = stretches({static_cast<int32_t>(k.size(0))});
      alone.of_k.lengths = x.of_k.lengths.slice(0, s, s + 1);
      EXPECT_TRUE(at::equal(attention(alone, step.options), rows_of(together, x.of_q.ends))) << s;
    }
  }
  at::set_num_threads(before);
}

// With a bias each query head has keys of its own, as T5's have.
Step with_bias(Step step) {
  AttentionInputs& x = step.inputs;
  for (at::Tensor* keys : {&x.k, &x.v}) *keys = keys->repeat({1, 3, 1});
  x.bias = normal({6, 8}, 4);
  x.bucket_of = logarithmic_buckets(8);
  return step;
}

// As with a cache whose keys are turned, against all tokens in one go.
TEST(KernelsAttention, AStepIsARowOfTheWhole) {
  on_every_target([] {
    for (const auto& [type, is_biased] :
         std::vector<std::pair<at::ScalarType, bool>>{{at::kFloat, false},
                                                      {at::kBFloat16, false},
                                                      {at::kFloat, true},
                                                      {at::kBFloat16, true}}) {
      const Step plain = step_of({600}, {600}, {0}, type, 32, 0),
                 whole = is_biased ? with_bias(plain) : plain;
      const at::Tensor all = attention(whole.inputs, whole.options);
      for (const int32_t n : {1, 16, 255, 257, 600}) {
        AttentionInputs last = whole.inputs;
        last.q = last.q.slice(0, n - 1, n);
        last.of_q = stretches({1});
        last.of_k.lengths = at::tensor({n}, at::kInt);
        EXPECT_TRUE(at::equal(attention(last, whole.options)[0], all[n - 1])) << n << is_biased;
      }
    }
  });
}

TEST(KernelsAttention, AStepLooksAtAHundredThousandKeys) {
  const Step step = step_of({1}, {100000}, {100}, at::kFloat, 16, 0);
  EXPECT_LT(testing::error(attention(step.inputs, step.options), in_double(step)), 1e-5);
}

TEST(KernelsAttention, NaNInAStepReachesItsOwnSequenceOnly) {
  on_every_target([] {
    const Step step = step_of({1, 1}, {50, 1500}, {2, 2}, at::kFloat, 32, 0);
    step.inputs.k[3][0][1] = NAN;
    const at::Tensor out = attention(step.inputs, step.options);
    EXPECT_TRUE(at::isnan(out[0]).any().item<bool>());
    EXPECT_FALSE(at::isnan(out[1]).any().item<bool>());
  });
}

TEST(KernelsAttention, JoinedOrStridedOrApartGivesTheSame) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const int64_t kv_heads : {4, 2}) {
      const auto run = [&](bool is_joined, bool is_strided) {
        const at::Tensor all = normal({50, 4 + 2 * kv_heads, 32}, 1, type).requires_grad_();
        AttentionInputs x{.of_q = stretches({30, 20})};
        std::vector<at::Tensor> parts = all.split_with_sizes({4, kv_heads, kv_heads}, 1);
        if (!is_strided)
          for (at::Tensor& part : parts) part = part.contiguous();
        is_joined ? void(x.joined = all)
                  : void(std::tie(x.q, x.k, x.v) = std::tie(parts[0], parts[1], parts[2]));
        x.kv_heads = is_joined ? kv_heads : 0;
        const at::Tensor out = attention(x, {});
        out.backward(normal(out.sizes(), 2, type));
        return Results{out.detach(), all.grad()};
      };
      const Results joined = run(true, true);
      expect_equal(run(false, true), joined);
      expect_equal(run(false, false), joined);
    }
  }
}

TEST(KernelsAttention, NaNReachesItsOwnSequenceOnly) {
  on_every_target([] {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor q = normal({20, 2, 16}, 1, type), k = normal({20, 2, 16}, 2, type),
                       v = normal({20, 2, 16}, 3, type);
      q[3][0][5] = NAN;
      const at::Tensor out = attention({.q = q, .k = k, .v = v, .of_q = stretches({10, 10})}, {});
      EXPECT_TRUE(at::isnan(out[3][0]).all().item<bool>());
      EXPECT_FALSE(at::isnan(out.slice(0, 10)).any().item<bool>());
    }
  });
}

std::string refusal(const AttentionInputs& inputs, const AttentionOptions& options) {
  try {
    attention(inputs, options);
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

TEST(KernelsAttention, AcceptsNoTokensAndRefusesWhatDoesNotFit) {
  EXPECT_EQ(run(attention, {{}, 2, 2, 8}, at::kFloat)[0].size(0), 0);
  const at::Tensor x = normal({4, 3, 8}, 1), two = normal({4, 2, 8}, 1);
  const Stretches four = stretches({4});
  const auto same = [&](const Stretches& of_q, const Stretches& of_k) {
    return AttentionInputs{.q = x, .k = x, .v = x, .of_q = of_q, .of_k = of_k};
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(refusal({.q = x, .k = two, .v = two, .of_q = four}, {}),
              HasSubstr("3 query heads do not share 2 key/value heads"));
  EXPECT_THAT(refusal(same(four, four), {.dropout = 0.1, .keys = {}}),
              HasSubstr("expected keys [4]"));
  EXPECT_THAT(refusal(same(stretches({2, 2}), stretches({4, 0})), {}),
              HasSubstr("sequence 1 has 2 queries but no keys"));
  EXPECT_THAT(refusal(same(stretches({1, 3}), stretches({2, 2})), {.is_causal = true}),
              HasSubstr("sequence 1 has 3 queries but only 2 keys"));
  EXPECT_THAT(refusal(same(stretches({1, 3}), stretches({2, 2})), {.window = 1}),
              HasSubstr("the first ones would stand nowhere"));
  EXPECT_THAT(refusal(same(four, stretches({1, 3})), {}),
              HasSubstr("1 sequences of queries but 2 of keys"));
  EXPECT_THAT(refusal(same(stretches({3}), four), {}), HasSubstr("row 0 to 3 of 4"));
  const auto with_lengths = [&](std::vector<int32_t> lengths) {
    AttentionInputs inputs = same(stretches({1, 1, 2}), stretches({1, 1, 2}));
    inputs.of_k.lengths = at::tensor(lengths, at::kInt);
    return inputs;
  };
  EXPECT_THAT(refusal(with_lengths({1, 2, 1}), {}),
              HasSubstr("sequence 1 of k has 2 rows in use, of 1"));
  EXPECT_THAT(refusal(with_lengths({1, 0, 2}), {}),
              HasSubstr("sequence 1 has 1 queries but no keys"));
  EXPECT_THAT(refusal(with_lengths({1, 1}), {}), HasSubstr("expected the lengths of k [3] int32"));
  EXPECT_THAT(refusal(with_lengths({1, 1, -1}), {}), HasSubstr("sequence 2 of k has -1 rows"));
  EXPECT_THAT(refusal(same(four, four), {.soft_cap = -1}), HasSubstr("expected soft_cap >= 0"));
  EXPECT_THAT(refusal({.joined = x, .kv_heads = 2, .of_q = four}, {}),
              HasSubstr("expected joined [N, heads + 2 * kv_heads, dim]"));
  AttentionInputs biased = same(four, four);
  biased.bias = normal({3, 2}, 1);
  EXPECT_THAT(refusal(biased, {}), HasSubstr("what depends on distances needs bucket_of"));
  biased.bucket_of = [](int64_t distance) { return distance; };
  EXPECT_THAT(refusal(biased, {}),
              HasSubstr("bucket_of gives -3 for a distance of -3; expected 0 to 1"));
  biased.position_keys = normal({3, 3, 8}, 1);
  EXPECT_THAT(refusal(biased, {}),
              HasSubstr("expected position_keys [2, 3, 8], received [3, 3, 8]"));
  biased.position_keys = normal({2, 3, 8}, 1, at::kBFloat16);
  EXPECT_THAT(refusal(biased, {}), HasSubstr("expected position_keys in the type of q"));
  AttentionInputs turned = same(four, four);
  turned.rotary = rotary_of(rotary_frequencies(100, 8), 3);
  EXPECT_THAT(refusal(turned, {}), HasSubstr("expected cosine and sine [4 or more, pairs]"));
  turned.rotary = rotary_of(rotary_frequencies(100, 10), 4);
  EXPECT_THAT(refusal(turned, {}), HasSubstr("10 columns of a head cannot be rotated; it has 8"));
}

}  // namespace
}  // namespace hone::kernels
