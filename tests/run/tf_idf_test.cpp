#include "run/tf_idf.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace hone {
namespace {

// Special tokens around the ids, which are of text 0, or 1 from `second` on.
Sample sample_of(const std::vector<int32_t>& ids, size_t second = 100) {
  Sequence sequence;
  const auto push = [&](int32_t id, int32_t text) {
    sequence.ids.push_back(id);
    sequence.texts.push_back(text);
  };
  push(1, -1);
  for (size_t i = 0; i < ids.size(); ++i) push(ids[i], i < second ? 0 : 1);
  push(2, -1);
  return Sample{{sequence}};
}

SparseRows random_rows(int64_t rows, int64_t width) {
  SparseRows x;
  x.width = width;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = row % 3; column < width; column += 1 + row % 4) {
      x.columns.push_back(static_cast<int32_t>(column));
      x.values.push_back(static_cast<float>(std::sin(static_cast<double>(row * width + column))));
    }
    x.begins.push_back(static_cast<int64_t>(x.values.size()));
  }
  return x;
}

at::Tensor dense(const SparseRows& x) {
  at::Tensor out = at::zeros({x.rows(), x.width});
  for (int64_t row = 0; row < x.rows(); ++row) {
    for (int64_t i = x.begins[row]; i < x.begins[row + 1]; ++i)
      out[row][x.columns[i]] = x.values[i];
  }
  return out;
}

TEST(SparseRows, MultiplyAsTheDenseMatrixDoes) {
  const SparseRows x = random_rows(150, 37);
  const at::Tensor w = at::randn({37, 5});
  EXPECT_TRUE(x.times(w).allclose(dense(x).matmul(w), 1e-5, 1e-5));
  EXPECT_TRUE(dense(x.transposed()).equal(dense(x).t()));
}

// idf = ln((1 + samples) / (1 + samples with it)) + 1, rows of length 1.
TEST(TfIdf, IsThatOfItsFormula) {
  TfIdf features;
  const Sample a = sample_of({5, 6, 5, 6}), b = sample_of({5, 7, 6, 5});
  for (const Sample* sample : {&a, &b}) features.count(*sample);
  features.finish(100);
  EXPECT_EQ(features.width(), 4);  // 5, 6, 7 and the pair (6, 5), which stands in both
  SparseRows x;
  features.append(a, x);
  features.append(sample_of({9}), x);
  const double both = 1, of_a[] = {2 * both, 2 * both, both};  // 5, 6 twice, the pair once
  std::vector<float> expected;
  for (const double value : of_a) expected.push_back(static_cast<float>(value / 3));
  std::vector<float> got = {x.values.begin(), x.values.end()};
  std::sort(got.begin(), got.end(), std::greater<>());
  ASSERT_EQ(got.size(), 3U);
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(got[i], expected[i], 1e-6);
  EXPECT_EQ(x.begins.back(), x.begins[1]);  // nothing of an unknown token
  SparseRows of_b;
  features.append(b, of_b);
  const double rare = std::log(3.0 / 2) + 1, length = std::sqrt(4 + rare * rare + 1 + 1);
  EXPECT_NEAR(*std::max_element(of_b.values.begin(), of_b.values.end()), 2 / length, 1e-6);
}

TEST(TfIdf, TellsTheTextsOfAPairApart) {
  TfIdf features;
  const Sample pair = sample_of({5, 6, 5, 6}, 2);
  features.count(pair);
  features.count(pair);
  features.finish(100);
  EXPECT_EQ(features.width(), 6);  // 5, 6 and their pair in both; none across the border
}

TEST(TfIdf, KeepsTheMostFrequentWhereThereAreTooMany) {
  TfIdf features;
  features.count(sample_of({5, 6}));
  features.count(sample_of({5, 7}));
  features.finish(1);
  SparseRows x;
  features.append(sample_of({7, 5}), x);
  ASSERT_EQ(x.values.size(), 1U);
  EXPECT_EQ(x.values[0], 1);
}

}  // namespace
}  // namespace hone
