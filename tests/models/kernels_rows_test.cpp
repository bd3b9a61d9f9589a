// A row of an answer has the same bits whatever rows stand beside it, wherever it stands, and
// however many threads share the work. HONE_ATTACK=1: 1 to 300 rows and the shapes of real models.
#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "models/kernels/activation.h"
#include "models/kernels/attention.h"
#include "models/kernels/int8_product.h"
#include "models/kernels/norm.h"
#include "models/kernels/product.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::normal;
using testing::on_every_target;
using Kernel = std::function<at::Tensor(const at::Tensor&)>;

bool is_attack() { return std::getenv("HONE_ATTACK") != nullptr; }

// The long form takes the best instructions alone: it is about sizes.
void on_targets(const std::function<void()>& body) { is_attack() ? body() : on_every_target(body); }

// How many rows are tried: those around the blocks and tiles of the kernels.
std::vector<int64_t> counts_of_rows() {
  if (!is_attack()) return {1, 2, 3, 6, 7, 15, 16, 61, 64, 65, 129, 200};
  std::vector<int64_t> all(300);
  std::iota(all.begin(), all.end(), 1);
  return all;
}

// in and out of a layer.
std::vector<std::pair<int64_t, int64_t>> shapes() {
  if (!is_attack()) return {{96, 80}, {1536, 48}, {48, 1}, {40, 77}, {384, 130}, {259, 45}};
  return {{384, 384}, {384, 1152}, {384, 1536}, {1536, 384}, {384, 1}, {384, 12},   {384, 77},
          {384, 118}, {768, 768},  {768, 3072}, {3072, 768}, {768, 5}, {312, 1200}, {100, 36}};
}

constexpr int kMostThreads = 3;

// Puts the number of threads back.
class Threads {
 public:
  ~Threads() { at::set_num_threads(before_); }

 private:
  const int before_ = at::get_num_threads();
};

// The kernel on all rows of x against it on some of them: the first, and those that end at the
// last.
void expect_rows_alone(const at::Tensor& x, const Kernel& kernel) {
  const Threads restored;
  at::set_num_threads(1);
  const at::Tensor whole = kernel(x);
  for (int threads = 1; threads <= kMostThreads; ++threads) {
    at::set_num_threads(threads);
    EXPECT_TRUE(kernel(x).equal(whole)) << threads << " threads";
    for (const int64_t count : counts_of_rows()) {
      const int64_t first = (count + threads) % 2 == 0 ? 0 : x.size(0) - count;
      ASSERT_TRUE(kernel(x.narrow(0, first, count)).equal(whole.narrow(0, first, count)))
          << count << " rows from " << first << " on " << threads << " threads";
    }
  }
}

// bf16 is multiplied as it is where the processor can, else on widened values.
enum class Arithmetic { kFp32, kBf16, kWidenedBf16 };

class KernelsRows : public ::testing::TestWithParam<Arithmetic> {
 protected:
  void SetUp() override {
    if (GetParam() == Arithmetic::kWidenedBf16) at::globalContext().setUserEnabledMkldnn(false);
  }
  void TearDown() override { at::globalContext().setUserEnabledMkldnn(true); }
  static at::Tensor input(at::IntArrayRef shape, uint64_t seed) {
    return normal(shape, seed, GetParam() == Arithmetic::kFp32 ? at::kFloat : at::kBFloat16);
  }
};
std::string name_of(const ::testing::TestParamInfo<Arithmetic>& info) {
  return info.param == Arithmetic::kFp32   ? "Fp32"
         : info.param == Arithmetic::kBf16 ? "Bf16"
                                           : "WidenedBf16";
}
INSTANTIATE_TEST_SUITE_P(Types, KernelsRows,
                         ::testing::Values(Arithmetic::kFp32, Arithmetic::kBf16,
                                           Arithmetic::kWidenedBf16),
                         name_of);

constexpr int64_t kRows = 310;

TEST_P(KernelsRows, OfProducts) {
  on_targets([&] {
    for (const auto& [in, out] : shapes()) {
      SCOPED_TRACE(::testing::Message() << in << " to " << out);
      const at::Tensor weight = input({out, in}, 2), bias = normal({out}, 3);
      expect_rows_alone(input({kRows, in}, 1),
                        [&](const at::Tensor& x) { return product(x, weight, bias); });
    }
  });
}

TEST(KernelsRowsOfInt8, OfProducts) {
  on_targets([] {
    for (const auto& [in, out] : shapes()) {
      SCOPED_TRACE(::testing::Message() << in << " to " << out);
      const at::Tensor bias = normal({out}, 3);
      const Int8Rows weight{at::empty({out, in}, at::kChar), at::empty({out})};
      round_rows(normal({out, in}, 2), weight, weight_levels());
      expect_rows_alone(normal({kRows, in}, 1),
                        [&](const at::Tensor& x) { return int8_product(x, weight, bias); });
    }
  });
}

