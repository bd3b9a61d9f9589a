// Scores intents as classification does, slots as seqeval does, and both together: an utterance is
// right where its intent is and all its slots are.
#pragma once

#include <memory>

#include "tasks/intent_slots/options.h"
#include "tasks/labels.h"
#include "tasks/task.h"

namespace hone::intent_slots {

constexpr const char* kScores = "scores";  // in results: the probability of each intent

// The intent of a record or result, a label. Error(kData) at record.where() for what is none.
Json intent_in(const Record& record, const Options& options);

std::unique_ptr<Scorer> make_scorer(const Options& options, const Labels& intents);

}  // namespace hone::intent_slots
