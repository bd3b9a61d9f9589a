#include "run/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "base/file.h"
#include "base/log.h"
#include "run/run_folder.h"
#include "run/run_inputs.h"
#include "run/sweep_table.h"
#include "tune/best_tracker.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

constexpr double kToTheEnd = std::numeric_limits<double>::infinity();

// What is tried, to the last value.
std::string identity_of(const Sweep& sweep) {
  std::string all;
  if (sweep.halving)
    all = fmt::format("{} {} {}\n", sweep.halving->factor, sweep.halving->first,
                      sweep.halving->by_epochs);
  for (const Trial& trial : sweep.trials) all += trial.config.resolved + "\n";
  return sha256(all);
}

// A trial's evaluations, written down as they are made; and its pause at a rung, after the
// evaluation there.
class RungListener {
 public:
  RungListener(SweepState& state, size_t trial, const Trial& of, const Halving* halving,
               double rung, std::atomic<bool>& pause)
      : state_(state),
        trial_(trial),
        criterion_(criterion_named(of.config.train.metric_for_best_model)),
        halving_(halving),
        rung_(rung),
        pause_(pause) {}

  void operator()(const Event& event) {
    if (const auto* started = std::get_if<Started>(&event)) total_ = started->total_steps;
    const auto* evaluated = std::get_if<Evaluated>(&event);
    if (evaluated == nullptr) return;
    const Metric score = criterion_.of(evaluated->report, evaluated->loss);
    const double value =
        std::isfinite(evaluated->loss) ? score.value : std::numeric_limits<double>::quiet_NaN();
    const TrialPoint point{evaluated->step, evaluated->epoch, value};
    state_.add(trial_, point, score.name, score.greater_is_better);
    if (halving_ != nullptr && is_at(point, *halving_, rung_) && evaluated->step < total_)
      pause_ = true;
  }

 private:
  SweepState& state_;
  size_t trial_;
  Criterion criterion_;
  const Halving* halving_;
  double rung_;
  std::atomic<bool>& pause_;
  int64_t total_ = 0;
};

class SweepRunner {
 public:
  SweepRunner(const Sweep& sweep, const RunOptions& options, const std::vector<Listener>& listeners)
      : sweep_(sweep),
        options_(options),
        listeners_(listeners),
        log_("trials", sweep.trials.size()),
        state_(sweep.output_dir, identity_of(sweep), sweep.trials.size()) {
    state_.load();
    result_.trials.resize(sweep.trials.size());
    result_.summary.title = run_name(sweep.output_dir);
    result_.summary.model = sweep.trials.front().config.model;
    result_.summary.command = options.command;
    result_.summary.split =
        "trials";  // whose validation data chose; their table says what that means
  }

  SweepResult run() {
    std::vector<size_t> running;
    for (size_t trial = 0; trial < sweep_.trials.size(); ++trial) running.push_back(trial);
    double rung = sweep_.halving ? sweep_.halving->first : kToTheEnd;
    while (!running.empty()) {
      if (running.size() == 1) rung = kToTheEnd;  // nothing to be compared with
      run_to(rung, running);
      if (result_.interrupted || rung == kToTheEnd) break;
      running = best_of(running, rung);
      rung *= sweep_.halving->factor;
      const auto ended = [&](size_t trial) { return result_.trials[trial].ended; };
      if (std::all_of(running.begin(), running.end(), ended)) break;
    }
    if (!result_.interrupted) remove_models();
    write();
    return std::move(result_);
  }

 private:
  const Halving* halving() const { return sweep_.halving ? &*sweep_.halving : nullptr; }

  void run_to(double rung, const std::vector<size_t>& running) {
    for (size_t i = 0; i < running.size() && !result_.interrupted; ++i) {
      log_event("{}{}, {} of {}", sweep_.trials[running[i]].name, place_text(rung), i + 1,
                running.size());
      log_.begin(running[i]);
      advance(running[i], rung);
      write();
    }
  }

  std::string place_text(double rung) const {
    return rung == kToTheEnd
               ? std::string(" to its end")
               : fmt::format(" to {} {:g}", sweep_.halving->by_epochs ? "epoch" : "step", rung);
  }

  bool has_come_to(size_t trial, double rung) const {
    const std::vector<TrialPoint>& points = state_.points(trial);
    return halving() != nullptr && !points.empty() && is_at(points.back(), *halving(), rung);
  }

  void advance(size_t trial, double rung) {
    TrialOutcome& outcome = result_.trials[trial];
    const std::string& folder = sweep_.trials[trial].config.output_dir;
    const bool has_ended = RunFolder::is_finished(folder, /*gives_report=*/true);
    if (outcome.ended || (has_come_to(trial, rung) && !has_ended)) return;
    std::atomic<bool> pause = false;
    std::vector<Listener> listeners = listeners_;
    listeners.emplace_back(
        RungListener(state_, trial, sweep_.trials[trial], halving(), rung, pause));
    listeners.emplace_back([&](const Event&) {
      if (is_asked_to_stop()) pause = true;
    });
    RunOptions own = options_;
    own.stop_requested = &pause;
    own.interrupted = options_.stop_requested;
    own.shared = &shared_;
    const OneRun run = run_or_take(sweep_.trials[trial].config, own, listeners);
    result_.interrupted = run.interrupted && is_asked_to_stop();
    outcome.failure = run.failure;
    outcome.report = run.report;
    outcome.ended = !run.interrupted && !run.failure;
    if (outcome.ended) remove(trial, "checkpoints");
  }

