#include "run/tf_idf.h"

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace hone {
namespace {

constexpr uint64_t kSecondText = uint64_t{1} << 63, kIds = uint64_t{1} << 31;

bool is_pair(uint64_t feature) { return (feature & (kSecondText - 1)) >= kIds; }

// Token `id` of a text, or it with the one before it.
uint64_t feature_of(int32_t id, int32_t before, int32_t text) {
  const uint64_t pair = before < 0 ? 0 : (static_cast<uint64_t>(before) + 1) << 31;
  return (text == 1 ? kSecondText : 0) | pair | static_cast<uint64_t>(id);
}

struct Counted {
  uint64_t feature;
  int64_t times;
};

// How often each feature stands in a sample, in the order of features.
std::vector<Counted> features_of(const Sample& sample) {
  std::vector<uint64_t> all;
  const Sequence& sequence = sample.streams.front();
  int32_t before = -1, text_before = -1;
  for (size_t i = 0; i < sequence.ids.size(); ++i) {
    const int32_t id = sequence.ids[i], text = sequence.texts[i];
    if (text >= 0) {
      all.push_back(feature_of(id, -1, text));
      if (text == text_before) all.push_back(feature_of(id, before, text));
    }
    before = id;
    text_before = text;
  }
  std::sort(all.begin(), all.end());
  std::vector<Counted> counts;
  for (const uint64_t feature : all) {
    if (counts.empty() || counts.back().feature != feature) counts.push_back({feature, 0});
    ++counts.back().times;
  }
  return counts;
}

}  // namespace

SparseRows SparseRows::transposed() const {
  SparseRows out;
  out.width = rows();
  out.begins.assign(static_cast<size_t>(width) + 1, 0);
  for (const int32_t column : columns) ++out.begins[static_cast<size_t>(column) + 1];
  for (size_t i = 1; i < out.begins.size(); ++i) out.begins[i] += out.begins[i - 1];
  out.columns.resize(columns.size());
  out.values.resize(values.size());
  std::vector<int64_t> next = out.begins;
  for (int64_t row = 0; row < rows(); ++row) {
    for (auto i = static_cast<size_t>(begins[row]); i < static_cast<size_t>(begins[row + 1]); ++i) {
      const auto to = static_cast<size_t>(next[static_cast<size_t>(columns[i])]++);
      out.columns[to] = static_cast<int32_t>(row);
      out.values[to] = values[i];
    }
  }
  return out;
}

at::Tensor SparseRows::times(const at::Tensor& dense) const {
  const int64_t outputs = dense.size(1);
  const at::Tensor from = dense.contiguous();
  at::Tensor out = at::zeros({rows(), outputs});
  const float* in = from.const_data_ptr<float>();
  float* to = out.mutable_data_ptr<float>();
  at::parallel_for(0, rows(), 64, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      for (int64_t i = begins[row]; i < begins[row + 1]; ++i) {
        const float* entry = in + columns[i] * outputs;
        for (int64_t o = 0; o < outputs; ++o) to[row * outputs + o] += values[i] * entry[o];
      }
    }
  });
  return out;
}

void TfIdf::count(const Sample& sample) {
  for (const auto& [feature, times] : features_of(sample)) ++samples_of_[feature];
  ++samples_;
}

void TfIdf::finish(size_t most) {
  std::vector<std::tuple<int64_t, uint64_t>> kept;  // the most frequent first, then by feature
  for (const auto& [feature, count] : samples_of_) {
    if (count > 1 || !is_pair(feature)) kept.emplace_back(-count, feature);
  }
  std::sort(kept.begin(), kept.end());
  kept.resize(std::min(kept.size(), most));
  for (const auto& [count, feature] : kept) {
    columns_.emplace(feature, static_cast<int32_t>(weights_.size()));
    const double share = (1.0 + static_cast<double>(samples_)) / (1.0 - static_cast<double>(count));
    weights_.push_back(static_cast<float>(std::log(share) + 1));
  }
  samples_of_.clear();
}

void TfIdf::append(const Sample& sample, SparseRows& rows) const {
  rows.width = width();
  const size_t first = rows.values.size();
  double squares = 0;
  for (const auto& [feature, times] : features_of(sample)) {
    const auto known = columns_.find(feature);
    if (known == columns_.end()) continue;
    const float value = static_cast<float>(times) * weights_[static_cast<size_t>(known->second)];
    rows.columns.push_back(known->second);
    rows.values.push_back(value);
    squares += static_cast<double>(value) * value;
  }
  for (size_t i = first; i < rows.values.size(); ++i)
    rows.values[i] = static_cast<float>(rows.values[i] / std::sqrt(squares));
  rows.begins.push_back(static_cast<int64_t>(rows.values.size()));
}

}  // namespace hone
