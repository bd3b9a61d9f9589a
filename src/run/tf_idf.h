// Texts as sparse rows: TF-IDF of tokens and of neighbours, as scikit-learn's TfidfVectorizer
// counts them (smooth_idf, rows of length 1).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "data/sample.h"

namespace hone {

// A sparse matrix by rows: those of row r are entries begins[r] .. begins[r + 1].
struct SparseRows {
  std::vector<int64_t> begins = {0};
  std::vector<int32_t> columns;
  std::vector<float> values;
  int64_t width = 0;

  int64_t rows() const { return static_cast<int64_t>(begins.size()) - 1; }
  SparseRows transposed() const;
  at::Tensor times(const at::Tensor& dense) const;  // [width, C] fp32 -> [rows, C]
};

// The tokens of a sample's first stream but the special ones, and each pair of neighbours; those of
// a second text are other ones than the first's.
class TfIdf {
 public:
  void count(const Sample& sample);
  // After the last: the at most `most` that stand in most samples are kept, of pairs those that
  // stand in two or more.
  void finish(size_t most);
  void append(const Sample& sample, SparseRows& rows) const;
  int64_t width() const { return static_cast<int64_t>(weights_.size()); }

 private:
  std::unordered_map<uint64_t, int64_t> samples_of_;  // by token or pair
  std::unordered_map<uint64_t, int32_t> columns_;
  std::vector<float> weights_;  // by column
  int64_t samples_ = 0;
};

}  // namespace hone
