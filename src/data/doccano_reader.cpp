// What doccano exports: an object a line (or a list of them), whose spans are
//
//   {"text": "Ann met Bo", "label": [[0, 3, "PER"]]}          "label" or "labels"
//   {"text": …, "entities": [{"id": 1, "label": "PER", "start_offset": 0, "end_offset": 3}],
//    "relations": [{"from_id": 1, "to_id": 2, "type": "knows"}]}
//   {"text": …, "annotations": [{"label": 4, "start_offset": 0, "end_offset": 3}]}
//
// They become "entities" and "relations" as ner and relation read them. Labels of whole texts
// ("label": ["good"]) and other fields stay. Offsets count characters.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/utf8.h"
#include "data/field_path.h"
#include "data/json_rows.h"
#include "data/row_reader.h"
#include "data/text_units.h"

namespace hone {
namespace {

class DoccanoReader : public RowReader {
 public:
  DoccanoReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : RowReader(options, std::move(text)), rows_(this->text(), "") {
    const auto mapped = options.fields.find("text");
    if (mapped != options.fields.end()) text_field_ = mapped->second;
  }

 protected:
  bool read_row(Record& record) override {
    if (!rows_.next(record)) return false;
    where_ = record.where();
    need_object(record.fields, where_);
    const std::optional<std::string> field = field_of_spans(record.fields);
    if (!field) return true;
    const Json* text = value_at(record.fields, text_field_);
    if (text == nullptr || !text->is_string())
      fail(fmt::format("has spans, but no text in \"{}\"", text_field_));
    characters_ = static_cast<int64_t>(count_code_points(text->get_ref<const std::string&>()));
    Json entities = Json::array();
    for (const Json& span : record.fields[*field]) entities.push_back(entity_of(span));
    const bool is_told = *field != "entities" && !record.fields[*field].empty();
    if (is_told) record.fields.erase(*field);
    record.fields["entities"] = std::move(entities);
    convert_relations(record.fields);
    return true;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kData, where_, fmt::format("the row {}", what));
  }

  // Where the spans stand, or would: an empty list counts where no other holds any. Nothing where
  // the row has none, or labels of its whole text.
  std::optional<std::string> field_of_spans(const Json& row) const {
    std::optional<std::string> holder, empty;
    for (const char* name : {"entities", "annotations", "label", "labels"}) {
      const auto found = row.find(name);
      if (found == row.end() || !found->is_array()) continue;
      if (found->empty() && !empty) empty = name;
      if (std::none_of(found->begin(), found->end(),
                       [](const Json& e) { return e.is_structured(); }))
        continue;
      if (holder)
        fail(
            fmt::format("has spans in \"{}\" and in \"{}\"; leave one of them out", *holder, name));
      holder = name;
    }
    return holder ? holder : empty;
  }

  Json entity_of(const Json& span) const {
    const bool is_triple = span.is_array() && span.size() == 3;
    const auto part = [&](size_t index, const char* name) -> const Json& {
      static const Json kNone;
      if (is_triple) return index < span.size() ? span[index] : kNone;
      return span.is_object() && span.contains(name) ? span[name] : kNone;
    };
    const Json &start = part(0, "start_offset"), &end = part(1, "end_offset"),
               &label = part(2, "label");
    const bool is_sound = start.is_number_integer() && end.is_number_integer() &&
                          (label.is_string() || label.is_number_integer());
    if (!is_sound)
      fail(fmt::format("holds {} where a span, [start, end, label], was expected",
                       shown_text(to_text(span))));
    const bool is_within = start.get<int64_t>() >= 0 && start < end &&
                           (!end.is_number_unsigned() || end.get<uint64_t>() <= INT64_MAX) &&
                           end.get<int64_t>() <= characters_;
    if (!is_within)
      fail(fmt::format("has a span from {} to {}, but its text has {} characters", start.dump(),
                       end.dump(), characters_));
    Json entity = {
        {"start", start}, {"end", end}, {"label", label.is_string() ? label : Json(label.dump())}};
    if (const Json& id = part(3, "id"); !id.is_null()) entity["id"] = id_of(id);
    return entity;
  }

  std::string id_of(const Json& id) const {
    if (id.is_string()) return id.get<std::string>();
    if (!id.is_number_integer())
      fail(
          fmt::format("has {} as an id; a number or a text was expected", shown_text(to_text(id))));
    return id.dump();
  }

  void convert_relations(Json& row) const {
    const auto found = row.find("relations");
    if (found == row.end() || !found->is_array()) return;
    Json relations = Json::array();
    for (const Json& relation : *found) {
      const bool is_sound = relation.is_object() && relation.contains("from_id") &&
                            relation.contains("to_id") && relation.contains("type") &&
                            relation["type"].is_string();
      if (!is_sound)
        fail(fmt::format("holds {} where a relation, {{from_id, to_id, type}}, was expected",
                         shown_text(to_text(relation))));
      relations.push_back({{"head", id_of(relation["from_id"])},
                           {"tail", id_of(relation["to_id"])},
                           {"label", relation["type"]}});
    }
    *found = std::move(relations);
  }

  JsonRows rows_;
  std::string text_field_ = "text";
  Where where_;             // of the row at hand
  int64_t characters_ = 0;  // of its text
};

}  // namespace

std::unique_ptr<RecordReader> read_doccano(const SourceOptions& options,
                                           std::unique_ptr<TextStream> text) {
  return std::make_unique<DoccanoReader>(options, std::move(text));
}

}  // namespace hone
