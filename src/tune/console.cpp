#include "tune/console.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <optional>

#include "base/log.h"
#include "base/progress.h"

namespace hone {
namespace {

class Console {
 public:
  void operator()(const Event& event) {
    std::visit([this](const auto& e) { tell(e); }, event);
  }

 private:
  void tell(const Started& s) {
    log_event("{}training on {} samples, {} parameters, {} steps, {} on {}",
              s.step > 0 ? fmt::format("continuing after step {}: ", s.step) : "", s.samples,
              parameters_text(s), s.total_steps, s.precision,
              s.device == "cpu" ? fmt::format("{} thread{}", s.threads, s.threads == 1 ? "" : "s")
                                : s.device);
    for (const Frozen& frozen : s.frozen)
      log_event("frozen: {} ({} weight{}, {:.1f}M numbers)", frozen.pattern, frozen.weights,
                frozen.weights == 1 ? "" : "s", static_cast<double>(frozen.numbers) / 1e6);
    if (s.cached_layers > 0)
      log_event("outputs of the {} lowest layers are kept on disk: later epochs begin above them",
                s.cached_layers);
    if (!s.regularisers.empty()) log_event("regularised by {}", fmt::join(s.regularisers, ", "));
    start_ = s.step;
    bar_.emplace(s.step > 0 ? fmt::format("training after step {}", s.step) : "training",
                 s.total_steps - s.step, "steps");
  }
  void tell(const Stepped& s) {
    // Smoothed over about ten steps: lengths differ from step to step.
    rate_ = rate_ == 0 ? rate_of(s) : rate_ + 0.1 * (rate_of(s) - rate_);
    if (bar_)
      bar_->advance_to(s.step - start_, fmt::format("loss {:.4f}, {}{}", s.mean_loss,
                                                    numbers_text(s.numbers), rate_text(rate_)));
    if (s.step == s.total_steps) bar_.reset();
  }
  void tell(const Evaluated& e) {
    log_event("step {}, epoch {:.2f}: {} {:.4f}, loss {:.4f}{}", e.step, e.epoch, e.report.metric,
              e.report.score, e.loss, e.is_best ? ", the best so far" : "");
  }
  void tell(const Saved& s) { log_debug("step {}: saved {}", s.step, s.path); }
  void tell(const Warned& w) { log_warn("{}", w.message); }

  static std::string parameters_text(const Started& s) {
    const double all = static_cast<double>(s.all_parameters) / 1e6;
    if (s.parameters == s.all_parameters) return fmt::format("{:.1f}M", all);
    return fmt::format("{} of {:.1f}M", s.parameters, all);
  }
  static std::string numbers_text(const Numbers& numbers) {
    std::string text;
    for (const auto& [name, value] : numbers) text += fmt::format("{} {:.4f}, ", name, value);
    return text;
  }
  static double rate_of(const Stepped& s) {
    return s.seconds > 0 ? static_cast<double>(s.tokens) / s.seconds : 0;
  }

  std::optional<Progress> bar_;
  int64_t start_ = 0;
  double rate_ = 0;
};

}  // namespace

std::string rate_text(double tokens_per_second) {
  return tokens_per_second < 1000 ? fmt::format("{:.0f} tokens/s", tokens_per_second)
                                  : fmt::format("{:.1f}k tokens/s", tokens_per_second / 1000);
}

Listener console_log() {
  return [console = std::make_shared<Console>()](const Event& event) { (*console)(event); };
}

}  // namespace hone
