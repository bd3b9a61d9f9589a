#include <filesystem>
#include <iostream>

#include "base/file.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/inference.h"
#include "cli/engine/print_report.h"
#include "data/idle_options.h"
#include "run/audit.h"
#include "run/reports.h"
#include "run/run_folder.h"
#include "run/tested.h"

namespace hone {
namespace {

void make_report_folder(const std::string& folder, const std::vector<std::string>& inputs) {
  if (folder.empty()) return;
  refuse_report_over(folder, inputs);
  std::filesystem::create_directories(folder);
  remove_leftovers(folder);
}

// Tests a model on rows that `only` takes, and writes the report's files where there is a folder.
Tested tested_on(const Pipeline& pipeline, const Reading& reading, const std::string& model,
                 const std::string& folder, const CLI::App& arguments, const RowFilter& only) {
  make_report_folder(folder, {model, reading.source.path});
  Tested tested = test_on(pipeline, reading, max_tokens_of(arguments, pipeline), folder, only);
  tested.summary.title = run_name(model);
  tested.summary.model = model;
  tested.summary.command = command_line(arguments);
  if (!folder.empty()) write_reports(folder, tested.report, tested.summary);
  return tested;
}

// Each adapter on the rows that name it: a report of its own.
void eval_by_adapter(const Pipeline& first, const Reading& reading, const CLI::App& arguments) {
  if (reading.source.path == "-")
    throw Error(
        ErrorKind::kUsage,
        "rows of several adapters are read once for each of them; standard input cannot be");
  const AdapterModels models(first, named_adapters(arguments));
  const std::string folder = text_of(arguments, "--report");
  Json reports = Json::object();
  for (const std::string& name : adapters_named(models, reading)) {
    const Pipeline& model = models.named(name);
    const std::string own = folder.empty() || name.empty() ? folder : folder + "/adapters/" + name;
    const Tested tested =
        tested_on(model, reading, name.empty() ? text_of(arguments, "MODEL") : name, own, arguments,
                  [&](const Record& record) { return &models.of(record) == &model; });
    reports[name] = report_json(tested.report, tested.summary);
    if (flag_of(arguments, "--json")) continue;
    if (!name.empty()) std::cout << "\nadapter " << name << "\n";
    print_report(tested.report, tested.summary, /*as_json=*/false,
                 own.empty() ? "with --json" : "in report.json");
  }
  if (flag_of(arguments, "--json")) std::cout << to_text(Json{{"adapters", reports}}) << "\n";
}

}  // namespace

int run_eval(const CLI::App& arguments) {
  const auto pipeline = load_pipeline(arguments);
  const std::string folder = text_of(arguments, "--report");
  const Reading reading = reading_of(text_of(arguments, "DATA"), arguments, *pipeline);
  tell_idle("data", idle_options(reading.source));
  if (flag_of(arguments, "--adapter")) {
    eval_by_adapter(*pipeline, reading, arguments);
    return 0;
  }
  const Tested tested =
      tested_on(*pipeline, reading, text_of(arguments, "MODEL"), folder, arguments, nullptr);
  print_report(tested.report, tested.summary, flag_of(arguments, "--json"),
               folder.empty() ? "with --json" : "in report.json");
  return 0;
}

}  // namespace hone
