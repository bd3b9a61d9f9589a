#include "tune/metrics_log.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "base/file.h"
#include "base/log.h"

namespace hone {
namespace {

Json line_of(const Stepped& s) {
  Json line = {{"event", "step"},
               {"step", s.step},
               {"epoch", s.epoch},
               {"loss", s.mean_loss},
               {"gradient_norm", s.gradient_norm},
               {"learning_rate", s.learning_rate},
               {"loss_z", s.loss_z},
               {"norm_z", s.norm_z},
               {"seconds", s.seconds},
               {"tokens", s.tokens},
               {"samples", s.samples}};
  for (const auto& [name, value] : s.numbers) line[name] = value;
  return line;
}

Json line_of(const Evaluated& e) {
  Json metrics = Json::object();
  for (const Metric& m : e.report.metrics) metrics[m.name] = m.value;
  return {{"event", "evaluation"}, {"step", e.step},       {"epoch", e.epoch},    {"loss", e.loss},
          {"metrics", metrics},    {"is_best", e.is_best}, {"seconds", e.seconds}};
}

bool is_number(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number();
}

// An event as line_of wrote it; null for a line that is damaged.
Json event_of(const std::string& line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !is_number(json, "step") || !is_number(json, "epoch")) return {};
  const Json event = json.value("event", Json());
  const bool is_evaluation = event == "evaluation" && json.value("metrics", Json()).is_object();
  return event == "step" || is_evaluation ? json : Json();
}

// Calls `take` with the text and the event of each line. A damaged line is told; a last line that
// was cut off by a kill (it has no line break) is what a kill leaves.
template <typename Take>
void each_event(const std::string& path, Take take) {
  if (!std::filesystem::exists(path)) return;
  std::istringstream lines(read_file(path, ErrorKind::kData));
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const Json event = event_of(line);
    if (!event.is_null()) {
      take(line, event);
    } else if (!lines.eof()) {
      log_warn("{}:{}: the line is damaged; it is left out of the curves", path, number);
    }
  }
}

// The lines of an earlier part of the run up to `step`.
std::string lines_until(const std::string& path, int64_t step) {
  std::string kept;
  if (step == 0) return kept;
  each_event(path, [&](const std::string& line, const Json& event) {
    if (event["step"].get<double>() <= static_cast<double>(step)) kept += line + "\n";
  });
  return kept;
}

class MetricsLog {
 public:
  explicit MetricsLog(std::string path) : path_(std::move(path)) {}
  ~MetricsLog() {
    if (file_ != nullptr) std::fclose(file_);
  }
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  void operator()(const Event& event) {
    if (const auto* started = std::get_if<Started>(&event)) open(started->step);
    if (const auto* stepped = std::get_if<Stepped>(&event);
        stepped != nullptr && stepped->is_logged)
      write(line_of(*stepped));
    if (const auto* evaluated = std::get_if<Evaluated>(&event)) write(line_of(*evaluated));
    // A checkpoint goes on from these lines, so they must last as long.
    if (std::holds_alternative<Saved>(event) && ::fsync(::fileno(file_)) != 0) fail();
  }

 private:
  void open(int64_t step) {
    write_file(path_, lines_until(path_, step));
    file_ = std::fopen(path_.c_str(), "ae");
    if (file_ == nullptr) fail();
  }
  void write(const Json& line) {
    const std::string text = to_text(line) + "\n";
    if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0)
      fail();
  }
  [[noreturn]] void fail() const {
    throw Error(ErrorKind::kUsage, Where{path_},
                std::string("cannot be written: ") + std::strerror(errno));
  }

  std::string path_;
  std::FILE* file_ = nullptr;
};

}  // namespace

Listener metrics_log(const std::string& path) {
  return [log = std::make_shared<MetricsLog>(path)](const Event& event) { (*log)(event); };
}

std::map<std::string, std::vector<RunSummary::Point>> read_curves(const std::string& path) {
  std::map<std::string, std::vector<RunSummary::Point>> curves;
  each_event(path, [&](const std::string&, const Json& event) {
    const auto add = [&](const std::string& curve, const Json& value) {
      if (value.is_number())
        curves[curve].push_back(
            {event["step"].get<int64_t>(), event["epoch"].get<double>(), value.get<double>()});
    };
    if (event["event"] == "step") {
      add("loss", event.value("loss", Json()));
      add("learning rate", event.value("learning_rate", Json()));
      for (const auto& [name, value] : event.items()) {
        if (name.find('.') != std::string::npos) add(name, value);  // of a regulariser
      }
    } else {
      add("validation loss", event.value("loss", Json()));
      for (const auto& [name, value] : event["metrics"].items()) add("validation " + name, value);
    }
  });
  return curves;
}

}  // namespace hone
