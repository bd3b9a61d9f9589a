// Steps that an embedding table's rows still owe. A step without a gradient for a row is decay and
// the moments' tail: a function of the row and of the steps' numbers alone, so it can wait until
// the row is looked up, updated or read.
//
// Invariant: row r has seen the first seen_[r] of steps_. A row whose moments are both zero (never
// looked up) owes decay alone.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "tune/optim/adamw_simd.h"

namespace hone {

class LazyRows {
 public:
  // All [rows, width]; `shadow` may be undefined. Their memory is shared.
  LazyRows(const at::Tensor& value, const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq,
           const at::Tensor& shadow);

  // A step in which `rows` (ascending) have a gradient [rows, width] and all others none.
  void step(const AdamWStep& step, const std::vector<int64_t>& rows, const at::Tensor& gradient);
  void catch_up(const int64_t* rows, int64_t count);  // in any order, repeats allowed
  void catch_up_all();
  // For a checkpoint: how many steps each row has seen [rows] int32, whether it moves [rows] uint8,
  // the steps' numbers [steps, fields] fp32.
  struct Owed {
    at::Tensor seen, moving, steps;
  };
  Owed owed() const;
  // The same again, after value and moments were written as they stood then. Throws Error(kModel)
  // where the shapes are not owed()'s.
  void set_owed(const Owed& owed);
  void read_moments();  // after the moments were written by others: which rows are at rest

 private:
  void record(const AdamWStep& step);
  AdamWSlice slice(int64_t row, int64_t rows = 1) const;
  void catch_up_row(int64_t row, int64_t seen) const;

  at::Tensor value_, exp_avg_, exp_avg_sq_, shadow_;
  int64_t width_;
  std::vector<AdamWStep> steps_;
  std::vector<double> log_decay_ = {0};  // of the product over the first i steps
  std::vector<int32_t> seen_;
  std::vector<uint8_t> is_moving_;  // has a moment other than zero
};

// Takes the steps that rows owe, in tensors on any device: where rows do not wait, a run goes on
// that was begun on the CPU.
void settle_rows(const at::Tensor& value, const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq,
                 const LazyRows::Owed& owed);

}  // namespace hone
