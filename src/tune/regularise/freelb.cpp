// FreeLB (Zhu et al. 2020, https://arxiv.org/abs/1909.11764): `steps` passes at word embeddings
// that climb towards a greater loss from a random start; every pass trains, and the gradient is
// their mean.
//
//   r₀ uniform in ± init / √(n · width), n the sample's tokens;   r ← Π(r + alpha · g / ‖g‖₂),
//   Π: cut to ‖r‖₂ ≤ epsilon (0: not cut)
//
// All passes have the masks of the first, as the paper asks for.
#include "tune/regularise/shifts.h"

namespace hone {
namespace {

class FreeLb : public Regulariser {
 public:
  struct Options {
    double alpha = 0.1, init = 0.1, epsilon = 0;
    int64_t steps = 3;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("alpha", alpha);
      visit("init", init);
      visit("epsilon", epsilon);
      visit("steps", steps);
    }
    void check(const Config& section) const {
      need_positive(section, "alpha", alpha);
      need_positive(section, "init", init);
      need_positive(section, "steps", static_cast<double>(steps));
      if (epsilon != 0) need_positive(section, "epsilon", epsilon);
    }
  };

  FreeLb(const Options& options, const RegulariserContext& context)
      : options_(options), width_(context.pipeline.network().backbone().embedding_width()) {}

  // Losses and their counts add up: divided by the sum of counts, the gradient is the mean.
  Pass around_pass(Pass inner) override {
    return [this, inner = std::move(inner)](const Batch& batch) {
      Shifts shifts = leaves(start(batch));
      PassResult all = pass_at(inner, batch, shifts, "freelb");
      for (int64_t step = 1; step < options_.steps; ++step) {
        shifts = leaves(climbed(batch, shifts));
        add(all, pass_at(inner, batch, shifts, "freelb"));
      }
      return all;
    };
  }

 private:
  Shifts start(const Batch& batch) const {
    const at::Tensor size = options_.init / (tokens_of(batch) * static_cast<double>(width_)).sqrt();
    return scaled(batch, noise(batch, width_), size);
  }

  Shifts climbed(const Batch& batch, const Shifts& shifts) const {
    const Shifts moved = sum(shifts, ascent(batch, shifts, options_.alpha));
    return options_.epsilon > 0 ? projected(batch, moved, options_.epsilon) : moved;
  }

  static void add(PassResult& all, PassResult one) {
    all.loss += one.loss;
    all.count += one.count;
    for (size_t i = 0; i < all.numbers.size(); ++i) all.numbers[i].second += one.numbers[i].second;
  }

  Options options_;
  int64_t width_;
};

}  // namespace

RegulariserInfo freelb() {
  return {"freelb", "the mean gradient of passes that climb from a random start",
          read_regulariser<FreeLb>};
}

}  // namespace hone
