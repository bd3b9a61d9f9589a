#include "tasks/human.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace hone {
namespace {

constexpr double kExact = 9e15;  // whole numbers below are exact in a double

std::string human_number(double value) {
  if (!std::isfinite(value)) return "–";
  if (std::abs(value) >= 1000 && std::abs(value) < kExact)
    return human_count(static_cast<int64_t>(std::llround(value)));
  return fmt::format("{:.4g}", value);
}

}  // namespace

std::string human_count(int64_t count) {
  std::string digits = std::to_string(count);
  const int64_t first = count < 0 ? 1 : 0;
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > first; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

std::string human_bytes(double bytes) {
  constexpr std::array<const char*, 5> kUnits = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (std::abs(bytes) >= 1024 && unit + 1 < kUnits.size()) bytes /= 1024, ++unit;
  return fmt::format("{:.{}f} {}", bytes, unit > 2 ? 1 : 0, kUnits[unit]);
}

std::string human_duration(double seconds) {
  if (seconds < 10) return fmt::format("{:.2f} s", seconds);
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const int64_t whole = std::llround(seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::string human_score(double value) {
  if (!std::isfinite(value)) return "–";
  const bool is_count = value == std::floor(value) && std::abs(value) > 1;
  return is_count || std::abs(value) >= 1000 ? human_number(value) : fmt::format("{:.4f}", value);
}

std::string human_name(const std::string& key) {
  std::string name = key;
  for (const auto& [unit, shown] : {std::pair("_bytes", ""), {"_seconds", "_time"}, {"_gb", ""}}) {
    if (name.ends_with(unit)) name = name.substr(0, name.size() - std::string(unit).size()) + shown;
  }
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

std::string human_value(const std::string& key, const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (!value.is_number()) return value.is_null() ? "–" : value.dump();
  const double number = value.get<double>();
  if (key.ends_with("_bytes")) return human_bytes(number);
  if (key.ends_with("_seconds")) return human_duration(number);
  if (key.ends_with("_gb")) return fmt::format("{} GB", human_number(number));
  return value.is_number_integer() ? human_count(value.get<int64_t>()) : human_number(number);
}

}  // namespace hone
