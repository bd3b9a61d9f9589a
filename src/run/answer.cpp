#include "run/answer.h"

#include <algorithm>

#include "base/progress.h"
#include "run/input_rows.h"
#include "run/reports.h"

namespace hone {
namespace {

// Answers rows in their order, a bad one by its error.
class Predictor {
 public:
  Predictor(const Pipeline& pipeline, const Reading& reading, const PredictOptions& options)
      : pipeline_(pipeline),
        text_fields_(pipeline.task().text_fields()),
        options_(options),
        rows_(reading, text_fields_) {}

  Answered run(const std::function<void(std::span<const Json>)>& take) {
    Progress progress("predicting", 0, "rows");
    for (auto chunk = rows_.next(); !chunk.empty(); chunk = rows_.next()) {
      const std::vector<Json> answers = answer(chunk);
      std::vector<Json> lines;
      for (size_t i = 0; i < chunk.size(); ++i)
        lines.push_back(line_of(chunk[i], answers[i], text_fields_, counts_));
      take(lines);
      progress.advance_to(counts_.rows);
    }
    return counts_;
  }

 private:
  // Notes the error of a row that turns out to have no answer.
  std::vector<Json> answer(std::vector<InputRow>& chunk) {
    std::vector<Record> records;
    std::vector<size_t> places;
    for (size_t i = 0; i < chunk.size(); ++i) {
      if (chunk[i].error) continue;
      records.push_back(chunk[i].record);
      places.push_back(i);
    }
    options_.failed = [&](int64_t record, const Error& error) {
      chunk[places[static_cast<size_t>(record)]].error = error;
    };
    options_.truncated = [&](int64_t record) {
      counts_.add_truncated(records[static_cast<size_t>(record)]);
    };
    std::vector<Json> results = pipeline_.predict(records, options_), answers(chunk.size());
    for (size_t i = 0; i < places.size(); ++i) answers[places[i]] = std::move(results[i]);
    return answers;
  }

  const Pipeline& pipeline_;
  std::vector<std::string> text_fields_;
  PredictOptions options_;
  InputRows rows_;
  Answered counts_;
};

}  // namespace

void Answered::add_truncated(const Record& record) {
  if (truncated++ == 0) first_truncated = record.where();
}

Json line_of(const InputRow& row, const Json& answer, const std::vector<std::string>& text_fields,
             Answered& counts) {
  ++counts.rows;
  if (row.error) {
    if (counts.bad_rows++ == 0) counts.first_error = row.error;
    counts.worst = std::max(counts.worst, row.error->kind());
  }
  return with_inputs(row.record, row.error ? Json{{"error", row.error->what()}} : answer,
                     text_fields);
}

Answered answer_rows(const Pipeline& pipeline, const Reading& reading,
                     const PredictOptions& options,
                     const std::function<void(std::span<const Json> lines)>& take) {
  return Predictor(pipeline, reading, options).run(take);
}

}  // namespace hone
