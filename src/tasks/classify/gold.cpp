#include "tasks/classify/gold.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tasks/classify/list_text.h"
#include "tasks/fields.h"

namespace hone::classify {
namespace {

std::vector<Json> split(const std::string& text, const std::string& separator) {
  std::vector<Json> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    std::string part = trimmed_label(text.substr(begin, end - begin));
    if (!part.empty()) parts.emplace_back(std::move(part));
    begin = end + separator.size();
  }
  return parts;
}

// 0, 1, false, true, and what a csv file makes of them.
std::optional<bool> bit_of(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number() && (value == 0 || value == 1)) return value == 1;
  if (!value.is_string()) return std::nullopt;
  const std::string text = trimmed_label(value.get<std::string>());
  return bit_in_text(text);
}

// {"toxic": 1, "insult": 0}
void read_mapping(const Json& mapping, const Options& options, const Record& record,
                  GoldLabels& out) {
  for (const auto& [name, value] : mapping.items()) {
    const std::optional<bool> holds = bit_of(value);
    if (!holds) {
      throw options.label_columns.empty()
          ? field_error(record, options.label,
                        fmt::format("says {} of \"{}\"; a mapping says 0 or 1 of each label",
                                    dump(value), name))
          : field_error(
                record, name,
                fmt::format("must be 0 or 1, as a column of \"label\", but is {}", dump(value)));
    }
    (*holds ? out.present : out.absent).emplace_back(name);
  }
}

// How a list of several labels is meant: names or numbers, or a zero or one for each known label.
class ListFormat {
 public:
  ListFormat(const std::vector<Json>& entries, const Options& options, const Labels& known,
             const Record& record)
      : entries_(entries), options_(options), known_(known), record_(record) {
    for (const Json& entry : entries) {
      const std::optional<bool> bit = bit_of(entry);
      are_bits_ = are_bits_ && bit;
      ++(bit.value_or(false) ? ones_ : zeros_);
    }
    are_bits_ = are_bits_ && !entries.empty();
    is_as_long_ = known.is_fixed() && static_cast<int64_t>(entries.size()) == known.size();
  }

  Format read() const {
    if (!are_bits_) return has_ids() ? ids() : Format::kAuto;
    const bool repeats = ones_ > 1 || zeros_ > 1;  // no set of labels names one twice
    if (options_.label_format == Format::kMultiHot || (repeats && !is_list()))
      return is_as_long_ ? Format::kMultiHot : throw wrong_length();
    if (repeats)
      throw bad(
          "names a label twice, unlike rows that hold numbers of labels; for a zero or one "
          "for each label write \"label_format: multi_hot\"");
    if (!is_as_long_ || is_list()) return known_.is_fixed() ? ids() : Format::kAuto;
    if (std::all_of(entries_.begin(), entries_.end(),
                    [&](const Json& entry) { return known_.find(entry).has_value(); }))
      throw bad(
          "may name labels by number, or say a zero or one for each; write \"label_format: "
          "list\" or \"label_format: multi_hot\"");
    return Format::kMultiHot;
  }

 private:
  bool is_list() const { return options_.label_format == Format::kList; }

  bool has_ids() const {
    return known_.accepts_ids() && std::any_of(entries_.begin(), entries_.end(),
                                               [](const Json& e) { return e.is_number(); });
  }

  Format ids() const {
    if (options_.label_format == Format::kMultiHot && has_ids())
      throw bad("is no list of a zero or one for each label, as other rows are");
    return Format::kList;
  }

  Error wrong_length() const {
    if (!known_.is_fixed())
      return bad(
          "looks like a zero or one for each label; name the labels in that order: "
          "\"labels: [first, second, …]\"");
    return bad(fmt::format("holds {} zeros and ones, but there are {} labels", entries_.size(),
                           known_.size()));
  }

  Error bad(const std::string& what) const {
    return field_error(record_, options_.label, fmt::format("is {}: it {}", dump(entries_), what));
  }

  const std::vector<Json>& entries_;
  const Options& options_;
  const Labels& known_;
  const Record& record_;
  int64_t ones_ = 0, zeros_ = 0;
  bool are_bits_ = true, is_as_long_ = false;
};

// Names where the row holds a zero or one for each.
void read_list(const std::vector<Json>& entries, const Options& options, const Labels& known,
               const Record& record, GoldLabels& out) {
  out.format = ListFormat(entries, options, known, record).read();
  if (out.format != Format::kMultiHot) {
    out.present = entries;
    return;
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    if (*bit_of(entries[i])) out.present.push_back(known.value(static_cast<int64_t>(i)));
  }
}

// A list or mapping that stands in a text, unless the text is itself a label.
std::optional<Json> list_in(const Json& value, bool takes_one_word, const Labels& known) {
  if (!value.is_string() || (known.is_fixed() && known.find(value))) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  if (std::optional<ListText> list = list_in_text(text); list)
    return list->is_one_word && !takes_one_word ? std::nullopt : std::optional(list->value);
  return std::nullopt;
}

