#include "data/json_rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/row_reader.h"

namespace hone {
namespace {

constexpr size_t kMostShownKeys = 10;

}  // namespace

JsonRows::JsonRows(TextStream& text, const std::string& rows) : text_(text), json_(text) {
  for (size_t start = 0; start < rows.size();) {
    const size_t dot = std::min(rows.find('.', start), rows.size());
    path_.push_back(rows.substr(start, dot - start));
    start = dot + 1;
  }
}

bool JsonRows::next(Record& record) {
  if (!find_row()) return false;
  const size_t size = json_.value_size();
  const Where start = text_.here();
  record.line = start.line;
  record.column = start.column;
  const std::string_view row = text_.window().substr(0, size);
  const Consume after{text_, size};  // also where the row turns out to be bad
  text_.check_text(row, start);
  record.fields = parse_json(row, start, ErrorKind::kData, kMostValues);
  return true;
}

bool JsonRows::find_row() {
  if (is_done_) return false;
  if (!is_begun_) find_array();
  is_begun_ = true;
  json_.next();
  if (array_ ? json_.next_in(*array_) : !text_.window().empty()) return true;
  is_done_ = true;
  walk_out();
  return false;
}

void JsonRows::find_array() {
  for (const std::string& name : path_) enter_key(name);
  const char c = json_.next();
  if (!path_.empty() && c != '[')
    throw StreamError(ErrorKind::kData, text_.here(),
                      fmt::format("\"{}\" must be the list of rows; found '{}'", path_.back(), c));
  if (c == '[') array_ = json_.enter();
}

void JsonRows::enter_key(const std::string& name) {
  if (json_.next() != '{')
    throw StreamError(ErrorKind::kData, text_.here(),
                      fmt::format("\"rows\" names \"{}\", but there is no object here", name));
  const Where start = text_.here();
  around_.push_back(json_.enter());
  std::vector<std::string> keys;
  while (json_.next_in(around_.back())) {
    keys.push_back(json_.key());
    if (keys.back() == name) return;
    if (keys.size() > kMostShownKeys) keys.pop_back();
    json_.skip_value();
  }
  throw StreamError(ErrorKind::kData, start,
                    fmt::format("the object has no \"{}\", where \"rows\" looks for the rows; it "
                                "has {}{}",
                                name, fmt::join(keys, ", "), did_you_mean(name, keys)));
}

void JsonRows::walk_out() {
  for (; !around_.empty(); around_.pop_back()) {
    while (json_.next_in(around_.back())) {
      if (json_.key() == path_[around_.size() - 1])
        json_.fail(fmt::format("the key \"{}\" stands twice", path_[around_.size() - 1]));
      json_.skip_value();
    }
  }
  json_.next();
  if (!text_.window().empty())
    json_.fail(path_.empty() ? "text after the end of the array"
                             : "text after the end of the object");
}

void need_object(const Json& row, const Where& where) {
  if (row.is_object()) return;
  throw Error(ErrorKind::kData, where,
              fmt::format("a row must be a JSON object; found {} {}", row.is_array() ? "an" : "a",
                          row.type_name()));
}

}  // namespace hone
