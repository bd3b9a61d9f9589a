// Gradual unfreezing (Howard and Ruder 2018, https://arxiv.org/abs/1801.06146): the head trains
// from the first step on, the layers of the pre-trained model join it from the top down over the
// first `share` of the run, the embeddings last.
//
//   layers trained after s of S steps:  ⌊s / (share · S) · (layers + 1)⌋
//
// A weight that waits has no gradient: the optimizer leaves it alone, its moments and its decay
// too, and the gradient's norm is that of what trains. Gradients are computed all the same, so that
// a step costs what it always does; `train.freeze` is what saves time.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "tune/parameters.h"
#include "tune/regularise/regulariser.h"

namespace hone {
namespace {

constexpr const char* kSteps = "(steps)";  // no weight is called so

class GradualUnfreezing : public Regulariser {
 public:
  struct Options {
    double share = 0.5;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("share", share);
    }
    void check(const Config& section) const {
      if (!(share > 0 && share <= 1))
        throw section.error(
            "share", fmt::format("\"share\" is {}; it must be above 0 and at most 1", share));
    }
  };

  GradualUnfreezing(const Options& options, const RegulariserContext& context)
      : optimizer_(context.optimizer),
        span_(options.share * static_cast<double>(context.total_steps)) {
    const std::string prefix = context.pipeline.config().base_prefix + ".";
    for (const Parameter& parameter : optimizer_.parameters()) {
      if (parameter.name.starts_with(prefix))
        layers_ = std::max(layers_, layer_of(parameter.name) + 1);
    }
    if (layers_ == 0)
      throw Error(
          ErrorKind::kUsage,
          "regularise.gradual_unfreezing lets the layers of the pre-trained model join, and "
          "none of them is trained here");
    for (const Parameter& parameter : optimizer_.parameters())
      turns_.push_back(parameter.name.starts_with(prefix) ? turn_of(parameter) : -1);
  }

  void before_step(double /*count*/) override {
    const int64_t trained = trained_layers();
    for (size_t i = 0; i < turns_.size(); ++i) {
      if (turns_[i] >= trained) at::Tensor(optimizer_.parameters()[i].value).mutable_grad().reset();
    }
  }

  void after_step(const StepDone& step) override { steps_ = step.steps; }

  StateDict state() const override { return {{kSteps, at::tensor({static_cast<float>(steps_)})}}; }
  void load_state(const StateDict& state) override {
    steps_ = static_cast<int64_t>(find_state(state, kSteps).item<double>());
  }

 private:
  // How many layers come before it; -1: it trains from the start (what stands behind the layers).
  int64_t turn_of(const Parameter& parameter) const {
    if (is_embedding(parameter)) return layers_;
    const int64_t layer = layer_of(parameter.name);
    return layer < 0 ? -1 : layers_ - 1 - layer;
  }

  int64_t trained_layers() const {
    if (span_ <= 0) return layers_ + 1;
    const double done = static_cast<double>(steps_) / span_ * static_cast<double>(layers_ + 1);
    return std::min(layers_ + 1, static_cast<int64_t>(std::floor(done)));
  }

  Optimizer& optimizer_;
  double span_;  // steps until all train
  int64_t layers_ = 0, steps_ = 0;
  std::vector<int64_t> turns_;  // by parameter
};

}  // namespace

RegulariserInfo gradual_unfreezing() {
  return {"gradual_unfreezing", "layers begin to train one after the other, the top one first",
          read_regulariser<GradualUnfreezing>};
}

}  // namespace hone
