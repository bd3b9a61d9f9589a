// The contract of a score of generated texts, and the table of those there are.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/table.h"
#include "tasks/metrics/text/text_options.h"
#include "tasks/report.h"

namespace hone::metrics {

// A text and what every metric would have to make of it again.
struct PreparedText {
  std::string_view text;
  std::u32string points = {};       // of the text; without case where the options say so
  std::vector<int32_t> words = {};  // BLEU's, by number; equal words of a set have equal ones
};
struct PreparedPair {
  PreparedText predicted;
  std::vector<PreparedText> references;  // at least one
};

// BLEU's words of the reference nearest in length to the text; of two, the shorter's.
int64_t nearest_length(const PreparedPair& pair);

// A score is worked out from numbers that rows have and that add up: of a set, of a resampled one
// and of one row in the same way. Sums of counts are exact up to 2^53.
class TextMetric {
 public:
  virtual ~TextMetric() = default;

  virtual std::vector<MetricName> names() const = 0;  // of its scores
  // The numbers of one row, always equally many. May change the metric where adds_up() is false.
  virtual std::vector<double> numbers(const PreparedPair& pair) = 0;
  // The scores, by names(), of rows whose numbers have these sums.
  virtual std::vector<double> scores(std::span<const double> sums) const = 0;
  // Of a single row; greater is better.
  virtual double row_score(std::span<const double> numbers) const {
    return scores(numbers).front();
  }
  // False where a row's numbers depend on the rows before it: no interval, no score of a row.
  virtual bool adds_up() const { return true; }
  // How it was measured, as sacrebleu writes it, without the number of references; "": nothing to
  // tell.
  virtual std::string signature() const { return ""; }
};

struct TextMetricInfo {
  const char* name;  // in `metrics`
  const char* help;  // one line
  const char* main;  // of its scores, the one that leads and ranks rows; nullptr: it cannot lead
  // `options`: nothing is left to be chosen (kAuto).
  std::unique_ptr<TextMetric> (*make)(const TextOptions& options);
};

Table<TextMetricInfo>& text_metrics();  // text_metrics.cpp: one line each

}  // namespace hone::metrics
