// RoBERTa (Liu et al. 2019, https://arxiv.org/abs/1907.11692): BERT without segments, positions
// counted from padding_idx + 1.
#pragma once

#include "models/backbone.h"
#include "models/encoder_backbone.h"

namespace hone::roberta {

ModelConfig read_config(const Json& config);
// Of models that are RoBERTa in all but their name and vocabulary (XLM-RoBERTa, CamemBERT).
ModelConfig read_config_of(const Json& config, const char* architecture_stem, int64_t words);

// RoBERTa's head of pre-training, which MPNet's is too.
MaskedLmStyle language_head(const EncoderPlan& plan);

}  // namespace hone::roberta
