// AdaLoRA (Zhang et al. 2023, https://arxiv.org/abs/2303.10512): y = W x + b + scaling · B (E ∘ A)
// dropout(x), where A [r, in] and B [out, r] stand for singular vectors and E [r] for singular
// values, which begin at zero. All layers begin with `init_r` ranks; the loop takes ranks away
// during training (tune/regularise/rank_budget.cpp). scaling is lora_alpha / init_r, whatever is
// left.
#pragma once

#include <string>
#include <vector>

#include "models/adapters/adapter.h"

namespace hone {

// Which ranks of a layer are left: "bert.encoder.layer.0.attention.self.query.lora_E" -> one of its
// first ranks each.
struct RankPattern {
  std::vector<std::pair<std::string, std::vector<bool>>> values = {};

  // Of a module; null where it says nothing of it.
  const std::vector<bool>* of(const std::string& module) const;
  friend void read_option(Config& section, const char* key, RankPattern& field);
  friend void to_json(Json& json, const RankPattern& pattern);
};

class AdaLora : public Adapter {
 public:
  // Names and defaults are those of peft.AdaLoraConfig.
  struct Options {
    int64_t target_r = 8, init_r = 12;  // ranks of a layer: on average in the end, at the beginning
    int64_t tinit = 0, tfinal = 0;      // steps before the first rank goes, and after the last one
    int64_t deltaT = 1;                 // steps between two allocations
    double beta1 = 0.85, beta2 = 0.85;  // of the moving averages of importance and uncertainty
    double orth_reg_weight = 0.5;       // of the term that keeps A and B orthogonal
    int64_t total_step = 0;             // of the schedule; 0: the run's
    double lora_alpha = 8, lora_dropout = 0;
    RankPattern rank_pattern = {};  // of a saved adapter

    template <typename Visit>
    void for_each(Visit&& visit) {
      visit("target_r", target_r);
      visit("init_r", init_r);
      visit("tinit", tinit);
      visit("tfinal", tfinal);
      visit("deltaT", deltaT);
      visit("beta1", beta1);
      visit("beta2", beta2);
      visit("orth_reg_weight", orth_reg_weight);
      visit("total_step", total_step);
      visit("lora_alpha", lora_alpha);
      visit("lora_dropout", lora_dropout);
      visit("rank_pattern", rank_pattern);
    }
    void check(const Config& section) const;
  };

  AdaLora(const Options& options, const AdapterSite& site);

  at::Tensor apply(const at::Tensor& y, const at::Tensor& x, const Rows& rows) override;
  std::optional<LowRank> low_rank(const Rows& rows) const override;
  void merge_into(LinearImpl& layer) override;
  // Ranks that were taken away are left out, and `rank_pattern` says which.
  std::vector<std::pair<std::string, at::Tensor>> saved() const override;
  void describe(Json& config) const override;

  const Options& options() const { return options_; }
  const std::string& module() const { return module_; }
  int64_t ranks() const { return a_.size(0); }
  const at::Tensor& a() const { return a_; }  // [r, in]
  const at::Tensor& e() const { return e_; }  // [r, 1]
  const at::Tensor& b() const { return b_; }  // [out, r]

  // Takes the ranks away that are not among these [r] bool: their E is zero.
  void keep(const at::Tensor& ranks);
  // From now on ranks whose E is zero count as taken away: `saved` and `describe` leave them out.
  void leave_out_zeros() { leaves_out_zeros_ = true; }
  at::Tensor left() const;  // [r] bool: which are there still
  void set_total_step(int64_t steps) { options_.total_step = steps; }

 private:
  LowRank product(const Rows& rows) const;

  Options options_;
  std::string module_;
  at::Tensor a_, e_, b_;
  bool leaves_out_zeros_ = false;
  double scaling_;
  uint64_t key_;
};

}  // namespace hone
