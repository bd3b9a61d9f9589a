// Classification from few labelled texts (SetFit: Tunstall et al. 2022,
// https://arxiv.org/abs/2209.11055): the encoder learns which texts have one label, by pairs; then
// a logistic regression on its vectors is solved for.
#pragma once

#include "tasks/classify/classify.h"
#include "tasks/embedding/options.h"

namespace hone::setfit {

struct Options {
  embedding::Pooling pooling = embedding::Pooling::kAuto;  // kAuto: as the base model's folder says
  double c = 1;                                            // inverse strength of the L2 penalty
};

// Rows, labels, results and scores are those of classification with one label.
class SetFit : public classify::Classify {
 public:
  SetFit(Options own, classify::Options options);
  SetFit(Options own, classify::Options options, Labels labels);  // with what was learned before

  const TaskInfo& info() const override;
  void begin_from(const std::string& model_folder, bool has_length) override;
  void check_step(int64_t samples) const override;
  std::shared_ptr<Head> make_head(const ModelConfig& config) const override;
  // Of the pairs that the samples of a step make: the squared difference of the cosine from 1 where
  // labels are one, from 0 where they are not; the mean of the two kinds' means. Beside it the
  // cross-entropy of the logistic layer, which the encoder does not see.
  bool has_step_loss() const override { return true; }
  Loss loss(const Outputs& outputs, const Batch& batch,
            const LossOptions& options) const override;  // logits [S, C], vectors [S, H]
  Divergence divergence() const override { return nullptr; }
  bool has_final_fit() const override { return true; }
  void final_fit(Network& network, const Outputs& outputs, const Batch& batch) const override;
  Json state() const override;
  void write_model_config(const ModelConfig& model, Json& config) const override;
  void write_files(const ModelConfig& model, const std::string& folder) const override;

 private:
  embedding::Pooling pooling() const;

  Options own_;
  int64_t max_seq_length_;
};

extern const TaskInfo kInfo;

}  // namespace hone::setfit
