#include "data/row_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

namespace hone {
namespace {

void keep(std::vector<BadRow>& rows, Where where, std::string reason) {
  if (rows.size() < kKeptBadRows) rows.push_back({std::move(where), std::move(reason)});
}

const Json* step_into(const Json& value, const std::string& name) {
  if (value.is_object()) {
    const auto it = value.find(name);
    return it == value.end() ? nullptr : &*it;
  }
  size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  const bool is_index = value.is_array() && error == std::errc() &&
                        end == name.data() + name.size() && index < value.size();
  return is_index ? &value[index] : nullptr;
}

// The value of a field name, which may be a path into nested values ("answers.text", "pair.0").
const Json* find_field(const Json& fields, const std::string& name) {
  if (const Json* whole = step_into(fields, name)) return whole;
  const Json* value = &fields;
  for (size_t start = 0; value != nullptr && start <= name.size();) {
    const size_t dot = std::min(name.find('.', start), name.size());
    value = step_into(*value, name.substr(start, dot - start));
    start = dot + 1;
  }
  return value;
}

std::vector<std::string> names_of(const Json& fields) {
  std::vector<std::string> names;
  for (const auto& [name, value] : fields.items()) names.push_back(name);
  return names;
}

}  // namespace

std::optional<Record> RowReader::next() {
  for (;;) {
    Record record;
    record.file = text_->file();
    try {
      if (!read_row(record)) return std::nullopt;
      if (!options_.fields.empty()) map_fields(record);
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

void RowReader::note_repair(Where where, std::string reason) {
  ++repaired_count_;
  keep(repaired_rows_, std::move(where), std::move(reason));
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
  if (const Json* value = find_field(record.fields, from)) return *value;
  const std::vector<std::string> names = names_of(record.fields);
  throw Error(ErrorKind::kData, record.where(),
              fmt::format("no field \"{}\" (wanted as \"{}\"); this row has {}{}", from, to,
                          fmt::join(names, ", "), did_you_mean(from, names)));
}

}  // namespace hone
