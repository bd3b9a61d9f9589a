#include "data/row_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "data/field_path.h"

namespace hone {
namespace {

void keep(std::vector<BadRow>& rows, Where where, std::string reason) {
  if (rows.size() < kKeptBadRows) rows.push_back({std::move(where), std::move(reason)});
}

std::vector<std::string> names_of(const Json& fields) {
  std::vector<std::string> names;
  for (const auto& [name, value] : fields.items()) names.push_back(name);
  return names;
}

constexpr size_t kMostFields = 1000;                  // of an element that becomes a row
constexpr size_t kMostShared = kMostValues / 4;       // values that each element's row repeats
constexpr size_t kMostSharedBytes = kLongestRow / 2;  // and their texts

// What a row holds beside its elements, and each of their rows repeats.
struct Shared {
  size_t values = 0, bytes = 0;

  void add(const Json& value) {
    ++values;
    if (value.is_string()) bytes += value.get_ref<const std::string&>().size();
    if (!value.is_structured()) return;
    for (const Json& item : value) add(item);
  }
};

}  // namespace

std::optional<Record> RowReader::next() {
  for (;;) {
    Record record;
    record.file = text_->file();
    try {
      if (!next_row(record)) return std::nullopt;
      if (!options_.fields.empty()) map_fields(record);
      values_.apply(record);
      keep_repair();
      return record;
    } catch (const StreamError&) {
      throw;
    } catch (const Error& error) {
      if (options_.on_bad_row != "skip") throw;
      ++bad_count_;
      keep(bad_rows_, error.where(), error.message());
    }
  }
}

bool RowReader::read_whole(Record& record) {
  noted_.reset();
  if (!read_row(record)) return false;
  record.is_repaired = noted_.has_value();
  return true;
}

bool RowReader::next_row(Record& record) {
  if (options_.each.empty()) return read_whole(record);
  while (next_element_ == elements_.size()) {
    Record whole;
    whole.file = record.file;
    if (!read_whole(whole)) return false;
    take_elements(whole);
  }
  record = rest_;
  Json element = std::move(elements_[next_element_++]);
  if (!element.is_object())
    throw Error(
        ErrorKind::kData, record.where(),
        fmt::format("\"{}\" must hold objects, as \"each\" makes rows of them; it holds {} {}",
                    options_.each, element.is_array() ? "an" : "a", element.type_name()));
  if (element.size() > kMostFields)
    throw Error(
        ErrorKind::kData, record.where(),
        fmt::format("an element of \"{}\" has at most {} fields", options_.each, kMostFields));
  for (auto& [name, value] : element.get_ref<Json::object_t&>())
    record.fields[name] = std::move(value);
  return true;
}

void RowReader::take_elements(Record& record) {
  elements_ = Json::array();
  next_element_ = 0;
  // The fields are the record's own, so that the value may be moved out of them.
  Json* value = const_cast<Json*>(value_at(record.fields, options_.each));
  if (value == nullptr || value->is_null()) {
    ++without_elements_;
    return;
  }
  Json elements = std::exchange(*value, Json());
  Shared shared;
  shared.add(record.fields);
  if (shared.values > kMostShared || shared.bytes > kMostSharedBytes)
    throw Error(ErrorKind::kData, record.where(),
                fmt::format("a row has at most {} values and {} MiB beside those of \"{}\", which "
                            "share them",
                            kMostShared, kMostSharedBytes >> 20, options_.each));
  elements_ = elements.is_array() ? std::move(elements) : Json::array({std::move(elements)});
  rest_ = std::move(record);
}

std::vector<std::string> RowReader::advice() const {
  std::vector<std::string> sentences = reader_advice();
  for (std::string& sentence : values_.advice()) sentences.push_back(std::move(sentence));
  if (without_elements_ > 0)
    sentences.push_back(fmt::format("{}: {} rows have no \"{}\", of which each would be a row",
                                    *file(), without_elements_, options_.each));
  return sentences;
}

void RowReader::note_repair(Where where, std::string reason) {
  noted_ = BadRow{std::move(where), std::move(reason)};
}

// Only of a row that is used in the end, and once where several rows are made of it.
void RowReader::keep_repair() {
  if (!noted_) return;
  keep(repaired_rows_, std::move(noted_->where), std::move(noted_->reason));
  noted_.reset();
}

// New names take the place of the old ones; a field of the file that has the same name as a new one
// gives way.
void RowReader::map_fields(Record& record) const {
  std::map<std::string, Json> values;  // by new name
  for (const auto& [to, from] : options_.fields) values[to] = mapped_value(record, from, to);
  Json old = std::exchange(record.fields, Json::object());
  using Fields = Json::object_t::Container;  // appending there avoids a search for each name
  Fields& fields = static_cast<Fields&>(record.fields.get_ref<Json::object_t&>());
  for (auto& [name, value] : old.get_ref<Json::object_t&>()) {
    bool is_moved = false;
    for (const auto& [to, from] : options_.fields) {
      if (from != name) continue;
      is_moved = true;
      fields.emplace_back(to, std::move(values.extract(to).mapped()));
    }
    if (!is_moved && !options_.fields.contains(name)) fields.emplace_back(name, std::move(value));
  }
  for (auto& [to, value] : values) fields.emplace_back(to, std::move(value));
}

Json RowReader::mapped_value(const Record& record, const std::string& from,
                             const std::string& to) const {
  if (const Json* value = value_at(record.fields, from)) return *value;
  const std::vector<std::string> names = names_of(record.fields);
  throw Error(ErrorKind::kData, record.where(),
              fmt::format("no field \"{}\" (wanted as \"{}\"); this row has {}{}", from, to,
                          fmt::join(names, ", "), did_you_mean(from, names)));
}

}  // namespace hone
