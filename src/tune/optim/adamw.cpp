#include "tune/optim/adamw.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <tuple>

#include "base/error.h"
#include "base/random.h"
#include "models/lazy_zeros.h"
#include "tune/optim/adamw_fused.h"
#include "tune/optim/adamw_gpu.h"
#include "tune/optim/adamw_simd.h"
#include "tune/optim/lazy_rows.h"
#include "tune/optim/pieces.h"

namespace hone {

struct AdamW::Slot {
  const Parameter& parameter;
  at::Tensor exp_avg, exp_avg_sq;  // undefined before the first gradient, which tells whether it
                                   // has few rows, or load_state
  std::shared_ptr<LazyRows>
      rows;  // of a table that kernels::embedding looks up, from its first step on
  std::shared_ptr<NarrowMoments> narrow;  // instead of both moments, from the first gradient on
  int64_t steps = 0;  // in which it had a gradient: what its moments are means over

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

  // Without moments.
  AdamWSlice slice(int64_t begin, int64_t end, const float* gradient) const {
    const at::Tensor& shadow = parameter.shadow;
    return {.count = end - begin,
            .value = parameter.value.mutable_data_ptr<float>() + begin,
            .gradient = gradient + begin,
            .shadow = shadow.defined() ? static_cast<uint16_t*>(shadow.mutable_data_ptr()) + begin
                                       : nullptr};
  }

  void update(const AdamWStep& step, const Piece& piece, const float* gradient) const {
    AdamWSlice piece_of_it = slice(piece.begin, piece.end, gradient);
    piece_of_it.exp_avg = exp_avg.mutable_data_ptr<float>() + piece.begin;
    piece_of_it.exp_avg_sq = exp_avg_sq.mutable_data_ptr<float>() + piece.begin;
    adamw_update(step, piece_of_it);
  }

