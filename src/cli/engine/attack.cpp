#include "run/attack.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/inference.h"
#include "cli/engine/print_report.h"
#include "cli/engine/stop_signal.h"
#include "data/idle_options.h"
#include "run/audit.h"
#include "run/reports.h"
#include "run/run_folder.h"

namespace hone {
namespace {

double share_in(const std::string& text, const std::string& option) {
  double share = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), share);
  if (error == std::errc() && end == text.data() + text.size() && share > 0 && share <= 1)
    return share;
  throw Error(ErrorKind::kUsage,
              fmt::format("{}: \"{}\" is no share above 0, up to 1", option, text));
}

std::vector<std::string> names_in(const std::string& list) {
  std::vector<std::string> names;
  for (size_t at = 0; at <= list.size() && !list.empty();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    names.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return names;
}

AttackOptions attack_options(const CLI::App& arguments) {
  const std::atomic<bool>& stop = catch_stop_signals();
  return {.rows = number_of(arguments, "--rows"),
          .most_words = share_in(text_of(arguments, "--most-words"), "--most-words"),
          .candidates = number_of(arguments, "--candidates"),
          .by_importance = text_of(arguments, "--order") == "importance",
          .seed = static_cast<uint64_t>(number_of(arguments, "--seed")),
          .max_tokens = number_of(arguments, "--max-tokens"),
          .is_stopped = [&stop] { return stop.load(); }};
}

}  // namespace

int run_attack(const CLI::App& arguments) {
  const std::string model = text_of(arguments, "MODEL"), data = text_of(arguments, "DATA"),
                    folder = text_of(arguments, "--report");
  const PerturbationFiles files = {.lexicon = text_of(arguments, "--lexicon"),
                                   .masked = text_of(arguments, "--masked")};
  AttackOptions options = attack_options(arguments);
  const std::vector<NamedPerturbation> perturbations =
      make_perturbations(names_in(text_of(arguments, "--by")), files);
  const auto pipeline = load_pipeline(arguments);
  options.max_tokens = max_tokens_of(arguments, *pipeline);
  const Reading reading = reading_of(data, arguments, *pipeline);
  tell_idle("data", idle_options(reading.source));
  if (!folder.empty()) {
    refuse_report_over(folder, {model, data});
    std::filesystem::create_directories(folder);
    remove_leftovers(folder);
  }
  Tested tested = attack_on(*pipeline, reading, perturbations, options, folder);
  tested.summary.title = run_name(model) + ", attacked";
  tested.summary.model = model;
  tested.summary.command = command_line(arguments);
  print_report(tested.report, tested.summary, flag_of(arguments, "--json"),
               folder.empty() ? "with --json" : "in report.json");
  if (!folder.empty()) write_reports(folder, tested.report, tested.summary);
  return catch_stop_signals() ? stop_exit_code() : 0;
}

}  // namespace hone
