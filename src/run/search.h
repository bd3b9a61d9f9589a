// Exact search by the cosine of vectors: every query with every text.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "run/npy.h"

namespace hone {

struct Hit {
  int64_t row;  // of the corpus, from 0
  float score;  // the cosine
};

// What is searched: vectors in memory or in a file, scaled to length 1 as they are needed; those of
// no length are like nothing, and score 0.
class Corpus {
 public:
  explicit Corpus(at::Tensor vectors);  // [rows, width] fp32, on the CPU
  explicit Corpus(const std::string& npy);

  int64_t rows() const { return rows_; }
  int64_t width() const { return width_; }

  // Of each query [Q, width] the k nearest rows, the nearest first; of equal scores the one that
  // stands first. Fewer where the corpus has fewer. The products are taken block by block, so that
  // memory holds Q numbers for each row of a block. Error(kData) for a row that is no number.
  std::vector<std::vector<Hit>> search(const at::Tensor& queries, int64_t k) const;

 private:
  at::Tensor block(int64_t begin, int64_t end) const;  // of length 1

  std::string name_;
  at::Tensor vectors_;  // one of the two
  std::unique_ptr<NpyMatrix> file_;
  int64_t rows_ = 0, width_ = 0;
};

}  // namespace hone
