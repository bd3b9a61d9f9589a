#include "data/row_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "data/field_path.h"
#include "data/text_stream.h"

namespace hone {
namespace {

constexpr size_t kMostTexts = kLongestRow / 2;  // bytes of a row's texts, all together

bool leaves_folder(const std::string& value) {
  const std::filesystem::path path(value);
  return path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end() ||
         value.find('\0') != value.npos;
}

}  // namespace

RowValues::RowValues(const SourceOptions& options) : options_(options) {
  for (const auto& [field, form] : options.forms) forms_[field] = ValueForm::parse(form);
  for (const auto& [field, form] : forms_) converted_[field] = 0;
  for (const auto& [field, names] : options.names) converted_[field] = 0;
}

void RowValues::apply(Record& record) {
  ++rows_;
  add_texts(record);
  const auto has = [&](const std::string& field) {
    const auto it = record.fields.find(field);
    return it != record.fields.end() && !it->is_null();
  };
  for (auto& [field, count] : converted_) count += has(field) ? 1 : 0;
  for (const auto& [field, form] : forms_) {
    if (has(field)) convert_value(form, field, record);
  }
  for (const auto& [field, names] : options_.names) {
    if (has(field)) name_value(names, field, record);
  }
}

std::vector<std::string> RowValues::advice() const {
  std::vector<std::string> sentences;
  for (const auto& [field, count] : converted_) {
    if (rows_ > 0 && count == 0)
      sentences.push_back(fmt::format("{}: no row has the field \"{}\", which {} names",
                                      options_.path, field,
                                      forms_.contains(field) ? "forms" : "names"));
  }
  return sentences;
}

// "data/{guid}.txt", seen from the folder of the table.
std::string RowValues::path_of(const std::string& pattern, const Record& record) const {
  std::string path;
  for (size_t at = 0; at < pattern.size();) {
    const size_t open = std::min(pattern.find('{', at), pattern.size());
    const size_t close = pattern.find('}', open);
    path += pattern.substr(at, open - at);
    if (open == pattern.size()) break;
    const std::string name = pattern.substr(open + 1, close - open - 1);
    const Json* value = value_at(record.fields, name);
    if (value == nullptr || !(value->is_string() || value->is_number_integer()))
      throw Error(ErrorKind::kData, record.where(),
                  fmt::format("the row has no \"{}\" that could name its text, {}", name, pattern));
    const std::string part = value->is_string() ? value->get<std::string>() : value->dump();
    if (leaves_folder(part))
      throw Error(
          ErrorKind::kData, record.where(),
          fmt::format("\"{}\" is \"{}\": names of texts stay below their folder", name, part));
    path += part;
    at = close + 1;
  }
  return (std::filesystem::path(options_.path).parent_path() / path).string();
}

std::string RowValues::read_text(const std::string& path, size_t most) const {
  SourceOptions file = options_;
  file.path = path;
  TextStream stream(file);
  while (stream.more()) {
    if (stream.window().size() > most)
      throw Error(ErrorKind::kData, Where{path},
                  fmt::format("the texts of a row have at most {} MiB", kMostTexts >> 20));
  }
  stream.check_text(stream.window(), stream.here());
  return std::string(stream.window());
}

void RowValues::add_texts(Record& record) const {
  size_t most = kMostTexts;
  for (const auto& [field, pattern] : options_.texts) {
    const std::string path = path_of(pattern, record);
    try {
      std::string text = read_text(path, most);
      most -= std::min(most, text.size());
      record.fields[field] = std::move(text);
    } catch (const Error& error) {
      throw Error(ErrorKind::kData, record.where(),
                  fmt::format("its text cannot be used: {}", error.what()));
    }
  }
}

}  // namespace hone
