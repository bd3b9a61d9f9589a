#include "tune/replays.h"

#include <ATen/ops/_foreach_zero.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "models/kernels/cannot_replay.h"
#include "models/kernels/random.h"

namespace hone {
namespace {

// Gradients as they are now, for a pass that is tried and taken back.
class KeptGradients {
 public:
  explicit KeptGradients(const std::vector<Parameter>& parameters) : parameters_(parameters) {
    for (const Parameter& parameter : parameters) {
      const at::Tensor& gradient = parameter.value.grad();
      kept_.push_back(gradient.defined() ? gradient.clone() : gradient);
    }
  }
  // In the memory where they are now; those that came since are zeros.
  void put_back() const {
    for (size_t i = 0; i < kept_.size(); ++i) {
      const at::Tensor gradient = parameters_[i].value.grad();
      if (!gradient.defined()) continue;
      kept_[i].defined() ? gradient.copy_(kept_[i]) : gradient.zero_();
    }
  }

 private:
  const std::vector<Parameter>& parameters_;
  std::vector<at::Tensor> kept_;
};

struct Measured {
  double loss = 0, norm = 0;
};

bool is_near(double a, double b, double tolerance) {
  if (!std::isfinite(a) || !std::isfinite(b)) return std::isfinite(a) == std::isfinite(b);
  return std::abs(a - b) <= tolerance * std::max(std::abs(a), 1e-6);
}

// A device's sums of gradients need not have one order; its losses are made by the same kernels.
bool agree(const Measured& a, const Measured& b) {
  return is_near(a.loss, b.loss, 1e-3) && is_near(a.norm, b.norm, 1e-2);
}

std::vector<int64_t> sizes_of(const Batch& batch) {
  const Packed& tokens = batch.streams.front();
  std::vector<int64_t> sizes = {tokens.tokens(), tokens.sequences(), tokens.max_len};
  for (const auto& [name, target] : batch.targets)
    sizes.insert(sizes.end(), target.sizes().begin(), target.sizes().end());
  return sizes;
}

uint64_t first_key(const Packed& tokens) {
  return static_cast<uint64_t>(tokens.keys.const_data_ptr<int64_t>()[0]);
}

// Another batch of the same sizes, as far as the host knows: the sequences in the other order,
// other seeds. A recording that has read any of it will not give what this batch gives.
void mislead(Batch& there, at::Device device) {
  Packed& tokens = there.streams.front();
  tokens.seed = ~tokens.seed, tokens.drawn = ~tokens.drawn;
  if (device.is_cpu()) return;  // whose memory is the host's
  tokens.cu_seqlens = (tokens.tokens() - tokens.cu_seqlens).flip(0).contiguous();
}

}  // namespace

PassResult Replays::run(const Batch& batch) {
  if (!is_on_ || !batch.streams.front().placed_seed.defined() || !batch.staged.defined())
    return run_plainly(batch);
  const std::vector<int64_t> sizes = sizes_of(batch);
  if (recorded_.size() >= kMost && !recorded_.contains(sizes)) {
    if (!std::exchange(has_told_of_most_, true))
      of_.warn(
          fmt::format("cuda_graphs: passes of {} sizes are recorded; batches of other sizes "
                      "are run launch by launch",
                      kMost));
    return run_plainly(batch);
  }
  Recorded& one = recorded_[sizes];
  if (one.recording) {
    replay(one, batch);
  } else if (!record(one, batch)) {
    return run_plainly(batch);
  }
  return {0, of_.task.targets_in(batch), {}, one.loss};
}

PassResult Replays::run_plainly(const Batch& batch) const {
  Batch there = of_.network.place(batch);
  there.streams.front().placed_seed = at::Tensor();
  return of_.pass(there);
}

// What a device draws itself it draws from here on, through the whole pass.
void Replays::begin_drawing(const Batch& batch) const {
  const Packed& tokens = batch.streams.front();
  if (of_.network.device().is_cuda())
    kernels::start_generator(of_.network.device(), tokens.seed, first_key(tokens), /*site=*/0);
}

void Replays::replay(const Recorded& one, const Batch& batch) const {
  at::Tensor(one.there.staged).copy_(batch.staged, /*non_blocking=*/true);
  begin_drawing(batch);
  one.recording->replay();
}

// Runs the pass as it is, takes it back, records it with what the host knows of another batch, and
// replays it: only a recording that comes to the same is kept.
bool Replays::record(Recorded& one, const Batch& batch) {
  const KeptGradients before(of_.parameters);
  const auto measured = [&](const at::Tensor& loss) {
    return Measured{loss.item<double>(), gradient_norm(of_.parameters)};
  };
  std::string reason;
  try {
    one.there = of_.network.place(batch);
    begin_drawing(batch);
    const Measured plain = measured(of_.pass(one.there).loss_there);
    before.put_back();
    mislead(one.there, of_.network.device());
    one.recording = of_.make();
    one.recording->record([this, &one] { one.loss = of_.pass(one.there).loss_there; });
    begin_drawing(batch);
    one.recording->replay();
    const Measured replayed = measured(one.loss);
    if (agree(plain, replayed)) return true;
    reason = fmt::format(
        "a replayed pass came to a loss of {} and gradients of norm {}, the pass "
        "itself to {} and {}",
        replayed.loss, replayed.norm, plain.loss, plain.norm);
  } catch (const kernels::CannotReplay& error) {
    reason = error.what();
  } catch (const c10::Error& error) {
    reason = error.what_without_backtrace();
    reason.resize(std::min(reason.find('\n'), reason.size()));
  }
  before.put_back();
  give_up(reason);
  return false;
}

void Replays::give_up(const std::string& reason) {
  is_on_ = false;
  recorded_.clear();
  of_.warn(fmt::format("cuda_graphs: passes are run launch by launch: {}", reason));
}

void Replays::zero_gradients() const {
  std::vector<at::Tensor> gradients;
  for (const Parameter& parameter : of_.parameters)
    if (parameter.value.grad().defined()) gradients.push_back(parameter.value.grad());
  if (!gradients.empty()) at::_foreach_zero_(gradients);
}

std::string cannot_replay(const Task& task, bool has_regularisers, bool steps_there,
                          bool recomputes) {
  if (has_regularisers) return "regularisers (AdaLoRA's budget is one) have a part in each step";
  if (!steps_there) return "this optimizer, or a card without hone's kernels, waits for each step";
  if (recomputes) return "recompute runs parts of a pass a second time";
  if (task.has_step_loss() || !task.parts().empty() || !task.has_fixed_work())
    return fmt::format("what a pass of the task {} does depends on the batch's values",
                       task.info().name);
  return "";
}

}  // namespace hone