void several_labels(const Json& value, const Options& options, const Labels& known,
                    const Record& record, GoldLabels& out) {
  std::optional<Json> list = list_in(value, /*takes_one_word=*/true, known);
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  if (const std::string start = trimmed_label(text).substr(0, 2);
      !list && (start == "['" || start == "[\""))
    throw field_error(record, options.label,
                      fmt::format("begins as a list, but is none: {}", dump(value)));
  const bool has_separator =
      !options.label_separator.empty() && text.find(options.label_separator) != std::string::npos;
  if (!list && !has_separator) list = bits_in_text(text);
  if (!list && !options.label_separator.empty() && label_text(value))
    list = value.is_string() ? Json(split(text, options.label_separator)) : Json::array({value});
  const Json& labels = list ? *list : value;
  if (labels.is_object()) return read_mapping(labels, options, record, out);
  if (!labels.is_array()) {
    throw field_error(
        record, options.label,
        fmt::format("must be a list of labels (type is multi), but is {}{}", dump(value),
                    value.is_string() ? "; \"label_separator\" says what stands "
                                        "between labels in a text"
                                      : ""));
  }
  read_list({labels.begin(), labels.end()}, options, known, record, out);
}

void one_label(const Json& value, const Options& options, const Labels& known, const Record& record,
               GoldLabels& out) {
  const bool is_list = value.is_array();
  if (is_list || list_in(value, /*takes_one_word=*/false, known)) {
    throw field_error(
        record, options.label,
        fmt::format("must be one label (type is single), but is a list{}: {}; \"type: "
                    "multi\" takes several",
                    is_list ? "" : " in a text", dump(value)));
  }
  out.present = {value};
}

// Trims a label and refuses what is none.
void check_label(Json& label, const Options& options, const Record& record, GoldLabels& out) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: above, neighbours are one number
  if (!label_text(label))
    throw field_error(
        record, options.label,
        fmt::format("must hold labels (texts, numbers or booleans), but holds {}", dump(label)));
  if (label.is_number_float() && std::abs(label.get<double>()) >= kExact)
    throw field_error(record, options.label,
                      fmt::format("holds the number {}, too large to tell from its neighbours; "
                                  "write such labels in quotes",
                                  dump(label)));
  if (!label.is_string()) return;
  std::string name = trimmed_label(label.get_ref<const std::string&>());
  if (name.empty())
    throw field_error(record, options.label,
                      label.get_ref<const std::string&>().empty() ? "is empty" : "is blank");
  out.was_trimmed = out.was_trimmed || name.size() < label.get_ref<const std::string&>().size();
  label = std::move(name);
}

}  // namespace

Json gold_value(const Record& record, const Options& options) {
  if (options.label_columns.empty()) return need_field(record, options.label);
  Json mapping = Json::object();
  for (const std::string& column : options.label_columns)
    mapping[column] = need_field(record, column);
  return mapping;
}

Type type_of(const Json& value, const Options& options, const Labels& known) {
  if (options.type != Type::kAuto) return options.type;
  if (value.is_structured() || !options.label_separator.empty() ||
      options.label_format != Format::kAuto || list_in(value, /*takes_one_word=*/false, known))
    return Type::kMulti;
  const bool is_name = !value.is_string() || (known.is_fixed() && known.find(value));
  return !is_name && bits_in_text(value.get_ref<const std::string&>()) ? Type::kMulti
                                                                       : Type::kSingle;
}

GoldLabels labels_in(const Json& value, Type type, const Options& options, const Labels& known,
                     const Record& record) {
  GoldLabels out;
  if (type == Type::kMulti) {
    several_labels(value, options, known, record, out);
  } else {
    one_label(value, options, known, record, out);
  }
  for (Json& label : out.present) check_label(label, options, record, out);
  for (Json& label : out.absent) check_label(label, options, record, out);
  return out;
}

bool is_decimal(const Json& label) {
  if (label.is_number_float()) return label.get<double>() != std::floor(label.get<double>());
  if (!label.is_string()) return false;
  const auto& text = label.get_ref<const std::string&>();
  const std::optional<double> number = decimal(text);
  return number && (text.find('.') != std::string::npos || *number != std::floor(*number));
}

double number_in(const Json& value, const Options& options, const Record& record) {
  const std::optional<double> number = as_number(value);
  if (!number)
    throw field_error(record, options.label,
                      fmt::format("must be a number (type is regression), but is {}", dump(value)));
  if (!std::isfinite(static_cast<float>(*number)))
    throw field_error(record, options.label,
                      fmt::format("is {}, more than a model's numbers hold", dump(value)));
  return *number;
}

}  // namespace hone::classify
