// FGM, adversarial training of texts (Miyato et al. 2017, https://arxiv.org/abs/1605.07725): each
// sample's word embeddings are moved by `epsilon` towards a greater loss, and the gradient there is
// added to the plain one.
//
//   r = epsilon · g / ‖g‖₂,   g: the gradient of the sample's loss by its word embeddings
//
// The second pass has the masks of the first. The paper's vectors have variance 1 by dimension, and
// its epsilon of 5 is a fiftieth of a review's norm; pre-trained tables hold shorter vectors (norms
// of about 1), and 0.1 is as small a share of a sentence's.
#include "tune/regularise/shifts.h"

namespace hone {
namespace {

class Fgm : public Regulariser {
 public:
  struct Options {
    double epsilon = 0.1;
    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("epsilon", epsilon);
    }
    void check(const Config& section) const { need_positive(section, "epsilon", epsilon); }
  };

  Fgm(const Options& options, const RegulariserContext& context)
      : options_(options), width_(context.pipeline.network().backbone().embedding_width()) {}

  Pass around_pass(Pass inner) override {
    return [this, inner = std::move(inner)](const Batch& batch) {
      const Shifts zero = zero_shifts(batch, width_);
      PassResult first = inner(with_added(batch, zero));
      const Shifts shifts = ascent(batch, zero, options_.epsilon);
      first.numbers.emplace_back("fgm.loss", pass_at(inner, batch, shifts, "fgm").loss);
      return first;
    };
  }

 private:
  Options options_;
  int64_t width_;
};

}  // namespace

RegulariserInfo fgm() {
  return {"fgm", "a second pass at adversarial word embeddings", read_regulariser<Fgm>};
}

}  // namespace hone
