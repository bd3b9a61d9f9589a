// Scores of generated texts against references: of a set with intervals, and of each row; the
// worst rows beside their references.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/record.h"
#include "tasks/metrics/text/text_options.h"
#include "tasks/report.h"

namespace hone::metrics {

struct TextPair {
  std::string predicted;
  std::vector<std::string> references;      // at least one; "" is one, too
  std::string source = {};                  // what was asked, as people read it; "": not shown
  std::vector<std::string> sentences = {};  // of the source, where the data part it; else they are
                                            // found (sentences_of in lead.h)
  Where where = {};                         // of the record
};

class TextScorer {
 public:
  // Error(kUsage) for a metric that is none. REQUIRES: options.metrics is not empty.
  explicit TextScorer(const TextOptions& options);
  ~TextScorer();

  // Time and memory grow with the texts' lengths; a text of megabytes is fine. REQUIRES:
  // pair.references is not empty.
  void add(TextPair pair);

  // The metric that leads: "bleu", "rougeL".
  const std::string& main() const;

  // Appends the metrics with their intervals and, where asked for, the baseline; the signature of
  // BLEU and chrF, and the worst rows, as sections. Leaves report.n, task and metric to the caller,
  // who sets `metric` before (report.score follows where it is one of these).
  void add_to(Report& report);

 private:
  class Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace hone::metrics
