// Mixup of pooled vectors (Zhang et al. 2018, https://arxiv.org/abs/1710.09412; of sentence
// vectors: Guo et al. 2019, https://arxiv.org/abs/1905.08941, Sun et al. 2020,
// https://arxiv.org/abs/2010.02394):
//
//   h = share · h_a + (1 - share) · h_b,  loss = share · loss(h, y_a) + (1 - share) · loss(h, y_b)
//
// Samples a and b of a step are a pair (PlanOptions::pairs) that no split parts; each is mixed with
// the other. The share is drawn from Beta(alpha, alpha) once a step, a function of seed and step.
#include <cmath>

#include "tune/regularise/regulariser.h"

namespace hone {
namespace {

constexpr uint64_t kMixup = 0x6d69787570;  // tells its draws from those of dropout and noise

// Marsaglia and Tsang 2000, "A simple method for generating gamma variables"; below 1 by Gamma(a) =
// Gamma(a + 1) · U^(1/a).
double gamma_draw(double shape, RandomStream& random) {
  if (shape < 1) return gamma_draw(shape + 1, random) * std::pow(1 - random.uniform(), 1 / shape);
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = random.normal(), v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    const double u = 1 - random.uniform();
    if (std::log(u) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

double beta_draw(double alpha, uint64_t key) {
  RandomStream random(key);
  const double a = gamma_draw(alpha, random), b = gamma_draw(alpha, random);
  return a + b > 0 ? a / (a + b) : 1;  // both underflow where alpha is tiny: nothing is mixed
}

class Mixup : public Regulariser {
 public:
  struct Options {
    double alpha = 0.4;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("alpha", alpha);
    }
    void check(const Config& section) const { need_positive(section, "alpha", alpha); }
  };

  Mixup(const Options& options, const RegulariserContext& context)
      : alpha_(options.alpha), task_(context.pipeline.task()), loss_options_(context.loss) {
    if (!task_.can_mix())
      throw Error(ErrorKind::kUsage,
                  fmt::format("regularise.mixup mixes the pooled vectors of two samples and their "
                              "targets, and task {} has none that can be mixed",
                              context.pipeline.info().name));
  }

  bool reads_output() const override { return true; }

  LossOf around_loss(LossOf inner) override {
    return [this, inner = std::move(inner)](const Batch& batch) {
      Batch own = batch;
      own.mix = beta_draw(alpha_, mix(batch.seed, kMixup));
      Outcome outcome = inner(own);
      const at::Tensor of_partner =
          task_.loss(outcome.outputs, with_partners_targets(own), loss_options_).sum;
      outcome.loss.sum = own.mix * outcome.loss.sum + (1 - own.mix) * of_partner;
      outcome.numbers.emplace_back("mixup.share", own.mix * outcome.loss.count);
      return outcome;
    };
  }

 private:
  static Batch with_partners_targets(Batch batch) {
    for (auto& [name, column] : batch.targets)
      column = column.index_select(0, partners_in(column.size(0)).to(column.device()));
    return batch;
  }

  double alpha_;
  const Task& task_;
  LossOptions loss_options_;
};

}  // namespace

RegulariserInfo mixup() {
  return {"mixup", "pooled vectors and targets of two samples are mixed", read_regulariser<Mixup>,
          /*pairs=*/true};
}

}  // namespace hone
