#include "run/sweep_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "base/crc32c.h"
#include "base/file.h"

namespace hone {
namespace {

constexpr int64_t kFormat = 1;

Json point_json(const TrialPoint& point) {
  return {point.step, point.epoch, std::isfinite(point.score) ? Json(point.score) : Json(nullptr)};
}

TrialPoint point_of(const Json& json) {
  return {
      json.at(0).get<int64_t>(), json.at(1).get<double>(),
      json.at(2).is_null() ? std::numeric_limits<double>::quiet_NaN() : json.at(2).get<double>()};
}

std::string sum_of(const Json& state) { return fmt::format("{:08x}", crc32c(to_text(state))); }

}  // namespace

SweepState::SweepState(std::string folder, std::string identity, size_t trials)
    : path_(std::move(folder) + "/sweep.state"), identity_(std::move(identity)), points_(trials) {}

void SweepState::load() {
  if (!std::filesystem::exists(path_)) return;
  const auto damaged = [&](const std::string& how) {
    return Error(ErrorKind::kUsage, {path_},
                 how + ": begin the sweep anew with --overwrite, or name another output.dir");
  };
  const Json file = read_json(path_, ErrorKind::kUsage);
  if (!file.is_object() || !file.contains("state") || file.value("format", Json()) != kFormat ||
      file.value("crc32c", Json()) != sum_of(file.at("state")))
    throw damaged("is damaged (its checksum is another)");
  if (file["state"].at("sweep") != identity_)
    throw damaged(
        "is of another sweep: what is tried, or a value of the configuration, has "
        "changed since");
  take(file["state"]);
}

void SweepState::take(const Json& state) {
  metric_ = state.at("metric").get<std::string>();
  greater_is_better_ = state.at("greater_is_better").get<bool>();
  for (size_t trial = 0; trial < points_.size(); ++trial) {
    for (const Json& point : state.at("points").at(trial))
      points_[trial].push_back(point_of(point));
  }
}

Json SweepState::json() const {
  Json points = Json::array();
  for (const std::vector<TrialPoint>& of_trial : points_) {
    Json& list = points.emplace_back(Json::array());
    for (const TrialPoint& point : of_trial) list.push_back(point_json(point));
  }
  return {{"sweep", identity_},
          {"metric", metric_},
          {"greater_is_better", greater_is_better_},
          {"points", std::move(points)}};
}

void SweepState::add(size_t trial, const TrialPoint& point, const std::string& metric,
                     bool greater_is_better) {
  metric_ = metric;
  greater_is_better_ = greater_is_better;
  std::vector<TrialPoint>& points = points_[trial];
  // A run that goes on from its checkpoint makes the evaluations after it again.
  std::erase_if(points, [&](const TrialPoint& known) { return known.step == point.step; });
  points.push_back(point);
  std::sort(points.begin(), points.end(),
            [](const TrialPoint& a, const TrialPoint& b) { return a.step < b.step; });
  const Json state = json();
  write_file(
      path_,
      to_text(Json{{"format", kFormat}, {"crc32c", sum_of(state)}, {"state", state}}) + "\n");
}

std::optional<TrialPoint> SweepState::best(size_t trial, size_t count) const {
  std::optional<TrialPoint> best;
  for (size_t i = 0; i < std::min(count, points_[trial].size()); ++i) {
    const TrialPoint& point = points_[trial][i];
    if (std::isfinite(point.score) && (!best || is_better(point.score, best->score))) best = point;
  }
  return best;
}

}  // namespace hone
