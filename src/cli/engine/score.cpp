#include <fmt/format.h>

#include <iostream>

#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/run.h"

namespace hone {
namespace {

struct Scoring {
  std::unique_ptr<Task> task;
  SourceOptions gold;
};

// The task's options and, under "data", how to read the gold file.
Scoring configure(const CLI::App& arguments) {
  std::vector<std::string> overrides = {"data.path=" + Json(text_of(arguments, "GOLD")).dump()};
  for (const std::string& option : list_of(arguments, "KEY=VALUE")) overrides.push_back(option);
  Config config = Config::parse("", "command line", overrides);
  Config data = config.section("data");
  Scoring scoring{task_named(text_of(arguments, "TASK")).make(config, 0),
                  SourceOptions::read(data)};
  config.refuse_unknown();
  return scoring;
}

}  // namespace

int run_score(const CLI::App& arguments) {
  const Scoring scoring = configure(arguments);
  SourceOptions predictions;
  predictions.path = text_of(arguments, "PREDICTED");
  const auto gold = open_reader(scoring.gold), predicted = open_reader(predictions);
  const auto scorer = scoring.task->make_scorer();
  RunSummary summary;
  SplitAudit& audit = summary.data["test"];
  while (std::optional<Record> record = gold->next()) {
    const std::optional<Record> result = predicted->next();
    if (!result)
      throw Error(ErrorKind::kData, {predictions.path},
                  fmt::format("ends after {} rows; the gold data goes on at {}.", audit.rows,
                              record->where().str()));
    scorer->add(*record, result->fields);
    ++audit.rows;
  }
  if (const std::optional<Record> extra = predicted->next()) {
    throw Error(ErrorKind::kData, extra->where(),
                fmt::format("is one row more than the {} of {}.", audit.rows, scoring.gold.path));
  }
  if (audit.rows == 0)
    throw Error(ErrorKind::kData, {scoring.gold.path}, "holds no rows; there is nothing to score.");
  audit.used = audit.rows;
  summary.title = run_name(predictions.path);
  summary.command = fmt::format("hone score {} {} {}", text_of(arguments, "TASK"),
                                scoring.gold.path, predictions.path);
  print_report(scorer->report(), summary, flag_of(arguments, "--json"));
  return 0;
}

}  // namespace hone
