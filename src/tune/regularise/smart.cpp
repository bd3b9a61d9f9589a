// Smoothness (Miyato et al. 2018, "Virtual adversarial training", https://arxiv.org/abs/1704.03976;
// Jiang et al. 2020, "SMART", https://arxiv.org/abs/1911.03437): the output is drawn to the one at
// the word embeddings near by that change it most.
//
//   loss + alpha · divergence(f(x), f(x + r)),   r = epsilon · d / ‖d‖₂ by sample
//
// d begins at random with length `xi` and is turned `steps` times into the divergence's gradient
// there (Miyato's power iteration). The divergence is the task's, symmetric as SMART's. No label is
// looked at on the way. All passes have the masks of the first, so that they differ by r alone.
#include <ATen/ATen.h>

#include <cmath>

#include "tune/regularise/shifts.h"

namespace hone {
namespace {

Outputs without_graph(const Outputs& outputs) {
  std::vector<Output> all = outputs.all();
  for (Output& output : all) output.values = output.values.detach();
  return Outputs(std::move(all));
}

class Smart : public Regulariser {
 public:
  struct Options {
    double alpha = 1, epsilon = 0.1, xi = 0.1;
    int64_t steps = 1;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("alpha", alpha);
      visit("epsilon", epsilon);
      visit("xi", xi);
      visit("steps", steps);
    }
    void check(const Config& section) const {
      need_positive(section, "alpha", alpha);
      need_positive(section, "epsilon", epsilon);
      need_positive(section, "xi", xi);
      need_positive(section, "steps", static_cast<double>(steps));
    }
  };

  Smart(const Options& options, const RegulariserContext& context)
      : options_(options),
        width_(context.pipeline.network().backbone().embedding_width()),
        divergence_(context.pipeline.task().divergence()),
        optimizer_(context.optimizer) {
    if (!divergence_)
      throw Error(ErrorKind::kUsage,
                  fmt::format("regularise.smart compares two outputs of a sample, and task {} does "
                              "not say how far two of its outputs are apart",
                              context.pipeline.info().name));
  }

  bool reads_output() const override { return true; }
  int64_t graphs_kept() const override { return 2; }

  LossOf around_loss(LossOf inner) override {
    return [this, inner = std::move(inner)](const Batch& batch) {
      const Shifts shifts = worst(inner, batch);
      Outcome here = inner(batch);
      const at::Tensor apart =
          divergence_(here.outputs, inner(with_added(batch, shifts)).outputs, batch);
      const double value = apart.item<double>();
      if (!std::isfinite(value) && std::isfinite(here.loss.sum.item<double>()))
        throw NotFinite{"divergence (regularise.smart)"};
      here.loss.sum = here.loss.sum + options_.alpha * apart;
      here.numbers.emplace_back("smart.divergence", value);
      return here;
    };
  }

 private:
  // Samples whose output does not change near by keep their place: there is no direction.
  Shifts worst(const LossOf& inner, const Batch& around) const {
    const Batch batch = with_fixed_shift(around);
    const WeightsAtRest rest(optimizer_.parameters());
    const Outputs here = [&] {
      const c10::AutoGradMode no_grad(false);
      return without_graph(inner(batch).outputs);
    }();
    Shifts direction = with_length(batch, noise(batch, width_), options_.xi);
    for (int64_t step = 0; step < options_.steps; ++step) {
      const Shifts moved = leaves(with_length(batch, direction, options_.xi));
      divergence_(here, inner(with_added(batch, moved)).outputs, batch).backward();
      direction = ascent(batch, moved, 1);
    }
    return with_length(batch, direction, options_.epsilon);
  }

  Options options_;
  int64_t width_;
  Divergence divergence_;
  Optimizer& optimizer_;
};

}  // namespace

RegulariserInfo smart() {
  return {"smart", "outputs are drawn to those at adversarial embeddings", read_regulariser<Smart>};
}

}  // namespace hone
