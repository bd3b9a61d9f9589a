// Scores entities as seqeval does, with intervals, calibration and the most confident mistakes.
#pragma once

#include <memory>

#include "tasks/ner/options.h"
#include "tasks/task.h"

namespace hone::ner {

constexpr const char* kWithoutPieces =
    "tokens_without_pieces";  // in results: tokens that the tokenizer makes nothing of; they are
                              // tagged O

// `task`: whose report it is.
std::unique_ptr<Scorer> make_scorer(const Options& options, const char* task = kTaskName);

}  // namespace hone::ner
