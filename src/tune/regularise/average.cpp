// The mean of the weights at the last few of evenly spaced places of the run is what is evaluated,
// kept as the best and saved as the model (checkpoint averaging: Vaswani et al. 2017,
// https://arxiv.org/abs/1706.03762, section 6.1); training goes on with the weights themselves.
#include <ATen/ATen.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "tune/regularise/regulariser.h"

namespace hone {
namespace {

class AverageOfCopies : public Regulariser {
 public:
  struct Options {
    int64_t last = 5;   // of which the mean is taken
    int64_t every = 0;  // steps between two of them; 0: a fiftieth of the run's
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("last", last);
      visit("every", every);
    }
    void check(const Config& section) const {
      if (last < 2)
        throw section.error("last",
                            fmt::format("\"last\" is {}; it must be a number, 2 or more", last));
      if (every < 0)
        throw section.error("every",
                            fmt::format("\"every\" is {}; it must be a number, 0 or more", every));
    }
  };

  AverageOfCopies(const Options& options, const RegulariserContext& context)
      : options_(options), network_(context.pipeline.network()), optimizer_(context.optimizer) {
    if (options_.every == 0) options_.every = std::max<int64_t>(1, context.total_steps / 50);
  }

  void after_step(const StepDone& step) override {
    if (step.steps % options_.every != 0) return;
    optimizer_.flush();
    std::vector<at::Tensor>& copy = copies_.emplace_back();
    for (size_t i = 0; i < parameters(); ++i) copy.push_back(value(i).clone());
    if (static_cast<int64_t>(copies_.size()) > options_.last) copies_.pop_front();
  }

  // Before there is a copy the weights are evaluated as they are.
  void around_evaluation(bool begins) override {
    if (copies_.empty()) return;
    optimizer_.flush();
    const c10::AutoGradMode no_grad(false);
    for (size_t i = 0; i < parameters(); ++i) {
      if (begins) trained_.push_back(value(i).clone());
      value(i).copy_(begins ? mean(i) : trained_[i]);
    }
    if (!begins) trained_.clear();
    network_.refresh_shadows();
  }

  StateDict state() const override {
    StateDict state;
    for (size_t copy = 0; copy < copies_.size(); ++copy) {
      for (size_t i = 0; i < parameters(); ++i) state[name(copy, i)] = copies_[copy][i];
    }
    return state;
  }

  void load_state(const StateDict& state) override {
    copies_.clear();
    for (size_t copy = 0; copy * parameters() < state.size(); ++copy) {
      std::vector<at::Tensor>& read = copies_.emplace_back();
      for (size_t i = 0; i < parameters(); ++i) {
        const auto found = state.find(name(copy, i));
        if (found == state.end() || found->second.sizes() != value(i).sizes())
          throw Error(ErrorKind::kModel,
                      fmt::format("regularise.average: the copy \"{}\" is missing or of another "
                                  "shape",
                                  name(copy, i)));
        read.push_back(found->second.to(value(i).device(), value(i).scalar_type(),
                                        /*non_blocking=*/false, /*copy=*/true));
      }
    }
  }

  int64_t state_bytes() const override {
    int64_t bytes = 0;
    for (size_t i = 0; i < parameters(); ++i) bytes += static_cast<int64_t>(value(i).nbytes());
    return (options_.last + 1) * bytes;
  }

 private:
  size_t parameters() const { return optimizer_.parameters().size(); }
  at::Tensor value(size_t i) const { return optimizer_.parameters()[i].value.detach(); }
  std::string name(size_t copy, size_t i) const {
    return fmt::format("{}.{}", copy, optimizer_.parameters()[i].name);
  }
  at::Tensor mean(size_t i) const {
    at::Tensor sum = copies_.front()[i].clone();
    for (size_t copy = 1; copy < copies_.size(); ++copy) sum.add_(copies_[copy][i]);
    return sum.div_(static_cast<double>(copies_.size()));
  }

  Options options_;
  Network& network_;
  Optimizer& optimizer_;
  std::deque<std::vector<at::Tensor>> copies_;  // the oldest first
  std::vector<at::Tensor> trained_;             // while an evaluation lasts
};

}  // namespace

RegulariserInfo average() {
  return {"average", "the mean of the last few copies of the weights is evaluated and saved",
          read_regulariser<AverageOfCopies>};
}

}  // namespace hone
