#include "run/suite_table.h"

#include <fmt/format.h>

#include <cmath>

#include "base/console.h"
#include "base/file.h"
#include "tasks/report.h"

namespace hone {
namespace {

// Of the runs that gave a score.
struct Scores {
  std::vector<double> values;
  std::string task, metric;
  Json n, interval;  // of the only run: [low, high]
  double seconds = 0;

  double mean() const {
    double sum = 0;
    for (const double value : values) sum += value;
    return sum / static_cast<double>(values.size());
  }
  // Of a sample: divided by one less than their number.
  Json deviation() const {
    if (values.size() < 2) return nullptr;
    double squares = 0;
    for (const double value : values) squares += (value - mean()) * (value - mean());
    return std::sqrt(squares / static_cast<double>(values.size() - 1));
  }
};

Scores scores_of(const SuiteRow& row) {
  Scores scores;
  scores.task = row.task;
  for (const OneRun& run : row.runs) {
    if (run.report.is_null()) continue;
    scores.metric = run.report.value("metric", "");
    scores.n = run.report.value("n", Json());
    scores.interval = run.report.value("intervals", Json::object()).value(scores.metric, Json());
    scores.seconds += run.report.value("timing", Json::object()).value("train_seconds", 0.0);
    if (run.report.value("score", Json()).is_number())
      scores.values.push_back(run.report["score"].get<double>());
  }
  return scores;
}

const Error* first_failure(const SuiteRow& row) {
  for (const OneRun& run : row.runs) {
    if (run.failure) return &*run.failure;
  }
  return nullptr;
}

Json run_json(const OneRun& run) {
  Json json = {{"seed", run.seed}, {"folder", run.folder}};
  if (run.failure) {
    json["error"] = run.failure->what();
    json["exit_code"] = static_cast<int>(run.failure->kind());
  }
  if (run.report.is_null()) return json;
  for (const char* key : {"score", "metrics", "intervals", "split", "timing", "test_sets"}) {
    if (run.report.contains(key)) json[key] = run.report[key];
  }
  const Json train = run.report.value("data", Json::object()).value("train", Json::object());
  json["train_rows"] = train.value("used", Json());
  return json;
}

Json row_json(const SuiteRow& row) {
  const Scores scores = scores_of(row);
  Json json = {{"name", row.name},
               {"task", scores.task},
               {"metric", scores.metric},
               {"score", scores.values.empty() ? Json() : Json(scores.mean())},
               {"deviation", scores.deviation()},
               {"n", scores.n},
               {"train_seconds", scores.seconds},
               {"runs", Json::array()}};
  if (!row.note.empty()) json["note"] = row.note;
  if (const Error* failure = first_failure(row)) json["error"] = failure->what();
  for (const OneRun& run : row.runs) json["runs"].push_back(run_json(run));
  return json;
}

// What stands in the last column: why there is no score, or what the list notes.
std::string remark_of(const SuiteRow& row, const Scores& scores) {
  if (const Error* failure = first_failure(row)) return std::string("failed: ") + failure->what();
  if (scores.values.size() < row.runs.size())
    return fmt::format("{} of {} runs done", scores.values.size(), row.runs.size());
  return row.note;
}

PlainTable table_of(const SuiteResult& result) {
  PlainTable table;
  table.columns = {{"name", "entry"},      {"task", "task"},    {"metric", "metric"},
                   {"score", "score"},     {"deviation", "±"},  {"low", "from"},
                   {"high", "to"},         {"n", "rows"},       {"runs", "runs"},
                   {"seconds", "train s"}, {"remark", "remark"}};
  for (const SuiteRow& row : result.rows) {
    const Scores scores = scores_of(row);
    const bool has_interval = scores.values.size() == 1 && scores.interval.is_array();
    table.rows.push_back(
        {row.name, scores.task, scores.metric, scores.values.empty() ? Json() : Json(scores.mean()),
         scores.deviation(), has_interval ? scores.interval[0] : Json(),
         has_interval ? scores.interval[1] : Json(), scores.n, scores.values.size(),
         static_cast<int64_t>(std::round(scores.seconds)), remark_of(row, scores)});
  }
  table.note =
      "score: the mean over runs; ±: their standard deviation; from, to: the 95 % interval "
      "of a single run, bootstrap over records";
  return table;
}

std::string markdown_cell(const Json& cell) {
  std::string out;
  for (const char c : console::printable(shown_cell(cell)))
    out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

std::string markdown_of(const SuiteResult& result, const PlainTable& table) {
  std::string text = "# " + result.name + "\n\n|", line = "\n|";
  for (const PlainTable::Column& column : table.columns) {
    text += " " + column.heading + " |";
    line += " --- |";
  }
  text += line + "\n";
  for (const std::vector<Json>& row : table.rows) {
    text += "|";
    for (const Json& cell : row) text += " " + markdown_cell(cell) + " |";
    text += "\n";
  }
  return text + "\n" + table.note + "\n";
}

}  // namespace

Json suite_json(const SuiteOptions& options, const SuiteResult& result) {
  Json json = {{"suite", result.name},
               {"model", options.model},
               {"command", options.command},
               {"entries", Json::array()}};
  for (const SuiteRow& row : result.rows) json["entries"].push_back(row_json(row));
  return json;
}

std::string suite_text(const SuiteResult& result) {
  return section_text({"entries", result.name, table_of(result)}, "");
}

void write_suite(const SuiteOptions& options, const SuiteResult& result) {
  const PlainTable table = table_of(result);
  Report page;
  page.task = "suite";
  page.sections.push_back({"entries", "entries", table});
  RunSummary summary;
  summary.title = result.name;
  summary.model = options.model;
  summary.command = options.command;
  write_file(options.out + "/suite.md", markdown_of(result, table));
  write_file(options.out + "/suite.html", report_html(page, summary));
  write_file(options.out + "/suite.json", to_text(suite_json(options, result), 2) + "\n");
}

}  // namespace hone
