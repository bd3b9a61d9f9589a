// Losses of sentence embeddings, as sentence-transformers defines them; but sums and counts.
#pragma once

#include "tasks/embedding/options.h"
#include "tasks/task.h"

namespace hone::embedding {

// The texts of a step: anchors, positives, negatives.
struct StepTexts {
  at::Tensor vectors;  // [S, K, H]
  at::Tensor keys;     // [S, K, kKeyWidth]: equal for texts that are the same to the model; zeros
                       // where a sample has no such text
};
constexpr int32_t kKeyWidth = 3;

// Multiple negatives ranking (Henderson et al. 2017, https://arxiv.org/abs/1705.00652): the
// cross-entropy of scale * cosine of each anchor with its own positive among the positives and
// negatives of all samples; with `symmetric` the mean of that and of each positive with its own
// anchor among all anchors. With `mask_duplicates` a text is no negative of an anchor that it
// equals, nor where it equals a positive of that anchor's text in any sample. A count for each
// sample. With `smoothing` a share of the target is spread evenly over the candidates that are not
// masked.
Loss multiple_negatives(const StepTexts& texts, const Options& options, double smoothing = 0);
// max(0, margin + d(anchor, positive) - d(anchor, negative)), of each negative (Schroff et al.
// 2015, https://arxiv.org/abs/1503.03832).
Loss triplet(const StepTexts& texts, const Options& options);
// (cosine - score)^2; scores [S].
Loss cosine(const StepTexts& texts, const at::Tensor& scores);
// ln(1 + sum of exp(scale * (cosine_i - cosine_j))) over all pairs of samples with score_i <
// score_j (Su 2022, https://kexue.fm/archives/8847). One number of a step, counted once.
Loss cosent(const StepTexts& texts, const at::Tensor& scores, const Options& options);
// Half of d^2 for texts that belong together (label 1), of max(0, margin - d)^2 for others (Hadsell
// et al. 2006); labels [S].
Loss contrastive(const StepTexts& texts, const at::Tensor& labels, const Options& options);

}  // namespace hone::embedding
