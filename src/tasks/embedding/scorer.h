// Scores sentence embeddings: rows with a score by correlation, rows with a label by average
// precision, others by a search for each anchor's texts among all texts of the rows.
#pragma once

#include <memory>

#include "tasks/embedding/options.h"
#include "tasks/task.h"

namespace hone::embedding {

// The first row decides which of the three it is.
std::unique_ptr<Scorer> make_scorer(const Options& options);

}  // namespace hone::embedding