  // The same on moments that are widened for it. The step is taken before they are narrow again.
  void update_narrow(const AdamWStep& step, const Piece& piece, const float* gradient,
                     uint32_t key) const {
    thread_local std::vector<float> mean(kPiece), square(kPiece);
    AdamWSlice piece_of_it = slice(piece.begin, piece.end, gradient);
    narrow->read(piece.begin, piece_of_it.count, mean.data(), square.data());
    piece_of_it.exp_avg = mean.data();
    piece_of_it.exp_avg_sq = square.data();
    adamw_update(step, piece_of_it);
    narrow->write(piece.begin, piece_of_it.count, key, mean.data(), square.data());
  }
};

AdamW::AdamW(std::vector<Parameter> parameters, AdamWOptions options)
    : Optimizer(std::move(parameters)), options_(options) {
  for (const Parameter& parameter : this->parameters()) {
    slots_.push_back({parameter, {}, {}, {}, {}});
    if (has_narrow_moments() && !parameter.value.is_cpu())
      throw Error(ErrorKind::kUsage,
                  "optim_moments: bf16 and int8 moments are computed on the CPU alone; take fp32");
  }
}

void AdamW::make_moments(Slot& slot, bool has_few_rows) const {
  if (!has_narrow_moments())
    return slot.make_moments(has_few_rows ? Touched::kSparse : Touched::kWhole);
  if (slot.narrow == nullptr)
    slot.narrow = std::make_shared<NarrowMoments>(options_.moments, slot.parameter.value.sizes());
}

AdamW::~AdamW() {
  AdamW::flush();
  for (const Slot& slot : slots_) {
    if (slot.rows != nullptr) slot.parameter.rows->before_lookup({});
  }
}

void AdamW::flush() {
  for (Slot& slot : slots_) {
    if (slot.rows != nullptr) slot.rows->catch_up_all();
  }
}

void AdamW::step(double learning_rate, double gradient_scale) {
  ++steps_;
  std::vector<std::pair<Slot*, AdamWStep>> dense;
  std::vector<Slot*> fused;  // not on the CPU
  for (Slot& slot : slots_) {
    const Parameter& parameter = slot.parameter;
    if (!parameter.value.grad().defined()) continue;
    const std::vector<int64_t>* rows = has_narrow_moments() ? nullptr : touched_rows(parameter);
    make_moments(slot, rows != nullptr);
    ++slot.steps;
    if (!parameter.value.is_cpu()) {
      fused.push_back(&slot);
      continue;
    }
    AdamWStep numbers = numbers_of_step(slot.steps, learning_rate * parameter.rate, gradient_scale);
    numbers.decay = static_cast<float>(1 - learning_rate * parameter.rate * parameter.weight_decay);
    if (rows != nullptr) {
      update_table(slot, numbers, *rows);
    } else {
      dense.emplace_back(&slot, numbers);
    }
  }
  update_dense(dense);
  if (fused.empty()) return;
  if (launcher() == nullptr) return update_fused(fused, learning_rate, gradient_scale);
  take_there(fused, learning_rate);
  there_->update(numbers_there(), gradient_scale);
}

// ---- on a GPU, by kernels of our own

const kernels::gpu::Launcher* AdamW::launcher() const {
  return slots_.empty() ? nullptr : kernels::gpu::launcher_of(slots_.front().parameter.value);
}

bool AdamW::steps_there() const { return launcher() != nullptr; }

void AdamW::step_there(double learning_rate, const StepThere& step) {
  ++steps_;
  take_there(moving_slots(), learning_rate);
  there_->measure(step.count, step.max_norm, step.numbers);
  there_->update(numbers_there(), step.numbers);
}

std::vector<AdamW::Slot*> AdamW::moving_slots() {
  std::vector<Slot*> moving;
  for (Slot& slot : slots_) {
    if (!slot.parameter.value.grad().defined()) continue;
    make_moments(slot, /*has_few_rows=*/false);
    ++slot.steps;
    moving.push_back(&slot);
  }
  return moving;
}

void AdamW::take_there(const std::vector<Slot*>& work, double learning_rate) {
  if (there_ == nullptr) there_ = std::make_unique<GpuAdamW>(*launcher());
  std::vector<GpuParameter> moved;
  for (const Slot* slot : work) {
    const Parameter& parameter = slot->parameter;
    const double rate = learning_rate * parameter.rate;
    const AdamWStep numbers = numbers_of_step(slot->steps, rate, 1);
    moved.push_back({.value = parameter.value.detach(),
                     .gradient = parameter.value.grad().to(at::kFloat).contiguous(),
                     .exp_avg = slot->exp_avg,
                     .exp_avg_sq = slot->exp_avg_sq,
                     .shadow = parameter.shadow,
                     .decay = 1 - rate * parameter.weight_decay,
                     .step_size = numbers.step_size,
                     .inverse_root = numbers.inverse_root});
  }
  there_->take(moved);
}

kernels::gpu::device::AdamWNumbers AdamW::numbers_there() const {
  const AdamWStep numbers = numbers_of_step(/*step=*/1, /*learning_rate=*/0, /*gradient_scale=*/1);
  return {.beta1 = numbers.beta1,
          .beta2 = numbers.beta2,
          .one_minus_beta1 = numbers.one_minus_beta1,
          .one_minus_beta2 = numbers.one_minus_beta2,
          .eps = numbers.eps};
}

AdamWStep AdamW::numbers_of_step(int64_t step, double learning_rate, double gradient_scale) const {
  const double t = static_cast<double>(step);
  AdamWStep numbers;
  numbers.gradient_scale = static_cast<float>(gradient_scale);
  numbers.beta1 = static_cast<float>(options_.beta1);
  numbers.beta2 = static_cast<float>(options_.beta2);
  numbers.one_minus_beta1 = static_cast<float>(1 - options_.beta1);
  numbers.one_minus_beta2 = static_cast<float>(1 - options_.beta2);
  numbers.step_size = static_cast<float>(learning_rate / (1 - std::pow(options_.beta1, t)));
  numbers.inverse_root = static_cast<float>(1 / std::sqrt(1 - std::pow(options_.beta2, t)));
  numbers.eps = static_cast<float>(options_.eps);
  return numbers;
}

// Parameters that decay, move and count alike go into one operation.
void AdamW::update_fused(const std::vector<Slot*>& work, double learning_rate,
                         double gradient_scale) {
  std::map<std::tuple<double, double, int64_t>, FusedParameters> alike;  // by rate, decay, step
  for (const Slot* slot : work)
    slot->add_to(alike[{slot->parameter.rate, slot->parameter.weight_decay, slot->steps}]);
  for (const auto& [key, parameters] : alike) {
    const auto [rate, decay, step] = key;
    adamw_fused(parameters, options_, step, learning_rate * rate, gradient_scale, decay);
  }
}

void AdamW::watch_rows(Slot& slot) {
  if (slot.rows != nullptr) return;
  const Parameter& parameter = slot.parameter;
  slot.rows =
      std::make_shared<LazyRows>(parameter.value, slot.exp_avg, slot.exp_avg_sq, parameter.shadow);
  parameter.rows->before_lookup(
      [rows = slot.rows](const int64_t* ids, int64_t count) { rows->catch_up(ids, count); });
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
    const float* gradient = gradients[piece.index].const_data_ptr<float>();
    if (slot->narrow == nullptr) return slot->update(step, piece, gradient);
    const uint64_t key = mix(static_cast<uint64_t>(steps_), piece.index);
    slot->update_narrow(step, piece, gradient, static_cast<uint32_t>(key));
  });
  for (const auto& [slot, step] : work) {
    if (slot->rows != nullptr) slot->rows->read_moments();
  }
}

