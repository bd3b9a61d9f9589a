// DeBERTa (He et al. 2020, https://arxiv.org/abs/2006.03654).
#pragma once

#include "models/backbone.h"
#include "models/deberta_backbone.h"

namespace hone::deberta {

ModelConfig read_config(const Json& config);

// What config.json of DeBERTa and DeBERTa-v2 have in common, and each one's own defaults.
struct Defaults {
  int64_t words = 50265, hidden = 768, layers = 12, heads = 12, intermediate = 3072;
};
// The plan but for names and products of positions. `log_buckets` reads whether distances share
// buckets; without, each has its own.
DebertaPlan read_plan(const Json& config, const Defaults& defaults, bool reads_log_buckets);
// The facts of such a plan; the rest of its names is the family's.
ModelConfig described(const Json& config, const DebertaPlan& plan);

}  // namespace hone::deberta
