#include "tune/optim/adamw.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "models/kernels/embedding.h"
#include "models/lazy_zeros.h"
#include "tune/optim/adamw_fused.h"
#include "tune/optim/adamw_simd.h"
#include "tune/optim/lazy_rows.h"

namespace hone {
namespace {

constexpr int64_t kPiece = 16384;  // values that one task takes: 64 KiB of each array

// A stretch of one array: the unit of work, and of summation.
struct Piece {
  size_t index;
  int64_t begin, end;
};

void cut(size_t index, int64_t begin, int64_t end, std::vector<Piece>& pieces) {
  for (int64_t from = begin; from < end; from += kPiece)
    pieces.push_back({index, from, std::min(end, from + kPiece)});
}

template <class Body>
void for_pieces(const std::vector<Piece>& pieces, const Body& body) {
  at::parallel_for(0, static_cast<int64_t>(pieces.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) body(i, pieces[i]);
  });
}

}  // namespace

struct AdamW::Slot {
  AdamWParameter parameter;
  at::Tensor exp_avg, exp_avg_sq;  // undefined before the first gradient, which tells whether it
                                   // has few rows, or load_state
  std::shared_ptr<LazyRows>
      rows;  // of a table that kernels::embedding looks up, from its first step on

  void make_moments(Touched touched) {
    if (exp_avg.defined()) return;
    const at::Tensor& value = parameter.value;
    exp_avg = value.is_cpu() ? lazy_zeros(value.sizes(), touched)
                             : at::zeros_like(value, value.options().requires_grad(false));
    exp_avg_sq = value.is_cpu() ? lazy_zeros(value.sizes(), touched) : at::zeros_like(exp_avg);
  }

  void add_to(FusedParameters& step) const {
    const at::Tensor value = parameter.value.detach();
    step.values.push_back(value);
    step.gradients.push_back(parameter.value.grad().to(at::kFloat).contiguous());
    step.exp_avgs.push_back(exp_avg);
    step.exp_avg_sqs.push_back(exp_avg_sq);
    if (!parameter.shadow.defined()) return;
    step.shadows.push_back(parameter.shadow);
    step.shadowed.push_back(value);
  }

  AdamWSlice slice(int64_t begin, int64_t end, const float* gradient) const {
    const at::Tensor& shadow = parameter.shadow;
    return {.count = end - begin,
            .value = parameter.value.mutable_data_ptr<float>() + begin,
            .gradient = gradient + begin,
            .exp_avg = exp_avg.mutable_data_ptr<float>() + begin,
            .exp_avg_sq = exp_avg_sq.mutable_data_ptr<float>() + begin,
            .shadow = shadow.defined() ? static_cast<uint16_t*>(shadow.mutable_data_ptr()) + begin
                                       : nullptr};
  }
};

AdamW::AdamW(std::vector<AdamWParameter> parameters, AdamWOptions options) : options_(options) {
  for (AdamWParameter& parameter : parameters) {
    TORCH_CHECK(parameter.value.scalar_type() == at::kFloat && parameter.value.is_contiguous(),
                "[AdamW] expected a contiguous fp32 parameter, received \"", parameter.name, "\"");
    slots_.push_back({std::move(parameter), {}, {}, nullptr});
  }
}

AdamW::~AdamW() {
  flush();
  for (const Slot& slot : slots_) {
    if (slot.rows != nullptr) kernels::before_lookup(slot.parameter.value, {});
  }
}

void AdamW::flush() {
  for (Slot& slot : slots_) {
    if (slot.rows != nullptr) slot.rows->catch_up_all();
  }
}

void AdamW::step(double learning_rate, double gradient_scale) {
  ++steps_;
  const double t = static_cast<double>(steps_);
  AdamWStep numbers;
  numbers.gradient_scale = static_cast<float>(gradient_scale);
  numbers.beta1 = static_cast<float>(options_.beta1);
  numbers.beta2 = static_cast<float>(options_.beta2);
  numbers.one_minus_beta1 = static_cast<float>(1 - options_.beta1);
  numbers.one_minus_beta2 = static_cast<float>(1 - options_.beta2);
  numbers.step_size = static_cast<float>(learning_rate / (1 - std::pow(options_.beta1, t)));
  numbers.inverse_root = static_cast<float>(1 / std::sqrt(1 - std::pow(options_.beta2, t)));
  numbers.eps = static_cast<float>(options_.eps);
  std::vector<std::pair<Slot*, AdamWStep>> dense;
  FusedParameters decaying, others;  // not on the CPU
  for (Slot& slot : slots_) {
    if (!slot.parameter.value.grad().defined()) continue;
    numbers.decay =
        slot.parameter.decays ? static_cast<float>(1 - learning_rate * options_.weight_decay) : 1;
    const std::vector<int64_t>* rows = kernels::touched_rows(slot.parameter.value);
    slot.make_moments(rows != nullptr ? Touched::kSparse : Touched::kWhole);
    if (!slot.parameter.value.is_cpu()) {
      slot.add_to(slot.parameter.decays ? decaying : others);
    } else if (rows != nullptr) {
      update_table(slot, numbers, *rows);
    } else {
      dense.emplace_back(&slot, numbers);
    }
  }
  update_dense(dense);
  adamw_fused(decaying, options_, steps_, learning_rate, gradient_scale, options_.weight_decay);
  adamw_fused(others, options_, steps_, learning_rate, gradient_scale, 0);
}

