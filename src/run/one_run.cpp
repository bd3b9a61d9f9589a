#include "run/one_run.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "run/run_folder.h"
#include "tune/torch_error.h"

namespace hone {
namespace {

Error error_in(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(without_torch(failure));
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {ErrorKind::kUsage, "out of memory"};
  } catch (const std::exception& error) {
    const std::string text = error.what();
    return {ErrorKind::kInternal, "internal error: " + text.substr(0, text.find('\n'))};
  }
}

}  // namespace

std::optional<Json> report_in(const RunConfig& config) {
  const std::string written = RunFolder::config_in(config.output_dir);
  if (!std::filesystem::exists(written)) return std::nullopt;
  if (read_file(written, ErrorKind::kUsage) != config.resolved)
    throw Error(ErrorKind::kUsage, {written},
                "holds a run of another configuration (the list, the model or a value has changed "
                "since). Name another folder, or remove that one.");
  if (!RunFolder::is_finished(config.output_dir, /*gives_report=*/true)) return std::nullopt;
  return read_json(config.output_dir + "/report.json", ErrorKind::kUsage);
}

bool is_greater_better(const Json& report, const std::string& metric) {
  const Json less = report.value("less_is_better", Json::array());
  return std::find(less.begin(), less.end(), Json(metric)) == less.end();
}

OneRun run_or_take(const RunConfig& config, const RunOptions& options,
                   const std::vector<Listener>& listeners) {
  OneRun run{config.train.seed, config.output_dir, {}, {}};
  try {
    if (const std::optional<Json> report = report_in(config)) {
      run.report = *report;
      return run;
    }
    RunOptions own = options;
    own.resume = std::filesystem::exists(config.output_dir + "/checkpoints");
    run.interrupted = fine_tune(config, own, listeners).training.interrupted;
    if (!run.interrupted)
      run.report = read_json(config.output_dir + "/report.json", ErrorKind::kUsage);
  } catch (...) {
    run.failure = error_in(std::current_exception());
    log_line(LogLevel::kError, run.failure->what());
  }
  return run;
}

}  // namespace hone
