// L2-SP (Li et al. 2018, https://arxiv.org/abs/1802.01483): weights are drawn towards where the
// pre-trained model had them, those of a fresh head towards zero, in place of a decay of all
// towards zero.
//
//   loss + alpha/2 · ‖w - w⁰‖² + beta/2 · ‖w_head‖²
//
// Its gradient is added once a step. Of a table of words only the rows that the step looked up are
// drawn: others stay where they are.
#include <ATen/ATen.h>

#include "tune/regularise/regulariser.h"

namespace hone {
namespace {

class L2Sp : public Regulariser {
 public:
  struct Options {
    double alpha = 0.1, beta = 0.01;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("alpha", alpha);
      visit("beta", beta);
    }
    void check(const Config& section) const {
      need_positive(section, "alpha", alpha);
      if (beta != 0) need_positive(section, "beta", beta);
    }
  };

  L2Sp(const Options& options, const RegulariserContext& context)
      : options_(options), optimizer_(context.optimizer) {
    const std::string prefix = context.pipeline.config().base_prefix + ".";
    bool has_base = false;
    for (const Parameter& parameter : optimizer_.parameters()) {
      const bool is_base = parameter.name.starts_with(prefix);
      has_base = has_base || is_base;
      starts_.push_back(is_base ? parameter.value.detach().clone() : at::Tensor());
    }
    if (context.pipeline.adapted() || !has_base)
      throw Error(ErrorKind::kUsage,
                  "regularise.l2_sp draws the pre-trained model's weights towards where they were, "
                  "and none of them is trained here");
  }

  void before_step(double count) override {
    const c10::AutoGradMode no_grad(false);
    for (size_t i = 0; i < starts_.size(); ++i) {
      const Parameter& parameter = optimizer_.parameters()[i];
      if (parameter.value.grad().defined()) pull(parameter, starts_[i], count);
    }
  }

  int64_t state_bytes() const override {
    int64_t bytes = 0;
    for (const at::Tensor& start : starts_)
      bytes += start.defined() ? static_cast<int64_t>(start.nbytes()) : 0;
    return bytes;
  }

 private:
  void pull(const Parameter& parameter, const at::Tensor& start, double count) const {
    const at::Tensor value = parameter.value.detach();
    at::Tensor gradient = parameter.value.grad();
    const double strength = count * (start.defined() ? options_.alpha : options_.beta);
    const std::vector<int64_t>* touched = touched_rows(parameter);
    if (touched == nullptr) {
      gradient.add_(start.defined() ? value - start : value, strength);
      return;
    }
    if (touched->empty()) return;
    const at::Tensor rows = at::tensor(*touched, at::kLong).to(value.device());
    at::Tensor moved = value.index_select(0, rows);
    if (start.defined()) moved = moved - start.index_select(0, rows);
    // Its version tells a table whether others wrote to rows that no lookup touched; these are
    // none.
    gradient.variable_data().index_add_(0, rows, moved, strength);
  }

  Options options_;
  Optimizer& optimizer_;
  std::vector<at::Tensor> starts_;  // by parameter; undefined: it begins at zero
};

}  // namespace

RegulariserInfo l2_sp() {
  return {"l2_sp", "weights are drawn towards the pre-trained ones", read_regulariser<L2Sp>};
}

}  // namespace hone