  bool is_asked_to_stop() const {
    return options_.stop_requested != nullptr && options_.stop_requested->load();
  }

  // Those that go on, the better ones first; of equal ones the one tried first. A trial without a
  // score does not.
  std::vector<size_t> best_of(const std::vector<size_t>& running, double rung) {
    std::vector<std::pair<double, size_t>> scores;
    for (const size_t trial : running) {
      const auto best = state_.best(trial, points_until(state_.points(trial), halving(), rung));
      if (best && !result_.trials[trial].failure) scores.emplace_back(best->score, trial);
    }
    std::stable_sort(scores.begin(), scores.end(), [&](const auto& a, const auto& b) {
      return state_.is_better(a.first, b.first);
    });
    const double share = static_cast<double>(running.size()) / sweep_.halving->factor;
    scores.resize(std::min(scores.size(), static_cast<size_t>(std::ceil(share))));
    std::vector<size_t> kept;
    for (const auto& [score, trial] : scores) kept.push_back(trial);
    for (const size_t trial : running) {
      if (std::find(kept.begin(), kept.end(), trial) == kept.end()) leave_behind(trial, rung);
    }
    return kept;
  }

  void leave_behind(size_t trial, double rung) {
    if (!result_.trials[trial].ended) result_.trials[trial].out_at = rung;
    remove(trial, "checkpoints");
  }

  void remove(size_t trial, const char* what) const {
    fs::remove_all(sweep_.trials[trial].config.output_dir + "/" + what);
  }

  // All but the best one's.
  void remove_models() {
    find_best();
    for (size_t trial = 0; trial < sweep_.trials.size(); ++trial) {
      if (result_.best != trial && result_.trials[trial].ended) remove(trial, "model");
    }
  }

  // Of those that have come furthest: as long as none has ended, of all.
  void find_best() {
    const bool any_ended = std::any_of(result_.trials.begin(), result_.trials.end(),
                                       [](const TrialOutcome& one) { return one.ended; });
    result_.best.reset();
    std::optional<TrialPoint> best;
    for (size_t trial = 0; trial < sweep_.trials.size(); ++trial) {
      const auto own = state_.best(trial, state_.points(trial).size());
      if (!own || (any_ended && !result_.trials[trial].ended)) continue;
      if (best && !state_.is_better(own->score, best->score)) continue;
      best = own;
      result_.best = trial;
    }
  }

  void write() {
    find_best();
    const std::string& folder = sweep_.output_dir;
    if (result_.best) {
      const Trial& best = sweep_.trials[*result_.best];
      result_.summary.config = best_config(sweep_, best);
      write_file(folder + "/best.yaml", result_.summary.config);
    }
    result_.report = sweep_report(sweep_, state_, result_);
    write_file(folder + "/sweep.txt",
               report_text(result_.report, result_.summary, "in sweep.json"));
    write_file(folder + "/sweep.html", report_html(result_.report, result_.summary));
    write_file(folder + "/sweep.json",
               to_text(report_json(result_.report, result_.summary), 2) + "\n");
  }

  // As `hone train` takes it.
  static std::string best_config(const Sweep& sweep, const Trial& trial) {
    Config own = trial.asked.over(trial.asked, {}, {});
    own.override_with("output.dir=" + to_text(Json(sweep.output_dir + "/best")));
    return RunConfig::read_whole(own, sweep.path).resolved;
  }

  const Sweep& sweep_;
  const RunOptions& options_;
  const std::vector<Listener>& listeners_;
  SharedInputs shared_;
  RunsLog log_;
  SweepState state_;
  SweepResult result_;
};

// What an earlier sweep left there.
void remove_earlier(const Sweep& sweep) {
  std::vector<fs::path> earlier;
  for (const auto& entry : fs::directory_iterator(sweep.output_dir)) {
    const std::string name = entry.path().filename().string();
    const bool is_trial =
        name.starts_with("trial-") && fs::exists(RunFolder::config_in(entry.path().string()));
    if (is_trial || name == "sweep.state") earlier.push_back(entry.path());
  }
  for (const fs::path& path : earlier) fs::remove_all(path);
}

}  // namespace

const Error* SweepResult::failure() const {
  const TrialOutcome* failed = nullptr;
  for (const TrialOutcome& trial : trials) {
    if (trial.ended) return nullptr;
    if (failed == nullptr && trial.failure) failed = &trial;
  }
  return failed == nullptr ? nullptr : &*failed->failure;
}

SweepResult run_sweep(const Sweep& sweep, const RunOptions& options,
                      const std::vector<Listener>& listeners) {
  fs::create_directories(sweep.output_dir);
  const FolderLock lock(sweep.output_dir);
  remove_leftovers(sweep.output_dir);
  if (sweep.overwrite) remove_earlier(sweep);
  return SweepRunner(sweep, options, listeners).run();
}

}  // namespace hone
