#include "data/record_store.h"

#include <vector>

namespace hone {
namespace {

constexpr size_t kNoFile = SIZE_MAX;

Json edits_json(const std::map<std::string, TextEdits>& all) {
  Json json = Json::object();
  for (const auto& [field, edits] : all) {
    Json& cuts = (json[field] = {{"text", edits.as_read()}, {"cuts", Json::array()}})["cuts"];
    for (const auto& [begin, end] : edits.cuts()) cuts.push_back({begin, end});
  }
  return json;
}

std::map<std::string, TextEdits> edits_from(const Json& json) {
  std::map<std::string, TextEdits> all;
  for (const auto& [field, value] : json.items()) {
    TextEdits edits(value.at("text").get<std::string>());
    for (const Json& cut : value.at("cuts")) edits.cut(cut.at(0), cut.at(1));
    all.emplace(field, std::move(edits));
  }
  return all;
}

}  // namespace

void RecordStore::add(const Record& record) {
  size_t file = kNoFile;
  if (record.file) {
    const auto [place, is_new] = index_of_.emplace(*record.file, files_.size());
    if (is_new) files_.push_back(record.file);
    file = place->second;
  }
  std::string bytes;
  Json::to_cbor({record.fields, file, record.line, record.column, edits_json(record.edits),
                 record.is_repaired},
                bytes);
  encoded_.add(bytes);
}

Record RecordStore::get(int64_t index) const {
  std::string read;
  Json json = Json::from_cbor(encoded_.get(index, read));
  const auto file = json.at(1).get<size_t>();
  return {std::move(json.at(0)),
          file == kNoFile ? nullptr : files_[file],
          json.at(2),
          json.at(3),
          edits_from(json.at(4)),
          json.at(5)};
}

}  // namespace hone
