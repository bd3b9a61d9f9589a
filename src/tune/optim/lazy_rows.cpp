#include "tune/optim/lazy_rows.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace hone {
namespace {

constexpr int64_t kStepFields = 9;

}  // namespace

LazyRows::LazyRows(const at::Tensor& value, const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq,
                   const at::Tensor& shadow)
    : value_(value.detach()),
      exp_avg_(exp_avg),
      exp_avg_sq_(exp_avg_sq),
      shadow_(shadow),
      width_(value.size(1)),
      seen_(static_cast<size_t>(value.size(0)), 0),
      is_moving_(static_cast<size_t>(value.size(0)), 0) {
  read_moments();
}

void LazyRows::read_moments() {
  const at::Tensor moving = exp_avg_sq_.ne(0).logical_or(exp_avg_.ne(0)).any(1).contiguous();
  std::copy_n(moving.const_data_ptr<bool>(), is_moving_.size(), is_moving_.begin());
}

AdamWSlice LazyRows::slice(int64_t row, int64_t rows) const {
  const int64_t offset = row * width_;
  return {.count = rows * width_,
          .value = value_.mutable_data_ptr<float>() + offset,
          .exp_avg = exp_avg_.mutable_data_ptr<float>() + offset,
          .exp_avg_sq = exp_avg_sq_.mutable_data_ptr<float>() + offset,
          .shadow = shadow_.defined() ? static_cast<uint16_t*>(shadow_.mutable_data_ptr()) + offset
                                      : nullptr};
}

void LazyRows::catch_up_row(int64_t row, int64_t seen) const {
  const int64_t owed = static_cast<int64_t>(steps_.size()) - seen;
  if (is_moving_[row])
    return adamw_replay(steps_.data() + seen, log_decay_.data() + seen, owed, slice(row));
  const float factor = owed == 1
                           ? steps_[seen].decay
                           : static_cast<float>(std::exp(log_decay_.back() - log_decay_[seen]));
  if (factor != 1) scale_values(factor, slice(row));
}

void LazyRows::catch_up(const int64_t* rows, int64_t count) {
  const int32_t now = static_cast<int32_t>(steps_.size());
  std::vector<std::pair<int64_t, int32_t>> owing;  // row, steps seen
  for (int64_t i = 0; i < count; ++i) {
    int32_t& seen = seen_.at(static_cast<size_t>(rows[i]));
    if (seen == now) continue;
    owing.emplace_back(rows[i], seen);
    seen = now;
  }
  at::parallel_for(0, static_cast<int64_t>(owing.size()), 4, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) catch_up_row(owing[i].first, owing[i].second);
  });
}

void LazyRows::catch_up_all() {
  if (steps_.empty()) return;
  const int32_t now = static_cast<int32_t>(steps_.size());
  at::parallel_for(0, static_cast<int64_t>(seen_.size()), 64, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      if (seen_[row] != now) catch_up_row(row, seen_[row]);
    }
  });
  std::fill(seen_.begin(), seen_.end(), 0);
  steps_.clear();
  log_decay_ = {0};
}

LazyRows::Owed LazyRows::owed() const {
  static_assert(sizeof(AdamWStep) == kStepFields * sizeof(float));
  const int64_t rows = static_cast<int64_t>(seen_.size()),
                count = static_cast<int64_t>(steps_.size());
  const Owed owed{at::empty({rows}, at::kInt), at::empty({rows}, at::kByte),
                  at::empty({count, kStepFields}, at::kFloat)};
  std::copy(seen_.begin(), seen_.end(), owed.seen.mutable_data_ptr<int32_t>());
  std::copy(is_moving_.begin(), is_moving_.end(), owed.moving.mutable_data_ptr<uint8_t>());
  if (count > 0)
    std::memcpy(owed.steps.mutable_data_ptr<float>(), steps_.data(), owed.steps.nbytes());
  return owed;
}

void LazyRows::set_owed(const Owed& owed) {
  const auto has_rows = [&](const at::Tensor& x, at::ScalarType type) {
    return x.scalar_type() == type && x.dim() == 1 && x.size(0) == value_.size(0);
  };
  const bool fits =
      has_rows(owed.seen, at::kInt) && has_rows(owed.moving, at::kByte) &&
      owed.steps.scalar_type() == at::kFloat && owed.steps.dim() == 2 &&
      owed.steps.size(1) == kStepFields &&
      owed.seen.ge(0).logical_and(owed.seen.le(owed.steps.size(0))).all().item<bool>();
  if (!fits)
    throw Error(
        ErrorKind::kModel,
        "optimizer state: the steps that an embedding table's rows have seen do not fit the table");
  std::copy_n(owed.seen.contiguous().const_data_ptr<int32_t>(), seen_.size(), seen_.begin());
  std::copy_n(owed.moving.contiguous().const_data_ptr<uint8_t>(), is_moving_.size(),
              is_moving_.begin());
  steps_.clear();
  log_decay_ = {0};
  const at::Tensor numbers = owed.steps.contiguous();
  for (int64_t i = 0; i < numbers.size(0); ++i) {
    AdamWStep step;
    std::memcpy(static_cast<void*>(&step), numbers.const_data_ptr<float>() + i * kStepFields,
                sizeof step);
    record(step);
  }
}

void LazyRows::record(const AdamWStep& step) {
  steps_.push_back(step);
  log_decay_.push_back(log_decay_.back() + std::log(static_cast<double>(step.decay)));
}

void LazyRows::step(const AdamWStep& step, const std::vector<int64_t>& rows,
                    const at::Tensor& gradient) {
  catch_up(rows.data(), static_cast<int64_t>(rows.size()));
  record(step);
  const float* gradients = gradient.const_data_ptr<float>();
  at::parallel_for(0, static_cast<int64_t>(rows.size()), 16, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      AdamWSlice updated = slice(rows[i]);
      updated.gradient = gradients + rows[i] * width_;
      adamw_update(step, updated);
    }
  });
  for (const int64_t row : rows) {
    seen_[row] = static_cast<int32_t>(steps_.size());
    is_moving_[row] = 1;
  }
}

void settle_rows(const at::Tensor& value, const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq,
                 const LazyRows::Owed& owed) {
  const c10::AutoGradMode no_grad(false);
  const at::Tensor values = value.detach().cpu(), mean = exp_avg.cpu(), square = exp_avg_sq.cpu();
  LazyRows waiting(values, mean, square, {});
  waiting.set_owed(owed);
  waiting.catch_up_all();
  value.detach().copy_(values);
  exp_avg.copy_(mean);
  exp_avg_sq.copy_(square);
}

}  // namespace hone
