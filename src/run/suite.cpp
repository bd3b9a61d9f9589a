#include "run/suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/folder_name.h"
#include "base/log.h"
#include "run/suite_table.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr const char* kData = "$DATA";

std::string quoted(const std::string& text) { return to_text(Json(text)); }

void check_entry_name(const Config& entry, const std::string& name,
                      const std::set<std::string>& before) {
  if (!is_folder_name(name))
    throw entry.error("name",
                      fmt::format("the name of an entry is a folder's too: {}", kFolderNameRule));
  if (before.contains(name))
    throw entry.error("name", fmt::format("two entries have the name \"{}\"; their runs would "
                                          "write into one folder",
                                          name));
  if (entry.has("output"))
    throw entry.error("output",
                      "an entry has no \"output\": it writes into a folder of its name "
                      "below --out");
  for (const char* key : {"seeds", "folds"}) {
    if (entry.has(key))
      throw entry.error(key, fmt::format("an entry has no \"{}\"; --seeds N runs each of them N "
                                         "times",
                                         key));
  }
}

// A list that speaks of $DATA must be told what that is.
void replace_data(Config& root, const SuiteOptions& options) {
  if (to_text(root.plain()).find(kData) == std::string::npos) return;
  if (options.data.empty())
    throw Error(ErrorKind::kUsage, {options.list},
                "its data lie in $DATA; name that folder with --data FOLDER");
  root.replace(kData, options.data);
}

RunConfig config_of(const Config& entry, const Config& defaults, const std::string& name,
                    int64_t run, const SuiteOptions& options) {
  Config own = entry.over(defaults, {"train", "data"}, {"name", "note"});
  if (!options.model.empty()) own.override_with("model.path=" + quoted(options.model));
  for (const std::string& argument : options.overrides) {
    if (argument.starts_with("output"))
      throw Error(ErrorKind::kUsage,
                  fmt::format("{}: an entry writes into a folder of its name below --out; name "
                              "that with --out FOLDER",
                              argument));
    own.override_with(argument);
  }
  Config train = own.over(own, {}, {}).section("train");
  const int64_t seed = train.get("seed", TrainOptions().seed) + run;
  own.override_with(fmt::format("train.seed={}", seed));
  own.override_with("output.dir=" + quoted(fmt::format("{}/{}/seed-{}", options.out, name, seed)));
  return RunConfig::read_whole(own, options.list);
}

SuiteEntry read_entry(Config& entry, const Config& defaults, const std::set<std::string>& before,
                      const SuiteOptions& options) {
  SuiteEntry out;
  out.name = entry.require("name");
  out.note = entry.get("note", "");
  check_entry_name(entry, out.name, before);
  for (int64_t run = 0; run < options.seeds; ++run)
    out.runs.push_back(config_of(entry, defaults, out.name, run, options));
  return out;
}

void refuse_untested(const RunConfig& config, const std::string& name) {
  if (config.data.tested().empty())
    throw Error(
        ErrorKind::kUsage, {config.path},
        fmt::format("entry \"{}\" has neither test nor validation data, and so no score", name));
}

class SuiteRunner {
 public:
  SuiteRunner(const Suite& suite, const SuiteOptions& options,
              const std::vector<Listener>& listeners)
      : suite_(suite), options_(options), listeners_(listeners) {
    result_.name = suite.name;
    for (const SuiteEntry& entry : suite.entries) {
      SuiteRow& row = result_.rows.emplace_back();
      row.name = entry.name;
      row.task = entry.runs.front().make_task(0)->info().name;
      row.note = entry.note;
      for (const RunConfig& run : entry.runs)
        row.runs.push_back({run.train.seed, run.output_dir, {}, {}});
    }
  }

  SuiteResult run() {
    size_t runs = 0;
    for (const SuiteEntry& entry : suite_.entries) runs += entry.runs.size();
    RunsLog log("runs", runs);
    runs = 0;
    for (size_t i = 0; i < suite_.entries.size(); ++i) {
      for (size_t j = 0; j < suite_.entries[i].runs.size() && !result_.interrupted; ++j) {
        const RunConfig& config = suite_.entries[i].runs[j];
        log_event("entry {} of {}: {}, seed {}", i + 1, suite_.entries.size(),
                  suite_.entries[i].name, config.train.seed);
        log.begin(runs++);
        OneRun& run = result_.rows[i].runs[j];
        run = run_or_take(config,
                          {.command = options_.command, .stop_requested = options_.stop_requested},
                          listeners_);
        result_.interrupted = run.interrupted;
        write_suite(options_, result_);
      }
    }
    return std::move(result_);
  }

 private:
  const Suite& suite_;
  const SuiteOptions& options_;
  const std::vector<Listener>& listeners_;
  SuiteResult result_;
};

}  // namespace

Suite read_suite(const SuiteOptions& options) {
  Config root = Config::parse(read_file(options.list, ErrorKind::kUsage), options.list);
  replace_data(root, options);
  Suite suite;
  suite.name = root.get("name", fs::path(options.list).stem().string());
  std::set<std::string> names;
  const Config defaults = root.section("defaults");
  for (Config& entry : root.sections("entries")) {
    suite.entries.push_back(read_entry(entry, defaults, names, options));
    names.insert(suite.entries.back().name);
    refuse_untested(suite.entries.back().runs.front(), suite.entries.back().name);
  }
  if (suite.entries.empty())
    throw root.error("entries",
                     "the list has no entry; write \"entries: [{name: …, task: …, "
                     "data: …}]\"");
  const std::vector<std::string> known = {"name", "defaults", "entries"};
  for (const std::string& key : root.keys()) {
    if (std::find(known.begin(), known.end(), key) == known.end())
      throw root.error(key, fmt::format("unknown key \"{}\"; a list has {}{}", key,
                                        fmt::join(known, ", "), did_you_mean(key, known)));
  }
  return suite;
}

const Error* SuiteResult::failure() const {
  for (const SuiteRow& row : rows) {
    for (const OneRun& run : row.runs) {
      if (run.failure) return &*run.failure;
    }
  }
  return nullptr;
}

SuiteResult run_suite(const Suite& suite, const SuiteOptions& options,
                      const std::vector<Listener>& listeners) {
  fs::create_directories(options.out);
  return SuiteRunner(suite, options, listeners).run();
}

}  // namespace hone
