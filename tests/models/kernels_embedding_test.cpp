#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "models/kernels/embedding.h"
#include "models/kernels_testing.h"

namespace hone::kernels {
namespace {

using testing::error;
using testing::normal;
using testing::on_every_target;

at::Tensor random_ids(int64_t count, int64_t rows, uint64_t seed) {
  return at::randint(rows, {count}, at::make_generator<at::CPUGeneratorImpl>(seed),
                     at::TensorOptions(at::kLong));
}
at::Tensor make_table(int64_t rows, int64_t width) {
  return normal({rows, width}, 1).requires_grad_();
}

c10::intrusive_ptr<TableRows> make_rows() { return c10::make_intrusive<TableRows>(); }

at::Tensor dense_gradient(const at::Tensor& table, const at::Tensor& ids,
                          const at::Tensor& gradient) {
  return at::zeros_like(table, at::kDouble).index_add(0, ids, gradient.to(at::kDouble));
}

TEST(KernelsEmbedding, LooksUpAndSumsOnEveryInstructionSet) {
  on_every_target([] {
    for (const int64_t rows :
         {2, 50, 5000}) {  // 2 rows: each occurs far more often than one task sums
      for (const int64_t width : {5, 384}) {
        const at::Tensor table = make_table(rows, width), ids = random_ids(1500, rows, 2),
                         gradient = normal({1500, width}, 3);
        for (const auto& known : {make_rows(), c10::intrusive_ptr<TableRows>()}) {
          table.mutable_grad() = at::Tensor();
          const at::Tensor out = kernels::embedding(table, ids, known);
          ASSERT_TRUE(at::equal(out, table.index_select(0, ids)));
          out.backward(gradient);
          EXPECT_LT(error(table.grad(), dense_gradient(table, ids, gradient)), 1e-6);
        }
      }
    }
  });
}

TEST(KernelsEmbedding, TheRowOfPaddingGetsNoGradient) {
  for (const int64_t padding : {-1, 0, 2, 3}) {
    SCOPED_TRACE(padding);
    const at::Tensor ids = random_ids(1500, 4, 2), gradient = normal({1500, 24}, 3);
    for (const auto& known : {make_rows(), c10::intrusive_ptr<TableRows>()}) {
      const at::Tensor table = make_table(4, 24);
      at::Tensor expected = dense_gradient(table, ids, gradient);
      if (padding >= 0) expected[padding].zero_();
      const at::Tensor out = kernels::embedding(table, ids, known, padding);
      EXPECT_TRUE(at::equal(out, table.index_select(0, ids)));
      out.backward(gradient);
      EXPECT_LT(error(table.grad(), expected), 1e-6);
      if (!known) continue;
      std::vector<int64_t> others = {0, 1, 2, 3};
      std::erase(others, padding);
      ASSERT_NE(known->touched(table.grad()), nullptr);
      EXPECT_EQ(*known->touched(table.grad()), others);
    }
  }
}

TEST(KernelsEmbedding, MicroBatchesAddUpAndRowsAreRemembered) {
  const at::Tensor table = make_table(100, 24), ids = random_ids(40, 100, 2),
                   gradient = normal({40, 24}, 3);
  const auto rows = make_rows();
  for (const int64_t step : {0, 1, 2}) {
    SCOPED_TRACE(step);
    const at::Tensor now = (ids + step * 7) % 100;
    for (const int64_t begin : {0, 10, 30}) {
      const int64_t end = begin == 0 ? 10 : begin == 10 ? 30 : 40;
      kernels::embedding(table, now.slice(0, begin, end), rows)
          .backward(gradient.slice(0, begin, end));
    }
    EXPECT_LT(error(table.grad(), dense_gradient(table, now, gradient)), 1e-6);
    ASSERT_NE(rows->touched(table.grad()), nullptr);
    const at::Tensor expected = std::get<0>(at::_unique(now));
    EXPECT_TRUE(at::equal(at::tensor(*rows->touched(table.grad()), at::kLong), expected));
    table.mutable_grad() = at::Tensor();
  }
}

TEST(KernelsEmbedding, AGradientThatSomebodyKeepsIsNotOverwritten) {
  const at::Tensor table = make_table(10, 8), ids = at::tensor({1, 2}, at::kLong);
  const auto rows = make_rows();
  kernels::embedding(table, ids, rows).backward(at::ones({2, 8}));
  const at::Tensor kept = table.grad(), copy = kept.clone();
  table.mutable_grad() = at::Tensor();
  kernels::embedding(table, ids, rows).backward(at::ones({2, 8}) * 5);
  EXPECT_TRUE(at::equal(kept, copy));
  EXPECT_FALSE(at::equal(table.grad(), copy));
}

TEST(KernelsEmbedding, AnotherWriterMakesEveryRowSuspect) {
  const at::Tensor table = make_table(10, 8), ids = at::tensor({1, 2}, at::kLong);
  const auto rows = make_rows();
  (kernels::embedding(table, ids, rows).sum() + (table * 3).sum()).backward();
  EXPECT_EQ(rows->touched(table.grad()), nullptr);
  EXPECT_EQ(table.grad()[1][0].item<float>(), 4);
  EXPECT_EQ(table.grad()[5][0].item<float>(), 3);
  table.mutable_grad() = at::Tensor();
  kernels::embedding(table, ids, rows).sum().backward();  // and leaves nothing behind
  EXPECT_EQ(table.grad()[1][0].item<float>(), 1);
  EXPECT_EQ(table.grad()[5][0].item<float>(), 0);
  table.grad().zero_();  // in place, as some zero_grad does
  kernels::embedding(table, ids, rows).sum().backward();
  EXPECT_EQ(table.grad().sum().item<float>(), 16);
}

TEST(KernelsEmbedding, OtherUsesGetAnOrdinaryGradient) {
  const at::Tensor table = make_table(10, 8), ids = at::tensor({1, 2, 1}, at::kLong);
  const auto rows = make_rows();
  const at::Tensor asked =
      torch::autograd::grad({kernels::embedding(table, ids, rows).sum()}, {table})[0];
  EXPECT_EQ(asked.sum().item<float>(), 24);
  EXPECT_FALSE(table.grad().defined());
  kernels::embedding(table * 2, ids, rows).sum().backward();  // a table that is computed
  EXPECT_EQ(table.grad()[1][0].item<float>(), 4);
  const c10::InferenceMode guard;
  EXPECT_EQ(kernels::embedding(table, ids, rows).size(0), 3);
}

TEST(KernelsEmbedding, GradientIsTheSameBitsWithAnyNumberOfThreads) {
  const int before = at::get_num_threads();
  const auto run = [](int threads) {
    at::set_num_threads(threads);
    const at::Tensor table = make_table(7, 32);
    kernels::embedding(table, random_ids(5000, 7, 2), make_rows()).backward(normal({5000, 32}, 3));
    return table.grad();
  };
  const at::Tensor one = run(1), four = run(4);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one, four));
}

TEST(KernelsEmbedding, TellsItsListenerTheIdsBeforehand) {
  const at::Tensor table = make_table(10, 4);
  const auto rows = make_rows();
  std::vector<int64_t> heard;
  rows->before_lookup([&](const int64_t* ids, int64_t count) {
    heard.assign(ids, ids + count);
    const at::NoGradGuard no_grad;
    table.mutable_data_ptr<float>()[3 * 4] = 42;
  });
  EXPECT_EQ(kernels::embedding(table, at::tensor({3, 5}, at::kLong), rows)[0][0].item<float>(), 42);
  EXPECT_EQ(heard, (std::vector<int64_t>{3, 5}));
  rows->before_lookup({});
  heard.clear();
  kernels::embedding(table, at::tensor({3}, at::kLong), rows);
  EXPECT_TRUE(heard.empty());
}

}  // namespace
}  // namespace hone::kernels
