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
  if (const Json* value = value_at(record.fields, from)) return *value;
  const std::vector<std::string> names = names_of(record.fields);
  throw Error(ErrorKind::kData, record.where(),
              fmt::format("no field \"{}\" (wanted as \"{}\"); this row has {}{}", from, to,
                          fmt::join(names, ", "), did_you_mean(from, names)));
}

}  // namespace hone
