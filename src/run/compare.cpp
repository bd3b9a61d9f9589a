#include "run/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <tuple>

#include "base/file.h"
#include "data/fingerprint.h"
#include "run/right.h"
#include "run/run_config.h"
#include "run/run_folder.h"
#include "run/score.h"
#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/pipeline.h"

namespace hone {
namespace {

constexpr const char* kTwoAnswers = "this run's answer → the other's";
constexpr size_t kChangedShown = 100, kChangedText = 200;

// A row's place: file, line, column (0 where it has none).
using RowPlace = std::tuple<std::string, int64_t, int64_t>;

std::string shown_place(const RowPlace& place) {
  return Where{std::get<0>(place), std::get<1>(place), std::get<2>(place)}.str();
}

struct FinishedRun {
  std::string folder;
  std::shared_ptr<const Task> task;
  std::vector<SourceOptions> sources;  // of the data that it was tested on
  std::vector<RowPlace> rows;          // in the order in which they were tested
  std::map<RowPlace, Json> answers = {};
};

int64_t whole_number(const Record& row, const std::string& field) {
  const Json& value = need_field(row, field);
  if (!value.is_number_integer()) throw field_error(row, field, "must be a whole number");
  return value.get<int64_t>();
}

void read_predictions(FinishedRun& run) {
  SourceOptions source;
  source.path = run.folder + "/predictions.jsonl";
  source.format = "jsonl";
  const auto reader = open_reader(source);
  while (const std::optional<Record> row = reader->next()) {
    const RowPlace place{need_text(*row, "file"), whole_number(*row, "line"),
                         row->fields.contains("column") ? whole_number(*row, "column") : 0};
    if (!run.answers.emplace(place, row->fields).second)
      throw Error(ErrorKind::kData, row->where(),
                  fmt::format("is a second prediction of {}", shown_place(place)));
    run.rows.push_back(place);
  }
}

FinishedRun read_run(const std::string& folder) {
  const std::string written = RunFolder::config_in(folder);
  if (!std::filesystem::exists(written) || !RunFolder::is_finished(folder, /*gives_report=*/true))
    throw Error(ErrorKind::kUsage, {folder},
                "holds no run that has ended with a report. Two files of predictions are compared "
                "by \"hone score TASK GOLD PREDICTED --against OTHER\".");
  const RunConfig config = RunConfig::load(written, {});
  if (!config.task_data.empty())
    throw Error(
        ErrorKind::kUsage, {folder},
        "is a run of several tasks with data of their own; compare their predictions one by "
        "one with \"hone score MODEL GOLD PREDICTED --task NAME --against OTHER\".");
  FinishedRun run{folder, load_task(folder + "/model"), {}, {}};
  run.sources = {config.data.sources.at(config.data.tested().front())};
  read_predictions(run);
  return run;
}

void refuse_other_rows(const FinishedRun& run, const FinishedRun& other) {
  for (const RowPlace& place : run.rows) {
    if (!other.answers.contains(place))
      throw Error(ErrorKind::kData, {other.folder},
                  fmt::format("was not tested on {}, which {} was tested on: only runs on the same "
                              "rows can be compared",
                              shown_place(place), run.folder));
  }
}

// The rows of both runs with their labels, in the data's order; `take` gets each.
template <typename Take>
void for_each_gold(const FinishedRun& run, Take&& take) {
  size_t found = 0;
  for (const SourceOptions& source : run.sources) {
    const auto reader = open_reader(source);
    while (const std::optional<Record> gold = reader->next()) {
      const RowPlace place{gold->where().file, gold->line, gold->column};
      const auto answer = run.answers.find(place);
      if (answer == run.answers.end()) continue;  // trained on, or left out
      ++found;
      take(*gold, place);
    }
  }
  if (found != run.rows.size())
    throw Error(ErrorKind::kData, {run.sources.front().path},
                fmt::format("has {} of the {} rows that {} was tested on: it has changed since, or "
                            "lies elsewhere",
                            found, run.rows.size(), run.folder));
}

// Adds a result that was scored before; what is wrong now is that the gold row has changed.
void add_answer(const Record& gold, const Json& answer, const std::string& folder, Scorer& scorer) {
  try {
    scorer.add(gold, answer);
  } catch (const Error& error) {
    throw Error(ErrorKind::kData, error.where(),
                fmt::format("{} (was the row changed since {} was tested on it?)", error.message(),
                            folder));
  }
}

// Rows by who gets them right.
struct RightRows {
  int64_t both = 0, first = 0, second = 0, none = 0;
  bool can_tell = true;  // the task knows right and wrong
  std::vector<Example> only_first, only_second;
};

void count_right(const FinishedRun& run, const FinishedRun& other, const Record& gold,
                 const RowPlace& place, RightRows& rows) {
  if (!rows.can_tell) return;
  const Json &here = run.answers.at(place), &there = other.answers.at(place);
  const auto first = is_right(*run.task, gold, here), second = is_right(*run.task, gold, there);
  rows.can_tell = first && second;
  if (!rows.can_tell) return;
  ++(*first ? (*second ? rows.both : rows.first) : (*second ? rows.second : rows.none));
  if (*first == *second) return;
  std::vector<Example>& list = *first ? rows.only_first : rows.only_second;
  if (list.size() < kChangedShown)
    list.push_back(
        {gold.where(), shortened(text_of_fields(gold, run.task->text_fields()), kChangedText),
         shown_answer(answer_of(*run.task, here)), shown_answer(answer_of(*run.task, there))});
}

PlainTable right_table(const RightRows& rows) {
  PlainTable table{
      .note = fmt::format("p {:.4g}: how often chance alone makes the rows that one of "
                          "the two alone gets right fall so unevenly (McNemar, exact)",
                          metrics::mcnemar_p(rows.first, rows.second)),
      .columns = {{"who", "right in"}, {"rows", "rows"}}};
  table.rows = {{"both", rows.both},
                {"this run alone", rows.first},
                {"the other alone", rows.second},
                {"neither", rows.none}};
  return table;
}

void add_right_sections(const RightRows& rows, Report& report) {
  if (!rows.can_tell) return;
  report.sections.push_back({"right", "right answers of both", right_table(rows)});
  report.sections.push_back({"lost", "rows that this run alone gets right",
                             Examples{rows.only_first, "confidence", "lost_measure", kTwoAnswers}});
  report.sections.push_back({"won", "rows that the other alone gets right",
                             Examples{rows.only_second, "confidence", "won_measure", kTwoAnswers}});
}

}  // namespace

Report compare_runs(const std::string& run, const std::string& other) {
  const FinishedRun first = read_run(run), second = read_run(other);
  if (first.task->info().name != std::string(second.task->info().name))
    throw Error(ErrorKind::kUsage,
                fmt::format("{} is a run of task {}, {} of task {}", run, first.task->info().name,
                            other, second.task->info().name));
  refuse_other_rows(first, second);
  refuse_other_rows(second, first);
  const auto mine = first.task->make_scorer(), theirs = first.task->make_scorer();
  RightRows rows;
  for_each_gold(first, [&](const Record& gold, const RowPlace& place) {
    add_answer(gold, first.answers.at(place), run, *mine);
    add_answer(gold, second.answers.at(place), other, *theirs);
    count_right(first, second, gold, place, rows);
  });
  Report report = mine->report();
  report.sections.push_back(
      {"against", "against the other run", differences_of(report, theirs->report(), other)});
  add_right_sections(rows, report);
  return report;
}

}  // namespace hone
