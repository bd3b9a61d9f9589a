// LayerDrop (Fan et al. 2020, https://arxiv.org/abs/1909.11556), sample by sample: see
// models/layers/layer_drop.h.
#include "tune/regularise/regulariser.h"

namespace hone {
namespace {

class LayerDrop : public Regulariser {
 public:
  struct Options {
    double p = 0.1;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("p", p);
    }
    void check(const Config& section) const {
      need_share(section, "p", p);
      need_positive(section, "p", p);
    }
  };

  LayerDrop(const Options& options, const RegulariserContext& context) : p_(options.p) {
    if (!context.pipeline.network().backbone().drops_layers())
      throw Error(ErrorKind::kUsage,
                  fmt::format("regularise.layer_drop leaves blocks out, and a model of type {} "
                              "does not say how",
                              context.pipeline.config().model_type));
  }

  LossOf around_loss(LossOf inner) override {
    return [p = p_, inner = std::move(inner)](const Batch& batch) {
      Batch with_gaps = batch;
      for (Packed& stream : with_gaps.streams) stream.layer_drop = p;
      return inner(with_gaps);
    };
  }

 private:
  double p_;
};

}  // namespace

RegulariserInfo layer_drop() {
  return {"layer_drop", "blocks are left out for some samples", read_regulariser<LayerDrop>};
}

}  // namespace hone
