#include "tasks/embedding/losses.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/pairwise_distance.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <limits>

#include "models/kernels/cross_entropy.h"
#include "tasks/embedding/head.h"

namespace hone::embedding {
namespace {

constexpr double kHidden = -1e9;  // a score that a softmax does not see

at::Tensor cosines(const at::Tensor& a, const at::Tensor& b) { return (unit(a) * unit(b)).sum(-1); }

// d of the rows of a and b; the Euclidean one as torch.nn.functional.pairwise_distance has it.
at::Tensor distances(const at::Tensor& a, const at::Tensor& b, const Options& options) {
  return options.distance == "euclidean" ? at::pairwise_distance(a, b) : 1 - cosines(a, b);
}

at::Tensor is_there(const at::Tensor& keys) { return keys.ne(0).any(-1); }

// keys [A, 3], [B, 3] -> [A, B]: which texts are the same.
at::Tensor same(const at::Tensor& a, const at::Tensor& b) {
  return a.unsqueeze(1).eq(b.unsqueeze(0)).all(-1);
}

// Whether a chain of two holds: [A, B], [B, C] -> [A, C].
at::Tensor through(const at::Tensor& ab, const at::Tensor& bc) {
  return ab.to(at::kFloat).matmul(bc.to(at::kFloat)).gt(0);
}

// Scores [S, C] of queries with candidates, of which number i is right for query i; a share
// `smoothing` of that is spread evenly over all that are not hidden.
at::Tensor own_entropy(const at::Tensor& scores, at::Tensor hidden, double smoothing) {
  hidden.diagonal().fill_(false);
  const at::Tensor own =
      at::arange(scores.size(0), at::TensorOptions(at::kLong).device(scores.device()));
  const at::Tensor entropy =
      kernels::cross_entropy_sum(scores.masked_fill(hidden, kHidden).contiguous(), own);
  if (smoothing == 0) return entropy;
  const at::Tensor seen = hidden.logical_not(), means = (scores * seen).sum(1) / seen.sum(1);
  return entropy + smoothing * (scores.diagonal() - means).sum();
}

// Streams 1 … K of each sample as one list: first all positives, then all first negatives, ….
at::Tensor candidates_of(const at::Tensor& texts) {
  return texts.slice(1, 1).transpose(0, 1).flatten(0, 1);
}

}  // namespace

Loss multiple_negatives(const StepTexts& texts, const Options& options, double smoothing) {
  const int64_t samples = texts.vectors.size(0);
  const at::Tensor anchor_keys = texts.keys.select(1, 0), keys = candidates_of(texts.keys),
                   scores = options.scale * unit(texts.vectors.select(1, 0))
                                                .matmul(unit(candidates_of(texts.vectors)).t());
  at::Tensor hidden = is_there(keys).logical_not().unsqueeze(0).repeat({samples, 1});
  const at::Tensor anchors = same(anchor_keys, anchor_keys),
                   positives = same(keys.slice(0, 0, samples), keys);
  if (options.mask_duplicates)
    hidden = hidden.logical_or(same(anchor_keys, keys)).logical_or(through(anchors, positives));
  Loss loss{own_entropy(scores, hidden, smoothing), static_cast<double>(samples)};
  if (!options.symmetric) return loss;
  const at::Tensor of_positives = positives.slice(1, 0, samples);
  at::Tensor hidden_anchors = at::zeros_like(of_positives);
  if (options.mask_duplicates)
    hidden_anchors =
        same(keys.slice(0, 0, samples), anchor_keys).logical_or(through(of_positives, anchors));
  loss.sum =
      (loss.sum + own_entropy(scores.slice(1, 0, samples).t(), hidden_anchors, smoothing)) / 2;
  return loss;
}

Loss triplet(const StepTexts& texts, const Options& options) {
  const at::Tensor anchors = texts.vectors.select(1, 0);
  const at::Tensor near = distances(anchors, texts.vectors.select(1, 1), options);
  Loss loss{at::zeros({}, texts.vectors.options()), 0};
  for (int64_t stream = 2; stream < texts.vectors.size(1); ++stream) {
    const at::Tensor far = distances(anchors, texts.vectors.select(1, stream), options),
                     there = is_there(texts.keys.select(1, stream));
    loss.sum = loss.sum + ((near - far + options.margin).clamp_min(0) * there).sum();
    loss.count += there.sum().item<double>();
  }
  return loss;
}

Loss cosine(const StepTexts& texts, const at::Tensor& scores) {
  const at::Tensor error = cosines(texts.vectors.select(1, 0), texts.vectors.select(1, 1)) - scores;
  return {error.square().sum(), static_cast<double>(scores.numel())};
}

Loss cosent(const StepTexts& texts, const at::Tensor& scores, const Options& options) {
  const at::Tensor x =
      options.scale * cosines(texts.vectors.select(1, 0), texts.vectors.select(1, 1));
  const at::Tensor is_ordered = scores.unsqueeze(1).lt(scores.unsqueeze(0));
  const at::Tensor excess =
      (x.unsqueeze(1) - x.unsqueeze(0))
          .masked_fill(is_ordered.logical_not(), -std::numeric_limits<double>::infinity());
  return {at::logsumexp(at::cat({at::zeros({1}, x.options()), excess.flatten()}), {0}), 1};
}

Loss contrastive(const StepTexts& texts, const at::Tensor& labels, const Options& options) {
  const at::Tensor d = distances(texts.vectors.select(1, 0), texts.vectors.select(1, 1), options);
  const at::Tensor each =
      labels * d.square() + (1 - labels) * (options.margin - d).clamp_min(0).square();
  return {each.sum() / 2, static_cast<double>(labels.numel())};
}

}  // namespace hone::embedding
