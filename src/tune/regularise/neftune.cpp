// NEFTune (Jain et al. 2023, https://arxiv.org/abs/2310.05914): uniform noise on the word
// embeddings while training, smaller for longer samples.
//
//   r uniform in ± alpha / √(n · width), n the sample's tokens
#include "tune/regularise/shifts.h"

namespace hone {
namespace {

class Neftune : public Regulariser {
 public:
  struct Options {
    double alpha = 5;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("alpha", alpha);
    }
    void check(const Config& section) const { need_positive(section, "alpha", alpha); }
  };

  Neftune(const Options& options, const RegulariserContext& context)
      : options_(options), width_(context.pipeline.network().backbone().embedding_width()) {}

  LossOf around_loss(LossOf inner) override {
    return [this, inner = std::move(inner)](const Batch& batch) {
      const at::Tensor size =
          options_.alpha / (tokens_of(batch) * static_cast<double>(width_)).sqrt();
      return inner(with_added(batch, scaled(batch, noise(batch, width_), size)));
    };
  }

 private:
  Options options_;
  int64_t width_;
};

}  // namespace

RegulariserInfo neftune() {
  return {"neftune", "uniform noise on the word embeddings", read_regulariser<Neftune>};
}

}  // namespace hone
