// Word dropout (Iyyer et al. 2015, https://aclanthology.org/P15-1162): each token is, with
// probability `p`, the unknown one (that of the mask, where the vocabulary has no unknown token) in
// training. Special tokens stay. A decision is a function of seed, step, pass and the token's key.
#include <ATen/ATen.h>

#include "tune/regularise/regulariser.h"

namespace hone {
namespace {

constexpr uint64_t kWordDropout = 0x776f726473;  // tells its draws from those of dropout and noise

class WordDropout : public Regulariser {
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

  WordDropout(const Options& options, const RegulariserContext& context) : p_(options.p) {
    const Tokenizer& tokenizer = context.pipeline.tokenizer();
    other_ = tokenizer.unk_id() >= 0 ? tokenizer.unk_id() : tokenizer.mask_id();
    if (other_ < 0)
      throw Error(
          ErrorKind::kUsage,
          "regularise.word_dropout puts the unknown or the mask token in the place of words, "
          "and the model's tokenizer has neither");
    is_special_.resize(static_cast<size_t>(tokenizer.vocab_size()));
    for (int32_t id = 0; id < tokenizer.vocab_size(); ++id)
      is_special_[static_cast<size_t>(id)] =
          tokenizer.decode({id}, /*skip_special=*/true).empty() && !tokenizer.token(id).empty();
  }

  LossOf around_loss(LossOf inner) override {
    return [this, inner = std::move(inner)](const Batch& batch) {
      Batch with_gaps = batch;
      for (Packed& stream : with_gaps.streams) stream.ids = dropped(stream);
      return inner(with_gaps);
    };
  }

 private:
  at::Tensor dropped(const Packed& stream) const {
    const at::Tensor keys = stream.keys.cpu();
    at::Tensor ids = stream.ids.cpu().clone();
    const int64_t* key = keys.const_data_ptr<int64_t>();
    int64_t* id = ids.mutable_data_ptr<int64_t>();
    const uint64_t seed = mix(stream.dropout_seed(), kWordDropout);
    for (int64_t row = 0; row < stream.tokens(); ++row) {
      const auto of_vocabulary = static_cast<size_t>(id[row]);
      const bool is_special = of_vocabulary < is_special_.size() && is_special_[of_vocabulary];
      const auto draws = philox(seed, static_cast<uint64_t>(key[row]), 0);
      if (!is_special && draws[0] * 0x1p-32 < p_) id[row] = other_;
    }
    return ids.to(stream.ids.device());
  }

  double p_;
  int32_t other_ = -1;
  std::vector<bool> is_special_;  // by id
};

}  // namespace

RegulariserInfo word_dropout() {
  return {"word_dropout", "tokens become the unknown one at random", read_regulariser<WordDropout>};
}

}  // namespace hone