void AdamW::watch_rows(Slot& slot) {
  if (slot.rows != nullptr) return;
  const AdamWParameter& parameter = slot.parameter;
  slot.rows =
      std::make_shared<LazyRows>(parameter.value, slot.exp_avg, slot.exp_avg_sq, parameter.shadow);
  kernels::before_lookup(parameter.value, [rows = slot.rows](const int64_t* ids, int64_t count) {
    rows->catch_up(ids, count);
  });
}

void AdamW::update_table(Slot& slot, const AdamWStep& step, const std::vector<int64_t>& touched) {
  watch_rows(slot);
  slot.rows->step(step, touched, slot.parameter.value.grad());
  if (!options_.lazy_rows) slot.rows->catch_up_all();
}

void AdamW::update_dense(const std::vector<std::pair<Slot*, AdamWStep>>& work) {
  std::vector<Piece> pieces;
  std::vector<at::Tensor> gradients;
  for (size_t i = 0; i < work.size(); ++i) {
    Slot& slot = *work[i].first;
    if (slot.rows != nullptr) slot.rows->catch_up_all();
    gradients.push_back(slot.parameter.value.grad().to(at::kFloat).contiguous());
    cut(i, 0, slot.parameter.value.numel(), pieces);
  }
  for_pieces(pieces, [&](int64_t, const Piece& piece) {
    const auto& [slot, step] = work[piece.index];
    adamw_update(
        step, slot->slice(piece.begin, piece.end, gradients[piece.index].const_data_ptr<float>()));
  });
  for (const auto& [slot, step] : work) {
    if (slot->rows != nullptr) slot->rows->read_moments();
  }
}

StateDict AdamW::state() const {
  StateDict state;
  for (const Slot& slot : slots_) {
    const std::string& name = slot.parameter.name;
    const at::Tensor zeros = slot.exp_avg.defined()
                                 ? at::Tensor()
                                 : lazy_zeros(slot.parameter.value.sizes(), Touched::kSparse);
    state["exp_avg." + name] = slot.exp_avg.defined() ? slot.exp_avg : zeros;
    state["exp_avg_sq." + name] = slot.exp_avg.defined() ? slot.exp_avg_sq : zeros;
    if (slot.rows == nullptr) continue;
    const LazyRows::Owed owed = slot.rows->owed();
    state["rows.seen." + name] = owed.seen;
    state["rows.moving." + name] = owed.moving;
    state["rows.steps." + name] = owed.steps;
  }
  state["step"] = at::scalar_tensor(steps_, at::kLong);
  return state;
}

void AdamW::load_state(const StateDict& state) {
  const auto find = [&](const std::string& name) -> const at::Tensor& {
    const auto found = state.find(name);
    if (found == state.end())
      throw Error(ErrorKind::kModel, "optimizer state: \"" + name +
                                         "\" is missing; the checkpoint is of another model");
    return found->second;
  };
  const auto copy = [&](at::Tensor& to, const std::string& name) {
    const at::Tensor& from = find(name);
    if (from.sizes() != to.sizes()) {
      throw Error(ErrorKind::kModel,
                  fmt::format("optimizer state: \"{}\" has {} values, the parameter has {}", name,
                              from.numel(), to.numel()));
    }
    to.copy_(from);
  };
  for (Slot& slot : slots_) {
    slot.make_moments(Touched::kWhole);
    copy(slot.exp_avg, "exp_avg." + slot.parameter.name);
    copy(slot.exp_avg_sq, "exp_avg_sq." + slot.parameter.name);
    const std::string& name = slot.parameter.name;
    const auto owed = [&] {
      return LazyRows::Owed{find("rows.seen." + name), find("rows.moving." + name),
                            find("rows.steps." + name)};
    };
    const bool has_waiting = state.contains("rows.seen." + name);
    if (has_waiting && !slot.parameter.value.is_cpu()) {
      settle_rows(slot.parameter.value, slot.exp_avg, slot.exp_avg_sq, owed());
      continue;
    }
    if (has_waiting) watch_rows(slot);
    if (slot.rows != nullptr) slot.rows->set_owed(owed());
  }
  steps_ = find("step").item<int64_t>();
}

double gradient_norm(const std::vector<AdamWParameter>& parameters) {
  std::vector<Piece> pieces;
  std::vector<at::Tensor> gradients;
  for (const AdamWParameter& parameter : parameters) {
    const at::Tensor& gradient = parameter.value.grad();
    if (!gradient.defined()) continue;
    gradients.push_back(gradient.to(at::kFloat).contiguous());
    if (!gradient.is_cpu()) continue;
    const size_t index = gradients.size() - 1;
    if (const std::vector<int64_t>* rows = kernels::touched_rows(parameter.value)) {
      const int64_t width = gradient.size(1);
      for (const int64_t row : *rows) cut(index, row * width, (row + 1) * width, pieces);
    } else {
      cut(index, 0, gradient.numel(), pieces);
    }
  }
  if (!gradients.empty() && !gradients.front().is_cpu()) return norm_fused(gradients);
  std::vector<double> sums(pieces.size());
  for_pieces(pieces, [&](int64_t i, const Piece& piece) {
    sums[i] = sum_of_squares(gradients[piece.index].const_data_ptr<float>() + piece.begin,
                             piece.end - piece.begin);
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

}  // namespace hone
