#include "data/row_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace hone {
namespace {

constexpr size_t kKept = 1000;  // bad rows kept in full

void keep(std::vector<BadRow>& rows, Where where, std::string reason) {
  if (rows.size() < kKept) rows.push_back({std::move(where), std::move(reason)});
}

Json* step_into(Json& value, const std::string& name) {
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
Json* find_field(Json& fields, const std::string& name) {
  if (Json* whole = step_into(fields, name)) return whole;
  Json* value = &fields;
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
  Json mapped = Json::object();
  const auto is_source = [&](const std::string& name) {
    return std::any_of(options_.fields.begin(), options_.fields.end(),
                       [&](const auto& pair) { return pair.second == name; });
  };
  for (const auto& [name, value] : record.fields.items()) {
    for (const auto& [to, from] : options_.fields) {
      if (from == name) mapped[to] = value;
    }
    if (!is_source(name) && !options_.fields.contains(name)) mapped[name] = value;
  }
  for (const auto& [to, from] : options_.fields) {
    if (mapped.contains(to)) continue;
    const Json* value = find_field(record.fields, from);
    if (value == nullptr) {
      const std::vector<std::string> names = names_of(record.fields);
      throw Error(ErrorKind::kData, record.where(),
                  fmt::format("no field \"{}\" (wanted as \"{}\"); this row has {}{}", from, to,
                              fmt::join(names, ", "), did_you_mean(from, names)));
    }
    mapped[to] = *value;
  }
  record.fields = std::move(mapped);
}

}  // namespace hone
