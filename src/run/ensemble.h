// Several models of one task made one: their probabilities averaged, or their weights.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "run/load.h"
#include "run/reading.h"

namespace hone {

enum class EnsembleAs {
  kProbabilities,  // all of them answer, each time
  kSoup,           // one model of their mean weights (Wortsman et al. 2022, "Model soups",
                   // https://arxiv.org/abs/2203.05482)
  kGreedySoup,     // the same of those that make it no worse on labelled data, the best one first
};

struct Ingredient {
  std::string model;
  double score = 0;    // by itself; of a greedy soup
  double with_it = 0;  // of the soup with it
  bool is_in = true;
};

struct Ensemble {
  std::vector<Ingredient> ingredients;  // in the order in which they were taken
  std::string metric;                   // of the scores; "": none was asked for
};

// Writes the model into the new folder `out`, which eval, predict and all that load a model accept.
// `models` are folders that hone saved, two or more; `data` and the way to read it are a greedy
// soup's. Error(kUsage) for other tasks, options, labels or their order, tokenizers; for a soup
// also for networks of another shape or another base model: their mean would be no model.
Ensemble make_ensemble(const std::vector<std::string>& models, EnsembleAs as,
                       const std::optional<Reading>& data, const LoadOptions& options,
                       int64_t max_tokens, const std::string& out);

}  // namespace hone
