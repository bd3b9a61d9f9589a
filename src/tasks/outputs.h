// What a head gives for a batch: one tensor for most tasks, which is then all that they see of this
// header; several where a task answers more than one question, or where its loss and its decoder
// read weights of the head.
#pragma once

#include <ATen/core/Tensor.h>

#include <initializer_list>
#include <vector>

#include "base/error.h"

namespace hone {

// What a row of an output belongs to: a sample [S, …]; a token of the last stream [N, …]; or all of
// the batch: the tensor is not cut, every sample has all of it.
enum class RowOf { kSample, kToken, kBatch };

struct Output {
  at::Tensor values;  // fp32
  RowOf row_of = RowOf::kSample;
};

class Outputs {
 public:
  Outputs() = default;
  Outputs(at::Tensor of_samples) : all_{{std::move(of_samples)}} {}  // a row for each sample
  Outputs(std::initializer_list<Output> all) : all_(all) {}
  explicit Outputs(std::vector<Output> all) : all_(std::move(all)) {}

  // The only one.
  operator at::Tensor() const {
    if (all_.size() != 1)
      throw Error(ErrorKind::kInternal, "a head's only output was asked for, but it has several");
    return all_.front().values;
  }
  const at::Tensor& operator[](size_t index) const { return all_.at(index).values; }
  const std::vector<Output>& all() const { return all_; }

 private:
  std::vector<Output> all_;
};

}  // namespace hone