StateDict AdamW::state() const {
  StateDict state;
  for (const Slot& slot : slots_) {
    const std::string& name = slot.parameter.name;
    if (slot.steps != steps_) state["steps." + name] = at::scalar_tensor(slot.steps, at::kLong);
    if (has_narrow_moments()) {
      const auto none = [&] {
        return NarrowMoments(options_.moments, slot.parameter.value.sizes());
      };
      (slot.narrow == nullptr ? none() : *slot.narrow).add_to(state, name);
      continue;
    }
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

int64_t AdamW::state_bytes() const {
  int64_t bytes = 0;
  for (const Slot& slot : slots_)
    bytes += moment_bytes(options_.moments, slot.parameter.value.numel());
  return bytes;
}

void AdamW::load_state(const StateDict& state) {
  const auto find = [&](const std::string& name) { return find_state(state, name); };
  steps_ = find("step").item<int64_t>();
  for (Slot& slot : slots_) {
    const auto fewer = state.find("steps." + slot.parameter.name);
    slot.steps = fewer == state.end() ? steps_ : fewer->second.item<int64_t>();
    make_moments(slot, /*has_few_rows=*/false);
    if (slot.narrow != nullptr) {
      slot.narrow->load(state, slot.parameter.name);
      continue;
    }
    copy_state(slot.exp_avg, state, "exp_avg." + slot.parameter.name);
    copy_state(slot.exp_avg_sq, state, "exp_avg_sq." + slot.parameter.name);
    const std::string& name = slot.parameter.name;
    const auto owed = [&] {
      return LazyRows::Owed{find("rows.seen." + name), find("rows.moving." + name),
                            find("rows.steps." + name)};
    };
    const bool has_waiting = state.contains("rows.seen." + name);
    if (has_waiting && (!slot.parameter.value.is_cpu() || !slot.parameter.rows)) {
      settle_rows(slot.parameter.value, slot.exp_avg, slot.exp_avg_sq, owed());
      continue;
    }
    if (has_waiting) watch_rows(slot);
    if (slot.rows != nullptr) slot.rows->set_owed(owed());
  }
}

OptimizerInfo adamw(const char* name) {
  const auto make = [](std::vector<Parameter> parameters,
                       const TrainOptions& o) -> std::unique_ptr<Optimizer> {
    return std::make_unique<AdamW>(std::move(parameters),
                                   AdamWOptions{o.adam_beta1, o.adam_beta2, o.adam_epsilon,
                                                /*lazy_rows=*/true, moment_type(o.optim_moments)});
  };
  return {name,
          "AdamW with decoupled weight decay",
          make,
          nullptr,
          /*has_adam_options=*/true,
          /*has_narrow_moments=*/true};
}

}  // namespace hone
