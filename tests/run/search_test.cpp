#include "run/search.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/random.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::TemporaryFolder;

at::Tensor random_vectors(int64_t rows, int64_t width, uint64_t seed) {
  RandomStream random(seed);
  at::Tensor vectors = at::empty({rows, width});
  for (int64_t i = 0; i < vectors.numel(); ++i)
    vectors.data_ptr<float>()[i] = static_cast<float>(random.normal());
  return vectors;
}

std::vector<int64_t> rows_of(const std::vector<Hit>& hits) {
  std::vector<int64_t> rows;
  for (const Hit& hit : hits) rows.push_back(hit.row);
  return rows;
}

void write_npy(const std::string& path, const at::Tensor& vectors) {
  NpyWriter file(path, vectors.size(1));
  file.add({vectors.const_data_ptr<float>(), static_cast<size_t>(vectors.numel())});
  file.commit();
}

// More rows than one block holds, against every product by itself in fp64.
TEST(Search, FindsTheNearestOfAllRows) {
  const at::Tensor corpus = random_vectors(20'000, 24, 1), queries = random_vectors(5, 24, 2);
  const auto found = Corpus(corpus).search(queries, 7);
  const at::Tensor a = queries.to(at::kDouble), b = corpus.to(at::kDouble);
  const at::Tensor exact = (a / a.norm(2, 1, true)).matmul((b / b.norm(2, 1, true)).t());
  for (int64_t q = 0; q < 5; ++q) {
    const auto [scores, rows] = exact[q].topk(7);
    for (int64_t i = 0; i < 7; ++i) {
      EXPECT_EQ(found[q][i].row, rows[i].item<int64_t>());
      EXPECT_NEAR(found[q][i].score, scores[i].item<double>(), 1e-5);
    }
  }
}

TEST(Search, OfEqualScoresTakesTheFirstRows) {
  at::Tensor corpus = at::ones({9'000, 3});
  corpus[8'500] *= -1;
  EXPECT_EQ(rows_of(Corpus(corpus).search(at::ones({1, 3}), 3)[0]),
            (std::vector<int64_t>{0, 1, 2}));
}

TEST(Search, OfASmallCorpusGivesAllOfIt) {
  const at::Tensor corpus = at::eye(2);
  EXPECT_EQ(rows_of(Corpus(corpus).search(at::tensor({0.1F, 1.0F}).view({1, 2}), 10)[0]),
            (std::vector<int64_t>{1, 0}));
  EXPECT_TRUE(Corpus(at::empty({0, 2})).search(at::eye(2), 10)[0].empty());
}

TEST(Search, ScoresVectorsOfNoLengthZero) {
  const auto hits = Corpus(at::zeros({2, 3})).search(at::ones({1, 3}), 2)[0];
  EXPECT_EQ(hits[0].score, 0);
  EXPECT_EQ(hits[0].row, 0);
}

TEST(Search, RefusesRowsThatAreNoNumbers) {
  const TemporaryFolder folder;
  at::Tensor corpus = at::ones({9'000, 3});
  corpus[8'700][1] = std::numeric_limits<float>::quiet_NaN();
  write_npy(folder / "corpus.npy", corpus);
  EXPECT_THAT(error_of([&] { Corpus(folder / "corpus.npy").search(at::ones({1, 3}), 2); }),
              HasSubstr("corpus.npy: row 8700 (from 0) has what is no number"));
}

TEST(Search, OfAFileIsThatOfItsRows) {
  const TemporaryFolder folder;
  const at::Tensor corpus = random_vectors(100, 8, 3), queries = random_vectors(4, 8, 4);
  write_npy(folder / "corpus.npy", corpus);
  const auto a = Corpus(folder / "corpus.npy").search(queries, 5),
             b = Corpus(corpus).search(queries, 5);
  for (size_t q = 0; q < 4; ++q) EXPECT_EQ(rows_of(a[q]), rows_of(b[q]));
}

TEST(Npy, RefusesWhatIsNoMatrixOfFloats) {
  const TemporaryFolder folder;
  write_npy(folder / "a.npy", at::ones({2, 3}));
  const std::string good = read_file(folder / "a.npy", ErrorKind::kData);
  const auto error = [&](const std::string& bytes) {
    return error_of([&] { NpyMatrix(folder.write("b.npy", bytes)); });
  };
  const auto edited = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  EXPECT_EQ(error(good), "no error");
  EXPECT_THAT(error("text"), HasSubstr("b.npy: is no .npy file"));
  EXPECT_THAT(error(good.substr(0, 40)), HasSubstr("is no .npy file"));
  EXPECT_THAT(error(edited("<f4", "<f8")), HasSubstr("'descr': '<f8'"));
  EXPECT_THAT(error(edited("False", "True ")), HasSubstr("'fortran_order': True"));
  EXPECT_THAT(error(edited("(2, 3)", "(2,)  ")), HasSubstr("'shape': (2,)"));
  EXPECT_THAT(error(edited("(2, 3)", "(9, 3)")), HasSubstr("names 9 rows of 3 numbers, but holds"));
  EXPECT_THAT(error(edited("(2, 3)", "(2, 0)")), HasSubstr("rows of 0 numbers"));
  EXPECT_THAT(error(good.substr(0, good.size() - 1)), HasSubstr("but holds 23 bytes"));
}

}  // namespace
}  // namespace hone
