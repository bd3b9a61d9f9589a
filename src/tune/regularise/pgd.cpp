// PGD, adversarial training by several small steps (Madry et al. 2018,
// https://arxiv.org/abs/1706.06083), on word embeddings: from the sample's own embeddings `steps`
// steps of length `alpha` towards a greater loss, never further than `epsilon` away; the gradient
// where they end is added to the plain one.
//
//   r ← Π(r + alpha · g / ‖g‖₂),   Π: cut to ‖r‖₂ ≤ epsilon
//
// All passes have the masks of the first.
#include "tune/regularise/shifts.h"

namespace hone {
namespace {

class Pgd : public Regulariser {
 public:
  struct Options {
    double epsilon = 0.1, alpha = 0.05;  // as small as FGM's, and within its reach
    int64_t steps = 3;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("epsilon", epsilon);
      visit("alpha", alpha);
      visit("steps", steps);
    }
    void check(const Config& section) const {
      need_positive(section, "epsilon", epsilon);
      need_positive(section, "alpha", alpha);
      need_positive(section, "steps", static_cast<double>(steps));
    }
  };

  Pgd(const Options& options, const RegulariserContext& context)
      : options_(options),
        width_(context.pipeline.network().backbone().embedding_width()),
        optimizer_(context.optimizer) {}

  Pass around_pass(Pass inner) override {
    return [this, inner = std::move(inner)](const Batch& batch) {
      const Shifts zero = zero_shifts(batch, width_);
      PassResult first = inner(with_added(batch, zero));
      Shifts shifts = climbed(batch, zero);
      for (int64_t step = 1; step < options_.steps; ++step) {
        const WeightsAtRest rest(optimizer_.parameters());
        shifts = leaves(shifts);
        pass_at(inner, with_fixed_shift(batch), shifts, "pgd");
        shifts = climbed(batch, shifts);
      }
      first.numbers.emplace_back("pgd.loss", pass_at(inner, batch, shifts, "pgd").loss);
      return first;
    };
  }

 private:
  Shifts climbed(const Batch& batch, const Shifts& shifts) const {
    return projected(batch, sum(shifts, ascent(batch, shifts, options_.alpha)), options_.epsilon);
  }

  Options options_;
  int64_t width_;
  Optimizer& optimizer_;
};

}  // namespace

RegulariserInfo pgd() {
  return {"pgd", "a second pass where several adversarial steps end", read_regulariser<Pgd>};
}

}  // namespace hone
