#include "tune/regularise/rank_budget.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "models/adapters/adalora.h"

namespace hone {
namespace {

constexpr const char* kName = "rank_budget";

// How much the loss hangs on each number of a weight, and how sure that is: moving averages.
struct Importance {
  std::string name;
  at::Tensor weight, mean, doubt;

  Importance(std::string called, const at::Tensor& of)
      : name(std::move(called)),
        weight(of),
        mean(at::zeros_like(of.detach())),
        doubt(at::zeros_like(of.detach())) {}

  void add_step(double gradient_scale, double beta1, double beta2) {
    if (!weight.grad().defined()) return;
    const at::Tensor now = (weight.detach() * (weight.grad() * gradient_scale)).abs();
    mean = beta1 * mean + (1 - beta1) * now;
    doubt = beta2 * doubt + (1 - beta2) * (now - mean).abs();
  }
  void forget() { mean.zero_(), doubt.zero_(); }
  at::Tensor score() const { return mean * doubt; }
};

struct RankedLayer {
  AdaLora* adapter;
  Importance a, e, b;

  explicit RankedLayer(AdaLora& of)
      : adapter(&of),
        a(of.module() + ".lora_A", of.a()),
        e(of.module() + ".lora_E", of.e()),
        b(of.module() + ".lora_B", of.b()) {}

  std::vector<Importance*> all() { return {&a, &e, &b}; }
  // Of each rank [r]: its value's, and the means of its two vectors'.
  at::Tensor scores() const {
    const at::Tensor vectors =
        at::stack({a.score().mean(at::IntArrayRef({1})), b.score().mean(at::IntArrayRef({0}))}, 1)
            .sum(at::IntArrayRef({1}));
    return e.score().flatten() + vectors;
  }
};

// Not those of a saved adapter, whose ranks have been shared out.
std::vector<AdaLora*> ranked_adapters(const Network& network) {
  std::vector<AdaLora*> found;
  for (const auto& [module, adapter] : adapters_of(network)) {
    auto* one = dynamic_cast<AdaLora*>(adapter.get());
    if (one != nullptr && one->options().rank_pattern.values.empty()) found.push_back(one);
  }
  return found;
}

class RankBudget : public Regulariser {
 public:
  explicit RankBudget(const RegulariserContext& context) {
    for (AdaLora* adapter : ranked_adapters(context.pipeline.network()))
      layers_.emplace_back(*adapter);
    const AdaLora::Options& options = layers_.at(0).adapter->options();
    const auto layers = static_cast<int64_t>(layers_.size());
    plan_ = {.first = options.init_r * layers,
             .last = options.target_r * layers,
             .tinit = options.tinit,
             .tfinal = options.tfinal,
             .deltaT = options.deltaT,
             .total_step = options.total_step > 0 ? options.total_step : context.total_steps};
    refuse_short_run();
    for (RankedLayer& layer : layers_) layer.adapter->set_total_step(plan_.total_step);
  }

  // The term is a mean over the matrices, once for each target of the loss, as the loss is.
  LossOf around_loss(LossOf inner) override {
    return [this, inner = std::move(inner)](const Batch& batch) {
      Outcome outcome = inner(batch);
      const double targets = outcome.loss.count;
      const at::Tensor term = orthogonality();
      outcome.loss.sum = outcome.loss.sum + term * targets;
      outcome.numbers.emplace_back("orthogonality", term.item<double>() * targets);
      outcome.numbers.emplace_back("ranks", static_cast<double>(ranks_left()) * targets);
      return outcome;
    };
  }

  void after_step(const StepDone& step) override {
    if (step.steps < plan_.end()) {
      const AdaLora::Options& options = layers_.at(0).adapter->options();
      const c10::AutoGradMode no_grad(false);
      for (Importance* one : all())
        one->add_step(step.gradient_scale, options.beta1, options.beta2);
    }
    if (step.steps > plan_.end()) return take_away();
    if (!plan_.shares_out(step.steps)) return;
    share_out(plan_.first - plan_.ranks(step.steps));
    take_away();
    if (step.steps != plan_.end()) return;
    for (Importance* one : all()) one->forget();
  }

