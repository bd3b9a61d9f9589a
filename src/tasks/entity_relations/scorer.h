// Scores relations end to end: one is right where both its entities are, bounds and types, its
// label and its direction ("strict": Bekoulis et al. 2018, https://arxiv.org/abs/1804.07847).
// Entities are scored beside them as named-entity recognition scores them.
#pragma once

#include <memory>

#include "tasks/entity_relations/options.h"
#include "tasks/task.h"

namespace hone::entity_relations {

std::unique_ptr<Scorer> make_scorer(const Options& options);

}  // namespace hone::entity_relations
