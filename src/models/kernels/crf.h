// A linear-chain conditional random field on a network's outputs (Lafferty et al. 2001; Lample et
// al. 2016, https://arxiv.org/abs/1603.01360), exact, in fp64. What tags y_1 … y_n of a chain
// score:
//
//   start(y_1) + Σ emission_t(y_t) + Σ transition(y_t, y_t+1) + end(y_n)
//
// Sums over all paths are taken by the forward algorithm on exponentials scaled at each step
// (Rabiner 1989), so that a step is a product with a matrix [T, T]. Scores that lie 700 and more
// below the best of their place count as none.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace hone::kernels {

// A transition that never happens.
constexpr double kForbidden = -10'000;

// Rows [begin, end) of the emissions. A chain that is cut out of a longer one has no start or end
// of its own.
struct CrfChain {
  int64_t begin = 0, end = 0;
  bool has_start = true, has_end = true;
  double weight = 1;  // of its loss
};

// Σ weight · (log Σ over all paths of exp(score) - score of `tags`) over the chains, a scalar fp32.
// emissions [M, T] fp32; table [T + 2, T] fp32: from each tag to each, then the scores of starts,
// then those of ends; tags [M] int64 on the CPU. Computed on the CPU, chains shared out to all
// threads. Differentiable in emissions and table, once.
at::Tensor crf_loss_sum(const at::Tensor& emissions, const at::Tensor& table,
                        const at::Tensor& tags, const std::vector<CrfChain>& chains);

// The same with label smoothing: a share of each chain's target is spread evenly over all paths
// that may happen: Σ weight · (log Σ exp(score) - (1 - smoothing) · score of `tags` - smoothing ·
// mean score of such paths).
at::Tensor crf_loss_sum(const at::Tensor& emissions, const at::Tensor& table,
                        const at::Tensor& tags, const std::vector<CrfChain>& chains,
                        double smoothing);

struct CrfPath {
  std::vector<int64_t> tags;
  std::vector<double> probabilities;  // of each tag at its place: a sum over all paths
};
// The best path (Viterbi 1967; of equal ones that with the smallest tags at its end). emissions
// [n, T], table [T + 2, T]: fp32, contiguous, on the CPU.
CrfPath crf_best_path(const at::Tensor& emissions, const at::Tensor& table);

}  // namespace hone::kernels
