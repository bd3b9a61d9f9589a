// A score for every pair of tokens and every type: an efficient global pointer (Su et al. 2022,
// "Global pointer: novel efficient span-based approach for named entity recognition",
// https://arxiv.org/abs/2208.03054). A token i has a query q_i and a key k_i, turned by rotary
// positions, and two numbers for each type:
//
//   score(i, j, type) = q_i · k_j / √size + start(i, type) + end(j, type)
//
// Above 0 the pair is one. A head gives what belongs to the tokens alone, so that no output grows
// with the square of a length.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "models/layers/linear.h"
#include "tasks/network.h"
#include "tasks/text_places.h"

namespace hone {

// Weights: "p_dense" [H -> 2 · size], queries first, and "q_dense" [2 · size -> 2 · types] on what
// it gives before the rotation, starts first, halved.
class GlobalPointer : public torch::nn::Module {
 public:
  GlobalPointer(int64_t hidden, int64_t size, int64_t types);
  // [N, H] fp32, a row for each of `rows` -> [N, 2 · size + 2 · types]: q / √size, k, starts, ends.
  at::Tensor forward(const at::Tensor& states, const Rows& rows);
  void initialise(double range, uint64_t seed);

 private:
  int64_t size_;
  Linear queries_keys_{nullptr}, ends_{nullptr};
};

// Pointers on one encoder, by the name that their weights begin with and their number of types; an
// output for each, with a row for each token.
class PointerHead : public Head {
 public:
  using Kinds = std::vector<std::pair<std::string, int64_t>>;

  PointerHead(const ModelConfig& config, int64_t size, const Kinds& kinds);
  Outputs forward(Backbone& backbone, const Batch& batch) override;
  void initialise(uint64_t seed) override;

 private:
  double range_, dropout_;
  std::vector<std::shared_ptr<GlobalPointer>> pointers_;
};

struct TypedPair {
  int64_t first = 0, last = 0, type = 0;
  auto operator<=>(const TypedPair&) const = default;
};

// Scores [types, n, n] of the tokens [n, …] of one text.
at::Tensor pointer_scores(const at::Tensor& tokens, int64_t types);

// kSpans: pairs that are none where the first comes after the last; else they are in any order.
enum class PairOrder { kSpans, kAny };

// The loss of one text's tokens [n, …]: for each type log(1 + Σ over the gold pairs of exp(-score))
// + log(1 + Σ over all other pairs of exp(score)), summed (there too). With `smoothing` each pair's
// yes or no keeps a share of 1 - smoothing / 2, and a pair counts in both sums by its shares t and
// 1 - t: log(1 + Σ t · exp(-score)) + log(1 + Σ (1 - t) · exp(score)) (Su 2022,
// https://kexue.fm/archives/9064). Differentiable; fp32 scalar.
at::Tensor pointer_loss(const at::Tensor& tokens, const std::vector<TypedPair>& gold, int64_t types,
                        PairOrder order, double smoothing = 0);

// A pointer that has learned nothing finds pairs everywhere: of what is between `things` no more
// than twice as many and ten are given, the surest (Found::score). Their order stays.
template <typename Found>
void keep_surest(std::vector<Found>& found, int64_t things) {
  const auto most = static_cast<size_t>(2 * things + 10);
  if (found.size() <= most) return;
  std::vector<double> scores;
  for (const Found& one : found) scores.push_back(one.score);
  std::nth_element(scores.begin(), scores.begin() + most, scores.end(), std::greater<>());
  const double least = scores[most];
  std::erase_if(found, [&](const Found& one) { return one.score <= least; });
}

// ---- the gold pairs of a sample, as target columns

// Where the tokens of the text stand in a sequence.
TokenRange text_in(const Sequence& sequence);
// Target "text" [S, 2]: where the text begins, and how many tokens it has. Once for a sample.
void add_text_place(Sample& sample);
// Targets "<name>_count" [S] and "<name>" [pairs of all samples, 3]; tokens are counted in the
// text.
void add_pairs(const std::string& name, const std::vector<TypedPair>& pairs, Sample& sample);

// The pairs of a batch that a pointer is to find.
struct PairTarget {
  std::string name;
  int64_t types = 0;
  PairOrder order = PairOrder::kSpans;
  double smoothing = 0;
};
// pointer_loss of all samples, summed; tokens [N, …].
at::Tensor pair_loss(const at::Tensor& tokens, const Batch& batch, const PairTarget& target);

}  // namespace hone
