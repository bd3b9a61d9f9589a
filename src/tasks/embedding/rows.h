// What a row of sentence embeddings holds: two texts that belong together, or of which a score or a
// label says how far they do, and texts that do not belong to the first.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/record.h"
#include "tasks/embedding/options.h"

namespace hone::embedding {

struct Texts {
  std::string anchor;
  std::optional<std::string> positive;
  std::vector<std::string> negatives;  // as in the row, but empty ones and equal ones
  std::string repair;                  // why some of the row's negatives are not there; or ""

  // Anchor, positive, negatives; no more than `most`.
  std::vector<std::string> list(size_t most) const;
};

// Error(kData) at the row where a text is missing or none. Without `is_whole` the anchor suffices.
Texts texts_of(const Record& record, const Options& options, bool is_whole);

// Whether the row has a score, or a label.
bool has_score(const Record& record, const Options& options);
bool has_label(const Record& record, const Options& options);

// The score as the row has it. Error(kData) where it is no number, or, for the loss that compares
// it with a cosine, where a cosine cannot reach it.
double need_score(const Record& record, const Options& options);
bool need_label(const Record& record, const Options& options);  // 1, 0, true or false

}  // namespace hone::embedding
