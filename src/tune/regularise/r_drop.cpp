// R-Drop (Liang et al. 2021, https://arxiv.org/abs/2106.14448): two forward passes with other
// dropout masks, whose outputs are drawn together.
//
//   loss = (loss of the first + loss of the second) / 2 + alpha · divergence
//
// as its authors' program computes it (https://github.com/dropreg/R-Drop); the divergence is the
// task's, for classes the mean of the two Kullback-Leibler divergences.
#include <cmath>

#include "tune/regularise/regulariser.h"

namespace hone {
namespace {

// The batch with masks of its own. Whatever passes a wrapping regulariser makes, each gets two
// numbers that no other has.
Batch with_masks(Batch batch, uint32_t which) {
  for (Packed& stream : batch.streams) stream.pass = 2 * stream.pass + which;
  return batch;
}

class RDrop : public Regulariser {
 public:
  struct Options {
    double alpha = 1;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("alpha", alpha);
    }
    void check(const Config& section) const { need_positive(section, "alpha", alpha); }
  };

  RDrop(const Options& options, const RegulariserContext& context)
      : options_(options), divergence_(context.pipeline.task().divergence()) {
    if (!divergence_)
      throw Error(ErrorKind::kUsage,
                  fmt::format("regularise.r_drop compares two outputs of a sample, and task {} "
                              "does not say how far two of its outputs are apart",
                              context.pipeline.info().name));
  }

  bool reads_output() const override { return true; }
  int64_t graphs_kept() const override { return 2; }

  LossOf around_loss(LossOf inner) override {
    return [this, inner = std::move(inner)](const Batch& batch) {
      Outcome first = inner(with_masks(batch, 0));
      const Outcome second = inner(with_masks(batch, 1));
      const at::Tensor apart = divergence_(first.outputs, second.outputs, batch);
      const double value = apart.item<double>();
      first.loss.sum = (first.loss.sum + second.loss.sum) / 2;
      if (!std::isfinite(value) && std::isfinite(first.loss.sum.item<double>()))
        throw NotFinite{"divergence (regularise.r_drop)"};
      first.loss.sum = first.loss.sum + options_.alpha * apart;
      first.numbers.emplace_back("r_drop.divergence", value);
      return first;
    };
  }

 private:
  Options options_;
  Divergence divergence_;
};

}  // namespace

RegulariserInfo r_drop() {
  return {"r_drop", "two passes with other dropout masks, drawn together", read_regulariser<RDrop>};
}

}  // namespace hone
