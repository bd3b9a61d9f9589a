#include "tasks/labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/file.h"
#include "base/lines.h"
#include "base/utf8.h"
#include "data/fingerprint.h"
#include "data/text_bounds.h"

namespace hone {
namespace {

std::optional<int64_t> whole_number(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return std::to_string(value) == text ? std::optional(value) : std::nullopt;  // "007" is a name
}

// What people read a name as.
std::string read_as(const std::string& name) {
  double number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool is_number = error == std::errc() && end == name.data() + name.size() &&
                         std::abs(number) < 1e15;  // false for nan; beyond, digits get lost
  return is_number ? fmt::format("{}", number) : normalised_text(name);
}

}  // namespace

std::optional<std::string> label_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean() || value.is_number_integer()) return value.dump();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (number == std::floor(number) && std::abs(number) < 1e15)
    return std::to_string(static_cast<int64_t>(number));
  return value.dump();
}

std::string trimmed_label(std::string_view label) {
  const auto size = static_cast<int32_t>(label.size());
  const Span span = visible_part(label, {0, size});
  return std::string(label.substr(span.start, character_end(label, span.end, size) - span.start));
}

std::optional<double> decimal(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number))
    return std::nullopt;
  return number;
}

Labels::Labels(const std::vector<std::string>& names, int64_t ids_from) : ids_from_(ids_from) {
  for (const std::string& name : names) add(name);
  is_fixed_ = true;
  accepts_ids_ = std::none_of(names_.begin(), names_.end(), [](const std::string& name) {
    return whole_number(name).has_value();
  });
}

void Labels::add(const Json& value) {
  const std::string text = *label_text(value);
  if (!index_.emplace(text, static_cast<int32_t>(names_.size())).second) return;
  names_.push_back(text);
  values_.push_back(value);
}

void Labels::fix() {
  const bool are_numbers = std::all_of(names_.begin(), names_.end(), [](const std::string& name) {
    return whole_number(name).has_value();
  });
  std::vector<size_t> order(names_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return are_numbers ? *whole_number(names_[a]) < *whole_number(names_[b])
                       : names_[a] < names_[b];
  });
  const std::vector<Json> values = std::move(values_);
  *this = Labels();
  for (const size_t i : order) add(values[i]);
  is_fixed_ = true;
}

std::optional<int32_t> Labels::find(const Json& value) const {
  const std::optional<std::string> text = label_text(value);
  if (!text) return std::nullopt;
  if (const auto found = index_.find(*text); found != index_.end()) return found->second;
  const std::optional<int64_t> id = accepts_ids_ ? whole_number(*text) : std::nullopt;
  if (!id || *id < ids_from_ || *id - ids_from_ >= size()) return std::nullopt;
  return static_cast<int32_t>(*id - ids_from_);
}

std::vector<std::string> Labels::look_alikes() const {
  constexpr size_t kMost = 5;
  std::unordered_map<std::string, std::string> first;
  std::vector<std::string> pairs;
  for (const std::string& name : names_) {
    const auto [like, is_new] = first.emplace(read_as(name), name);
    if (!is_new && pairs.size() < kMost)
      pairs.push_back(fmt::format("\"{}\" and \"{}\"", like->second, name));
  }
  return pairs;
}

Json Labels::json() const {
  return {{"values", values_}, {"accepts_ids", accepts_ids_}, {"ids_from", ids_from_}};
}

Labels Labels::from_json(const Json& json) {
  Labels labels;
  for (const Json& value : json.at("values")) {
    if (!label_text(value))
      throw Error(ErrorKind::kModel, fmt::format("{} is no label.", value.dump()));
    labels.add(value);
  }
  labels.accepts_ids_ = json.at("accepts_ids").get<bool>();
  labels.ids_from_ = json.at("ids_from").get<int64_t>();
  labels.is_fixed_ = true;
  return labels;
}

std::string Labels::list(size_t most) const {
  const size_t shown = std::min(most, names_.size());
  const std::string text =
      fmt::format("\"{}\"", fmt::join(names_.begin(), names_.begin() + shown, "\", \""));
  return shown < names_.size() ? fmt::format("{}, … ({} in all)", text, names_.size()) : text;
}

void LabelIndex::index_names() {
  for (size_t i = 0; i < names_.size(); ++i) index_.emplace(names_[i], static_cast<int32_t>(i));
}

int32_t LabelIndex::index(const Json& value) {
  if (const auto known = known_.is_fixed() ? known_.find(value) : std::nullopt) return *known;
  const auto [found, is_new] =
      index_.emplace(*label_text(value), static_cast<int32_t>(names_.size()));
  if (is_new) names_.push_back(found->first);
  return found->second;
}

std::vector<int32_t> LabelIndex::order() const {
  std::vector<int32_t> order;
  const int64_t known = known_.is_fixed() ? known_.size() : 0;
  for (int32_t i = 0; i < known; ++i) order.push_back(i);
  Labels others;
  for (size_t i = known; i < names_.size(); ++i) others.add(names_[i]);
  others.fix();
  for (const std::string& name : others.names()) order.push_back(index_.at(name));
  return order;
}

std::vector<std::string> read_labels(const std::string& path) {
  std::string text = read_file(path, ErrorKind::kData);
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  if (text.empty())
    throw Error(ErrorKind::kData, {path},
                "a labels file holds one label a line, but this one is empty.");
  if (const size_t at = invalid_utf8(text); at != std::string::npos)
    throw Error(ErrorKind::kData, advance({path, 1, 1}, text, at),
                "is not valid UTF-8; save the labels file as UTF-8.");
  std::vector<std::string> names;
  std::unordered_map<std::string, int64_t> seen;
  for (size_t at = 0; at < text.size();) {
    std::string name = trimmed_label(take_line(text, at));
    const auto line = static_cast<int64_t>(names.size()) + 1;
    if (name.empty()) throw Error(ErrorKind::kData, {path, line}, "an empty line is no label.");
    if (!seen.emplace(name, line).second)
      throw Error(ErrorKind::kData, {path, line},
                  fmt::format("label \"{}\" stands in line {} already.", name, seen[name]));
    names.push_back(std::move(name));
  }
  return names;
}

void write_label_maps(const std::vector<std::string>& names, Json& config) {
  Json id2label = Json::object(), label2id = Json::object();
  for (size_t i = 0; i < names.size(); ++i) {
    id2label[std::to_string(i)] = names[i];
    label2id[names[i]] = i;
  }
  config["id2label"] = id2label;
  config["label2id"] = label2id;
  config.erase("num_labels");  // Transformers counts id2label
}

}  // namespace hone
