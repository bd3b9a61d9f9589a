#include "tune/metrics_log.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "base/file.h"

namespace hone {
namespace {

Json line_of(const Stepped& s) {
  return {{"event", "step"},
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
}

Json line_of(const Evaluated& e) {
  Json metrics = Json::object();
  for (const Metric& m : e.report.metrics) metrics[m.name] = m.value;
  return {{"event", "evaluation"}, {"step", e.step},       {"epoch", e.epoch},    {"loss", e.loss},
          {"metrics", metrics},    {"is_best", e.is_best}, {"seconds", e.seconds}};
}

// The lines of an earlier part of the run up to `step`. A last line that was cut off by a kill is
// dropped.
std::string lines_until(const std::string& path, int64_t step) {
  std::string kept;
  if (step == 0 || !std::filesystem::exists(path)) return kept;
  std::istringstream lines(read_file(path, ErrorKind::kData));
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.value("step", int64_t{0}) <= step && json.contains("event"))
      kept += line + "\n";
  }
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
    const std::string text = line.dump() + "\n";
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
  if (!std::filesystem::exists(path)) return curves;
  std::istringstream lines(read_file(path, ErrorKind::kData));
  for (std::string text; std::getline(lines, text);) {
    const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object() || !line.contains("event")) continue;
    const auto add = [&](const std::string& curve, const Json& value) {
      if (value.is_number())
        curves[curve].push_back(
            {line.value("step", int64_t{0}), line.value("epoch", 0.0), value.get<double>()});
    };
    if (line["event"] == "step") {
      add("loss", line.value("loss", Json()));
      add("learning rate", line.value("learning_rate", Json()));
    } else {
      add("validation loss", line.value("loss", Json()));
      const Json metrics = line.value("metrics", Json::object());
      for (const auto& [name, value] : metrics.items()) add("validation " + name, value);
    }
  }
  return curves;
}

}  // namespace hone
