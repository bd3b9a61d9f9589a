#include "cli/engine/inference.h"

#include <fmt/format.h>

#include "base/log.h"
#include "cli/arguments.h"

namespace hone {

namespace {

// The KEY=VALUE words of the task's section; or the others, those of a data section, which may
// bear its name as messages write it.
std::vector<std::string> words_of(const CLI::App& arguments, bool of_task) {
  constexpr std::string_view kTask = "task.", kData = "data.";
  std::vector<std::string> words;
  for (const std::string& word : list_of(arguments, "KEY=VALUE")) {
    const std::string_view section = word.starts_with(kTask)   ? kTask
                                     : word.starts_with(kData) ? kData
                                                               : "";
    if ((section == kTask) == of_task) words.push_back(word.substr(section.size()));
  }
  return words;
}

}  // namespace

Reading reading_of(const std::string& path, const CLI::App& arguments, const Pipeline& pipeline) {
  std::vector<std::string> words = words_of(arguments, false);
  words.emplace_back("path=\"-\"");  // the name itself may hold any bytes, which YAML may not
  Config config = Config::parse("", "command line", words);
  Config clean = config.section("clean");
  Reading reading{SourceOptions::read(config), CleanOptions::read(clean, pipeline.clean())};
  config.refuse_unknown();
  reading.source.path = path;
  return reading;
}

int64_t max_tokens_of(const CLI::App& arguments, const Pipeline& pipeline) {
  return arguments.get_option("--max-tokens")->count() > 0 ? number_of(arguments, "--max-tokens")
                                                           : usual_tokens(pipeline.device());
}

LoadOptions load_options(const CLI::App& arguments) {
  return {.task = words_of(arguments, true),
          .precision = text_of(arguments, "--precision"),
          .device = text_of(arguments, "--device"),
          .threads = number_of(arguments, "--threads")};
}

LoadOptions load_task_options(const CLI::App& arguments) {
  LoadOptions options = load_options(arguments);
  for (std::string& word : words_of(arguments, false)) options.task.push_back(std::move(word));
  return options;
}

std::unique_ptr<Pipeline> load_pipeline(const CLI::App& arguments) {
  LoadOptions options = load_options(arguments);
  options.part = text_of(arguments, "--task");
  return load_model(text_of(arguments, "MODEL"), options);
}

std::vector<NamedAdapter> named_adapters(const CLI::App& arguments) {
  std::vector<NamedAdapter> adapters;
  for (const std::string& word : list_of(arguments, "--adapter"))
    adapters.push_back(NamedAdapter::read(word));
  return adapters;
}

int tell_answered(const Answered& answered, const Reading& reading) {
  if (answered.truncated > 0)
    log_warn("{} of {} rows are too long for the model: it was shown a part of them; the first: {}",
             answered.truncated, answered.rows, answered.first_truncated.str());
  if (answered.bad_rows == 0) return 0;
  const std::string message =
      fmt::format("{} of {} rows have no answer, in its place stands an \"error\"; the first: {}",
                  answered.bad_rows, answered.rows, answered.first_error->what());
  const bool may_skip = answered.worst == ErrorKind::kData;  // a bad model is no bad row
  if (reading.source.on_bad_row != "skip" || !may_skip) throw Error(answered.worst, message);
  log_warn("{}", message);
  return 0;
}

}  // namespace hone