TEST_P(KernelsRows, OfNormsAndActivations) {
  on_targets([&] {
    for (const int64_t columns : {384, 77}) {
      const at::Tensor weight = normal({columns}, 2), bias = normal({columns}, 3);
      expect_rows_alone(input({kRows, columns}, 1), [&](const at::Tensor& x) {
        return dropout_add_layer_norm(x, x, weight, bias, 1e-12, {});
      });
      for (const Activation activation : {Activation::kGelu, Activation::kTanh}) {
        expect_rows_alone(input({kRows, columns}, 1), [&](const at::Tensor& x) {
          return bias_activation(x, bias, activation);
        });
      }
    }
  });
}

// Sequences of the given lengths, one after the other.
at::Tensor starts_of(const std::vector<int64_t>& lengths) {
  std::vector<int32_t> starts = {0};
  for (const int64_t length : lengths)
    starts.push_back(starts.back() + static_cast<int32_t>(length));
  return at::tensor(starts, at::kInt);
}

TEST_P(KernelsRows, OfAttention) {
  const Threads restored;
  std::vector<int64_t> lengths = {1, 2, 3, 7, 8, 9, 16, 31, 64, 65, 130};
  if (is_attack()) lengths = counts_of_rows();
  const int64_t tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  on_targets([&] {
    for (const int64_t dim : {32, 24}) {
      const at::Tensor qkv = input({tokens, 3 * 12, dim}, 1);
      const auto attend = [&](int64_t first, const std::vector<int64_t>& of) {
        const int64_t count = std::accumulate(of.begin(), of.end(), int64_t{0});
        return attention({.joined = qkv.narrow(0, first, count),
                          .of_q = {starts_of(of), *std::max_element(of.begin(), of.end())}},
                         {});
      };
      at::set_num_threads(1);
      const at::Tensor whole = attend(0, lengths);
      for (int threads = 1; threads <= kMostThreads; ++threads) {
        at::set_num_threads(threads);
        EXPECT_TRUE(attend(0, lengths).equal(whole)) << threads << " threads";
        int64_t first = 0;
        for (const int64_t length : lengths) {
          EXPECT_TRUE(attend(first, {length}).equal(whole.narrow(0, first, length)))
              << length << " tokens on " << threads << " threads";
          first += length;
        }
      }
    }
  });
}

// Everything at once: more keys than queries, grouped heads, a window, rotation and all that
// depends on distances.
TEST_P(KernelsRows, OfAttentionBetweenTwoStreams) {
  const Threads restored;
  const std::vector<int64_t> queries = {1, 2, 9, 64, 65, 130}, keys = {300, 2, 12, 70, 65, 320};
  const auto sum = [](const auto& x) { return std::accumulate(x.begin(), x.end(), int64_t{0}); };
  const at::Tensor q = input({sum(queries), 4, 24}, 1), k = input({sum(keys), 2, 24}, 2),
                   v = input({sum(keys), 2, 24}, 3), bias = input({4, 6}, 4),
                   position_keys = input({6, 4, 24}, 5), position_queries = input({6, 4, 24}, 6);
  const Rotary rotary = rotary_of(rotary_frequencies(100, 16), 320);
  const auto attend = [&](size_t first, size_t end) {
    const auto part = [&](const std::vector<int64_t>& of) {
      return std::vector<int64_t>(of.begin() + first, of.begin() + end);
    };
    const auto rows = [&](const at::Tensor& x, const std::vector<int64_t>& of) {
      return x.narrow(0, sum(std::vector<int64_t>(of.begin(), of.begin() + first)), sum(part(of)));
    };
    const auto stretches = [&](const std::vector<int64_t>& of) {
      return Stretches{starts_of(of), *std::max_element(of.begin(), of.end())};
    };
    const AttentionInputs inputs{
        .q = rows(q, queries),
        .k = rows(k, keys),
        .v = rows(v, keys),
        .of_q = stretches(part(queries)),
        .of_k = stretches(part(keys)),
        .rotary = rotary,
        .bucket_of = [](int64_t distance) { return std::min<int64_t>(5, std::abs(distance)); },
        .bias = bias,
        .position_keys = position_keys,
        .position_queries = position_queries};
    return attention(inputs, {.window = 100});
  };
  on_targets([&] {
    at::set_num_threads(1);
    const at::Tensor whole = attend(0, queries.size());
    for (int threads = 1; threads <= kMostThreads; ++threads) {
      at::set_num_threads(threads);
      EXPECT_TRUE(attend(0, queries.size()).equal(whole)) << threads << " threads";
      int64_t first = 0;
      for (size_t i = 0; i < queries.size(); ++i) {
        EXPECT_TRUE(attend(i, i + 1).equal(whole.narrow(0, first, queries[i])))
            << queries[i] << " queries on " << threads << " threads";
        first += queries[i];
      }
    }
  });
}

}  // namespace
}  // namespace hone::kernels
