// Scores a search: each anchor looks for its positives among all texts of the rows.
#pragma once

#include <memory>

#include "tasks/embedding/options.h"
#include "tasks/task.h"

namespace hone::embedding {

// Anchors of equal text are one query, equal texts are one candidate. Candidates are the positives
// and negatives of all rows; a query's relevant ones are the positives of its rows.
std::unique_ptr<Scorer> make_search_scorer(const Options& options);

}  // namespace hone::embedding
