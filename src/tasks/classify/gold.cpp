#include "tasks/classify/gold.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "tasks/fields.h"

namespace hone::classify {
namespace {

std::vector<Json> split(const std::string& text, const std::string& separator) {
  std::vector<Json> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    std::string part = text.substr(begin, end - begin);
    part.erase(0, part.find_first_not_of(' '));
    part.erase(part.find_last_not_of(' ') + 1);
    if (!part.empty()) parts.emplace_back(std::move(part));
    begin = end + separator.size();
  }
  return parts;
}

std::vector<Json> several_labels(const Json& value, const Options& options, const Record& record) {
  std::vector<Json> labels;
  if (value.is_array()) {
    labels.assign(value.begin(), value.end());
  } else if (value.is_string() && !options.label_separator.empty()) {
    labels = split(value.get<std::string>(), options.label_separator);
  } else if (!options.label_separator.empty() && label_text(value)) {
    labels = {value};
  } else {
    throw field_error(
        record, options.label,
        fmt::format("must be a list of labels (type is multi), but is {}", dump(value)));
  }
  return labels;
}

}  // namespace

Type type_of(const Json& value, const Options& options) {
  if (options.type != Type::kAuto) return options.type;
  return value.is_array() || !options.label_separator.empty() ? Type::kMulti : Type::kSingle;
}

std::vector<Json> labels_in(const Json& value, Type type, const Options& options,
                            const Record& record) {
  if (type == Type::kSingle && value.is_array()) {
    throw field_error(
        record, options.label,
        fmt::format("must be one label (type is single), but is a list: {}", dump(value)));
  }
  const std::vector<Json> labels =
      type == Type::kMulti ? several_labels(value, options, record) : std::vector<Json>{value};
  for (const Json& label : labels) {
    const std::optional<std::string> text = label_text(label);
    if (!text)
      throw field_error(
          record, options.label,
          fmt::format("must hold labels (texts, numbers or booleans), but holds {}", dump(label)));
    if (text->empty()) throw field_error(record, options.label, "is empty");
  }
  return labels;
}

double number_in(const Json& value, const Options& options, const Record& record) {
  double number = NAN;
  if (value.is_number()) number = value.get<double>();
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) number = NAN;
  }
  if (!std::isfinite(number))
    throw field_error(record, options.label,
                      fmt::format("must be a number (type is regression), but is {}", dump(value)));
  return number;
}

}  // namespace hone::classify
