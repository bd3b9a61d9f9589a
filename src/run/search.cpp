#include "run/search.h"

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "models/kernels/product.h"
#include "tasks/embedding/head.h"

namespace hone {
namespace {

constexpr int64_t kRowsOfBlock = 8192;

bool is_better(const Hit& a, const Hit& b) {
  return a.score > b.score || (a.score == b.score && a.row < b.row);
}

// The best k so far, the worst of them in front.
void offer(const Hit& hit, int64_t k, std::vector<Hit>& best) {
  if (static_cast<int64_t>(best.size()) == k) {
    if (!is_better(hit, best.front())) return;
    std::pop_heap(best.begin(), best.end(), is_better);
    best.pop_back();
  }
  best.push_back(hit);
  std::push_heap(best.begin(), best.end(), is_better);
}

}  // namespace

Corpus::Corpus(at::Tensor vectors)
    : vectors_(std::move(vectors)), rows_(vectors_.size(0)), width_(vectors_.size(1)) {}

Corpus::Corpus(const std::string& npy)
    : name_(npy),
      file_(std::make_unique<NpyMatrix>(npy)),
      rows_(file_->rows()),
      width_(file_->width()) {}

at::Tensor Corpus::block(int64_t begin, int64_t end) const {
  at::Tensor rows;
  if (file_) {
    auto* values = const_cast<float*>(file_->row(begin));  // not written to
    rows = at::from_blob(values, {end - begin, width_}, at::kFloat);
  } else {
    rows = vectors_.slice(0, begin, end);
  }
  const at::Tensor is_bad = rows.isfinite().all(1).logical_not();
  if (is_bad.any().item<bool>())
    throw Error(ErrorKind::kData, {name_},
                fmt::format("row {} (from 0) has what is no number; no text is near it or far.",
                            begin + is_bad.nonzero()[0].item<int64_t>()));
  return embedding::unit(rows);
}

std::vector<std::vector<Hit>> Corpus::search(const at::Tensor& queries, int64_t k) const {
  const at::Tensor units = embedding::unit(queries).contiguous();
  std::vector<std::vector<Hit>> best(static_cast<size_t>(queries.size(0)));
  for (int64_t begin = 0; begin < rows_; begin += kRowsOfBlock) {
    const int64_t end = std::min(begin + kRowsOfBlock, rows_);
    const at::Tensor scores = kernels::product(units, block(begin, end), std::nullopt);
    const float* values = scores.const_data_ptr<float>();
    at::parallel_for(0, queries.size(0), 1, [&](int64_t first, int64_t last) {
      for (int64_t q = first; q < last; ++q) {
        for (int64_t row = begin; row < end; ++row)
          offer({row, values[q * (end - begin) + row - begin]}, k, best[q]);
      }
    });
  }
  for (std::vector<Hit>& hits : best) std::sort(hits.begin(), hits.end(), is_better);
  return best;
}

}  // namespace hone
