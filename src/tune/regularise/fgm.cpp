// FGM, adversarial training of texts (Miyato et al. 2017, https://arxiv.org/abs/1605.07725): each
// sample's word embeddings are moved by `epsilon` towards a greater loss, and the gradient there is
// added to the plain one.
//
//   r = epsilon · g / ‖g‖₂,   g: the gradient of the sample's loss by its word embeddings [n,
//   width]
//
// The norm is that of one sample, as in the paper, not of a batch: the gradient of a step stays the
// sum of its samples' own. The second pass has the masks of the first.
#include <ATen/ATen.h>

#include "tune/regularise/regulariser.h"

namespace hone {
namespace {

// The sample of each row of a stream, [N].
at::Tensor sample_of_row(const Packed& stream) {
  const at::Tensor lengths = at::diff(stream.cu_seqlens).to(at::kLong);
  return at::repeat_interleave(lengths).to(stream.ids.device());
}

class Fgm : public Regulariser {
 public:
  struct Options {
    double epsilon = 1;
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
      std::vector<at::Tensor> moved;
      PassResult first = inner(with_shifts(batch, moved));
      const std::vector<at::Tensor> shifts = adversarial(batch, moved);
      const double loss = adversarial_loss(inner, with_added(batch, shifts));
      first.numbers.emplace_back("fgm.loss", loss);
      return first;
    };
  }

 private:
  // Shifts of zero, whose gradient is that of the word embeddings.
  Batch with_shifts(const Batch& batch, std::vector<at::Tensor>& shifts) const {
    for (const Packed& stream : batch.streams)
      shifts.push_back(at::zeros({stream.tokens(), width_}, stream.ids.options().dtype(at::kFloat))
                           .requires_grad_());
    return with_added(batch, shifts);
  }

  static Batch with_added(Batch batch, const std::vector<at::Tensor>& shifts) {
    for (size_t i = 0; i < shifts.size(); ++i) {
      at::Tensor& shift = batch.streams[i].shift;
      shift = shift.defined() ? shift + shifts[i] : shifts[i];
    }
    return batch;
  }

  std::vector<at::Tensor> adversarial(const Batch& batch,
                                      const std::vector<at::Tensor>& moved) const {
    const Packed& any = batch.streams.front();
    at::Tensor squares =
        at::zeros({any.sequences()}, any.ids.options().dtype(at::kDouble));  // by sample
    for (size_t i = 0; i < moved.size(); ++i) {
      if (moved[i].grad().defined())
        squares.index_add_(0, sample_of_row(batch.streams[i]),
                           moved[i].grad().to(at::kDouble).square().sum(1));
    }
    if (!squares.isfinite().all().item<bool>()) throw NotFinite{"gradient", /*is_gradient=*/true};
    const at::Tensor factors =
        at::where(squares.gt(0), options_.epsilon / squares.sqrt(), 0).to(at::kFloat);
    std::vector<at::Tensor> shifts;
    for (size_t i = 0; i < moved.size(); ++i) {
      const at::Tensor& gradient = moved[i].grad();
      shifts.push_back(
          gradient.defined()
              ? gradient * factors.index_select(0, sample_of_row(batch.streams[i])).unsqueeze(1)
              : moved[i].detach());
    }
    return shifts;
  }

  static double adversarial_loss(const Pass& inner, const Batch& batch) {
    try {
      return inner(batch).loss;
    } catch (NotFinite& failure) {
      failure.what += " at the adversarial embeddings (regularise.fgm)";
      throw;
    }
  }

  Options options_;
  int64_t width_;
};

}  // namespace

RegulariserInfo fgm() {
  return {"fgm", "a second pass at adversarial word embeddings", read_regulariser<Fgm>};
}

}  // namespace hone
