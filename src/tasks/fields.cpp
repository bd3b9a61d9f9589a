#include "tasks/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/utf8.h"
#include "tasks/labels.h"

namespace hone {
namespace {

std::vector<std::string> names_of(const Json& object) {
  std::vector<std::string> names;
  for (const auto& item : object.items()) names.push_back(item.key());
  return names;
}

bool looks_like_data(const std::string& name) {
  constexpr size_t kLongName = 30;
  return name.empty() || name.size() > kLongName || name.find(' ') != std::string::npos ||
         name.find_first_not_of("0123456789.+-") == std::string::npos;
}

std::string quote_advice(const std::vector<std::string>& names) {
  const bool are_quoted = std::all_of(names.begin(), names.end(), [](const std::string& name) {
    return name.size() > 1 && name.front() == '\'' && name.back() == '\'';
  });
  return are_quoted ? "; single quotes belong to the names: only double quotes enclose values" : "";
}

// What is likely wrong with a table whose columns have these names; "" where nothing is.
std::string table_advice(const std::vector<std::string>& names, const Json& row) {
  const bool is_table =
      std::all_of(row.begin(), row.end(), [](const Json& value) { return value.is_string(); });
  if (!is_table) return "";
  if (names[0].starts_with('#')) return "; is the first line a comment? It should name the columns";
  if (names.size() == 1) {
    for (const std::string separator : {"\t", ";", "|", "，", "；", "^", ",", ":"}) {
      if (names[0].find(separator) != std::string::npos)
        return fmt::format("; its only column seems to be several: is \"separator: '{}'\" missing?",
                           separator == "\t" ? "tab" : separator);
    }
  }
  if (std::all_of(names.begin(), names.end(), [](const std::string& name) {
        return name.find_first_not_of("0123456789") == std::string::npos;
      }))
    return "; columns without names are numbered: name them, as \"columns: [text, label]\"";
  if (std::any_of(names.begin(), names.end(), looks_like_data))
    return "; does the file begin without a header row? Then name its columns, as \"columns: "
           "[text, label]\"";
  return "";
}

// Rows that stand in a list below one object: {"data": [{…}, {…}]}.
std::string nested_advice(const std::string& name, const Json& row) {
  for (const auto& [list, value] : row.items()) {
    if (value.is_array() && !value.empty() && value.front().contains(name))
      return fmt::format("; are the rows in the list \"{0}\"? Then say rows: {0} beside its path",
                         list);
  }
  return "";
}

std::string absent_message(const std::string& name, const Json& object, const char* whole) {
  const std::vector<std::string> names = names_of(object);
  if (names.empty()) return fmt::format("the {} has no field \"{}\": it is empty.", whole, name);
  std::string advice;  // the likeliest first
  for (const std::string& one : {quote_advice(names), did_you_mean(name, names),
                                 table_advice(names, object), nested_advice(name, object)}) {
    if (advice.empty()) advice = one;
  }
  return fmt::format("the {} has no field \"{}\"; it has \"{}\"{}", whole, name,
                     fmt::join(names, "\", \""), advice);
}

}  // namespace

const Json* find_field(const Record& record, const std::string& name) {
  const auto found = record.fields.find(name);
  return found == record.fields.end() || found->is_null() ? nullptr : &*found;
}

const Json& need_field(const Record& record, const std::string& name) {
  const auto found = record.fields.find(name);
  if (found == record.fields.end())
    throw Error(ErrorKind::kData, record.where(), absent_message(name, record.fields, "row"));
  if (found->is_null()) throw field_error(record, name, "is null");
  return *found;
}

const std::string& need_text(const Record& record, const std::string& name) {
  const Json& value = need_field(record, name);
  if (!value.is_string())
    throw field_error(record, name, fmt::format("must be a text, but is {}", dump(value)));
  return value.get_ref<const std::string&>();
}

const std::string& need_text_as_read(const Record& record, const std::string& name) {
  const std::string& cleaned = need_text(record, name);
  const auto edits = record.edits.find(name);
  return edits == record.edits.end() ? cleaned : edits->second.as_read();
}

Encoding encode_field(const Record& record, const std::string& name, const Tokenizer& tokenizer) {
  Encoding pieces = tokenizer.encode(need_text(record, name));
  const auto edits = record.edits.find(name);
  if (edits == record.edits.end()) return pieces;
  for (Span& span : pieces.offsets) span = edits->second.as_read(span);
  return pieces;
}

std::vector<std::string> need_strings(const Record& record, const std::string& name) {
  const Json& value = need_field(record, name);
  if (!value.is_array())
    throw field_error(record, name,
                      fmt::format("must be a list of strings, but is {}", dump(value)));
  std::vector<std::string> result;
  for (const Json& entry : value) {
    if (!entry.is_string()) {
      throw field_error(record, name,
                        fmt::format("must be a list of strings, but entry {} is {}",
                                    result.size() + 1, dump(entry)));
    }
    result.push_back(entry.get<std::string>());
  }
  return result;
}

std::optional<double> as_number(const Json& value) {
  std::optional<double> number;
  if (value.is_number()) number = value.get<double>();
  if (value.is_string()) number = decimal(trimmed_label(value.get_ref<const std::string&>()));
  return number && std::isfinite(*number) ? number : std::nullopt;
}

const Json& need_result(const Record& gold, const Json& result, const std::string& name) {
  if (!result.is_object())
    throw Error(ErrorKind::kData, gold.where(),
                fmt::format("the result for this row is not an object: {}", dump(result)));
  const auto found = result.find(name);
  if (found == result.end())
    throw Error(ErrorKind::kData, gold.where(),
                absent_message(name, result, "result for this row"));
  return *found;
}

Error field_error(const Record& record, const std::string& name, const std::string& what) {
  return Error(ErrorKind::kData, record.where(), fmt::format("\"{}\" {}.", name, what));
}

std::string shortened(std::string_view text, size_t code_points) {
  std::string result;
  size_t position = 0;
  for (size_t i = 0; i < code_points && position < text.size(); ++i) {
    const char32_t c = next_code_point(text, position);
    append_utf8(result, c < 0x20 ? U' ' : c);
  }
  return position < text.size() ? result + "…" : result;
}

std::string dump(const Json& value, size_t bytes) {
  std::string text = to_text(value);
  return text.size() <= bytes ? text : shortened(text, bytes);
}

Json number(float value) {
  if (!std::isfinite(value)) return nullptr;
  return std::strtod(fmt::format("{}", value).c_str(), nullptr);
}

double probability(double value) { return std::round(value * 1e6) / 1e6; }

}  // namespace hone
