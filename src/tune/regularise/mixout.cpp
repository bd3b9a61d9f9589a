// Mixout (Lee et al. 2020, https://arxiv.org/abs/1909.11299): in each step a random share `p` of
// the numbers in the pre-trained model's matrices is what it was before fine-tuning; the others
// make up for it, so that the mean is the weights themselves.
//
//   w' = (m · w + (1 - m) · w⁰ - p · w⁰) / (1 - p),  m = 0 with probability p;   ∂/∂w = m / (1 - p)
//
// The mask belongs to the step, a function of seed, step and place: all micro-batches of a step and
// all passes over them see the same weights. Tables of words, biases, norms and the head are left
// alone, as in its authors' program.
#include <ATen/ATen.h>

#include <optional>

#include "models/layers/initialise.h"
#include "tune/parameters.h"
#include "tune/regularise/regulariser.h"

namespace hone {
namespace {

class Mixout : public Regulariser {
 public:
  struct Options {
    double p = 0.9;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("p", p);
    }
    void check(const Config& section) const {
      need_share(section, "p", p);
      need_positive(section, "p", p);
    }
  };

  Mixout(const Options& options, const RegulariserContext& context)
      : p_(options.p), network_(context.pipeline.network()), optimizer_(context.optimizer) {
    const std::string prefix = context.pipeline.config().base_prefix + ".";
    for (size_t i = 0; i < optimizer_.parameters().size(); ++i) {
      const Parameter& parameter = optimizer_.parameters()[i];
      const bool is_matrix =
          parameter.value.dim() == 2 && !parameter.rows && !is_embedding(parameter);
      if (is_matrix && parameter.name.starts_with(prefix))
        mixed_.push_back({i, parameter.value.detach().clone(), {}, {}});
    }
    if (context.pipeline.adapted() || mixed_.empty())
      throw Error(
          ErrorKind::kUsage,
          "regularise.mixout mixes the pre-trained model's matrices with what they were, and "
          "none of them is trained here");
  }

  Pass around_pass(Pass inner) override {
    return [this, inner = std::move(inner)](const Batch& batch) {
      if (step_ != batch.seed) {
        unmix();
        mix_in(batch.seed);
      }
      return inner(batch);
    };
  }

  void before_step(double /*count*/) override {
    const c10::AutoGradMode no_grad(false);
    for (const Mixed& one : mixed_) {
      at::Tensor gradient = optimizer_.parameters()[one.index].value.grad();
      if (step_ && gradient.defined()) gradient.mul_(one.kept).div_(1 - p_);
    }
    unmix();
  }

  int64_t state_bytes() const override {
    int64_t bytes = 0;
    for (const Mixed& one : mixed_) bytes += 2 * static_cast<int64_t>(one.start.nbytes());
    return bytes;
  }

 private:
  struct Mixed {
    size_t index;  // of the parameter
    at::Tensor start;
    at::Tensor trained, kept;  // while a step lasts: its value, and the mask m
  };

  at::Tensor value(const Mixed& one) const {
    return optimizer_.parameters()[one.index].value.detach();
  }

  void mix_in(uint64_t step) {
    const c10::AutoGradMode no_grad(false);
    for (Mixed& one : mixed_) {
      const at::Tensor even = at::empty_like(one.start);
      fill_uniform(even, 1, mix(mix(step, 0x6d69786f7574), one.index));  // from -1 to 1
      one.kept = even.ge(2 * p_ - 1);
      one.trained = value(one).clone();
      value(one).copy_((at::where(one.kept, one.trained, one.start) - one.start * p_) / (1 - p_));
    }
    network_.refresh_shadows();
    step_ = step;
  }

  void unmix() {
    if (!step_) return;
    const c10::AutoGradMode no_grad(false);
    for (Mixed& one : mixed_) {
      value(one).copy_(one.trained);
      one.trained = one.kept = at::Tensor();
    }
    network_.refresh_shadows();
    step_.reset();
  }

  double p_;
  Network& network_;
  Optimizer& optimizer_;
  std::vector<Mixed> mixed_;
  std::optional<uint64_t> step_;  // Batch::seed of the step whose mask is in force
};

}  // namespace

RegulariserInfo mixout() {
  return {"mixout", "a share of the weights is the pre-trained one, another in each step",
          read_regulariser<Mixout>};
}

}  // namespace hone