  StateDict state() const override {
    StateDict state;
    for (const RankedLayer& layer : layers_) {
      for (const Importance* one : {&layer.a, &layer.e, &layer.b}) {
        state[one->name + ".mean"] = one->mean;
        state[one->name + ".doubt"] = one->doubt;
      }
    }
    for (size_t i = 0; i < kept_.size(); ++i)
      state[layers_[i].adapter->module() + ".kept"] = kept_[i].to(at::kFloat);
    return state;
  }

  void load_state(const StateDict& state) override {
    for (Importance* one : all()) {
      copy_state(one->mean, state, one->name + ".mean");
      copy_state(one->doubt, state, one->name + ".doubt");
    }
    kept_.clear();
    for (const RankedLayer& layer : layers_) {
      const std::string name = layer.adapter->module() + ".kept";
      if (!state.contains(name)) return;
      kept_.push_back(find_state(state, name).to(at::kBool));
      layer.adapter->leave_out_zeros();
    }
  }

  int64_t state_bytes() const override {
    constexpr int64_t kFloat = 4;
    int64_t bytes = 0;
    for (const RankedLayer& layer : layers_)
      bytes += kFloat * (2 * (layer.a.mean.numel() + layer.e.mean.numel() + layer.b.mean.numel()) +
                         layer.adapter->ranks());
    return bytes;
  }

 private:
  std::vector<Importance*> all() {
    std::vector<Importance*> parts;
    for (RankedLayer& layer : layers_) {
      for (Importance* one : layer.all()) parts.push_back(one);
    }
    return parts;
  }

  void refuse_short_run() const {
    if (plan_.tinit < plan_.end()) return;
    throw Error(ErrorKind::kUsage,
                fmt::format("section peft: AdaLoRA takes ranks away between step tinit ({}) and "
                            "step total_step - tfinal ({} - {}); there is none. Make tinit and "
                            "tfinal smaller, or the run longer",
                            plan_.tinit, plan_.total_step, plan_.tfinal));
  }

  at::Tensor orthogonality() const {
    at::Tensor sum;
    const auto add = [&](const at::Tensor& gram) {
      const at::Tensor far = (gram - at::eye(gram.size(0), gram.options())).norm();
      sum = sum.defined() ? sum + far : far;
    };
    for (const RankedLayer& layer : layers_) {
      add(layer.a.weight.mm(layer.a.weight.t()));
      add(layer.b.weight.t().mm(layer.b.weight));
    }
    const double matrices = 2 * static_cast<double>(layers_.size());
    return sum * (layers_.at(0).adapter->options().orth_reg_weight / matrices);
  }

  // The `count` ranks of least importance are no longer kept, and those that are as important.
  void share_out(int64_t count) {
    std::vector<at::Tensor> scores;
    for (const RankedLayer& layer : layers_) scores.push_back(layer.scores());
    kept_.clear();
    if (count == 0) {
      for (const at::Tensor& one : scores) kept_.push_back(at::ones_like(one, at::kBool));
      return;
    }
    const double threshold = std::get<0>(at::cat(scores).kthvalue(count)).item<double>();
    for (const at::Tensor& one : scores) kept_.push_back(one > threshold);
  }

  int64_t ranks_left() const {
    if (kept_.empty()) return plan_.first;
    int64_t ranks = 0;
    for (const at::Tensor& one : kept_) ranks += one.sum().item<int64_t>();
    return ranks;
  }

  void take_away() {
    for (size_t i = 0; i < kept_.size(); ++i) layers_[i].adapter->keep(kept_[i]);
  }

  std::vector<RankedLayer> layers_;
  RankBudgetPlan plan_;
  std::vector<at::Tensor> kept_;  // [r] bool of each layer; none before ranks are shared out
};

}  // namespace

int64_t RankBudgetPlan::ranks(int64_t step) const {
  if (step <= tinit) return first;
  if (step > end()) return last;
  const double rest = 1 - static_cast<double>(step - tinit) / static_cast<double>(end() - tinit);
  return static_cast<int64_t>(static_cast<double>(first - last) * std::pow(rest, 3) +
                              static_cast<double>(last));
}

bool RankBudgetPlan::shares_out(int64_t step) const {
  return step > tinit && step <= end() && (step == end() || step % deltaT == 0);
}

bool has_rank_budget(const Network& network) { return !ranked_adapters(network).empty(); }

ChosenRegulariser rank_budget() {
  return {kName, Json::object(),
          [](const RegulariserContext& context) { return std::make_unique<RankBudget>(context); }};
}

}  // namespace hone
