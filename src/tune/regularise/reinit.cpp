// Fresh top layers (Zhang et al. 2021, https://arxiv.org/abs/2006.05987): the last `layers` blocks
// of the pre-trained model, and its pooler, begin anew, since they know best what the model was
// pre-trained for and least what it is for now.
#include <algorithm>

#include "tune/parameters.h"
#include "tune/regularise/regulariser.h"

namespace hone {
namespace {

class Reinit : public Regulariser {
 public:
  struct Options {
    int64_t layers = 1;
    bool pooler = true;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("layers", layers);
      visit("pooler", pooler);
    }
    void check(const Config& section) const {
      need_positive(section, "layers", static_cast<double>(layers));
    }
  };

  // A run that is resumed has its own weights put over these.
  Reinit(const Options& options, const RegulariserContext& context) {
    Backbone& backbone = context.pipeline.network().backbone();
    int64_t all = 0;
    for (const auto& item : backbone.named_parameters())
      all = std::max(all, layer_of("." + item.key()) + 1);
    if (options.layers >= all)
      throw Error(
          ErrorKind::kUsage,
          fmt::format("regularise.reinit: \"layers\" is {}, and the model has {} with weights "
                      "of their own: nothing of it would be left",
                      options.layers, all));
    std::vector<std::string> names;
    for (const auto& item : backbone.named_parameters()) {
      const bool is_top = layer_of("." + item.key()) >= all - options.layers,
                 is_pooler = options.pooler && item.key().starts_with("pooler.");
      if (!is_top && !is_pooler) continue;
      if (context.pipeline.adapted() || !item.value().requires_grad())
        throw Error(
            ErrorKind::kUsage,
            fmt::format("regularise.reinit begins \"{}\" anew, which is not trained", item.key()));
      names.push_back(item.key());
    }
    backbone.initialise(mix(context.seed, 0x7265696e6974), names);
  }
};

}  // namespace

RegulariserInfo reinit() {
  return {"reinit", "the top layers of the pre-trained model begin anew", read_regulariser<Reinit>};
}

}  // namespace hone
