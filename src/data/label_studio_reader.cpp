// What Label Studio exports as JSON: a list of tasks,
//
//   {"id": 1, "data": {"text": "Ann met Bo"}, "annotations": [{"was_cancelled": false, "result": [
//     {"id": "a", "type": "labels", "from_name": "label", "value": {"start": 0, "end": 3,
//      "text": "Ann", "labels": ["PER"]}},
//     {"type": "choices", "from_name": "mood", "value": {"choices": ["good"]}}]}]}
//
// A row is a task: its data, "entities" and "relations" of its annotation, and a field for each
// control that answers for the whole text ({"mood": ["good"]}). Answers for a stretch of it, which
// have its "start" and "end" too, are passed over.
//
// Of several annotations the one marked as ground truth is taken, else the first. Those that were
// cancelled do not count; a task with none but such is passed over. One without any annotation is a
// row of its data alone. All that is left aside is told.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "data/field_path.h"
#include "data/json_rows.h"
#include "data/row_reader.h"
#include "data/text_units.h"

namespace hone {
namespace {

// What answers for a whole text, by type: the member of its value that is the answer.
constexpr std::pair<const char*, const char*> kAnswers[] = {
    {"choices", "choices"}, {"rating", "rating"}, {"number", "number"}, {"textarea", "text"}};

constexpr size_t kMostTypes = 20;  // that are told apart where they are passed over

const Json* member(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(name);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

bool is_true(const Json& object, const char* name) {
  const Json* value = member(object, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

// What an annotation marks in a text.
struct Mark {
  int64_t start, end;  // units of the text
  const Json* value;   // labels and, where the export has it, the text
  const Json* id;
};

std::string text_of(const Json& object, const char* name) {
  const Json* value = member(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

class LabelStudioReader : public RowReader {
 public:
  LabelStudioReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : RowReader(options, std::move(text)), rows_(this->text(), "") {
    const auto mapped = options.fields.find("text");
    if (mapped != options.fields.end()) text_field_ = mapped->second;
  }

 protected:
  bool read_row(Record& record) override {
    while (rows_.next(record)) {
      where_ = record.where();
      Json task = std::move(record.fields);
      if (member(task, "data") == nullptr || !member(task, "data")->is_object())
        fail("is no task of Label Studio's JSON, an object with \"data\" and \"annotations\"");
      const std::optional<Json> annotation = chosen(task);
      if (!annotation) continue;
      record.fields = std::move(task["data"]);
      const Json* id = member(task, "id");
      if (id != nullptr && !record.fields.contains("id")) record.fields["id"] = *id;
      if (!annotation->is_null()) add(*annotation, record.fields);
      return true;
    }
    return false;
  }

  std::vector<std::string> reader_advice() const override {
    std::vector<std::string> sentences;
    const auto tell = [&](int64_t count, const std::string& what) {
      if (count > 0) sentences.push_back(fmt::format("{}: {} {}", *file(), count, what));
    };
    tell(several_,
         "tasks have several annotations; the one marked as ground truth counts, else the "
         "first");
    tell(cancelled_, "annotations were cancelled and do not count");
    tell(passed_over_, "tasks have cancelled annotations only and are passed over");
    tell(of_stretches_,
         "answers are for a stretch of the text, not for all of it, and are passed over");
    tell(unlabelled_, "spans have no label and are passed over");
    for (const auto& [type, count] : others_)
      tell(count, fmt::format("results of the type \"{}\" are passed over", type));
    return sentences;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kData, where_, fmt::format("the row {}", what));
  }

  // The annotation that counts; null where the task has none; nothing where all were cancelled.
  std::optional<Json> chosen(Json& task) {
    const auto found = task.find("annotations");
    if (found == task.end()) return std::optional<Json>(std::in_place);
    if (!found->is_array()) fail("needs a list of \"annotations\"");
    Json* best = nullptr;
    int64_t count = 0;
    for (Json& annotation : *found) {
      const Json* results = member(annotation, "result");
      if (results == nullptr || !results->is_array())
        fail(fmt::format("has an annotation without a list \"result\", {}",
                         shown_text(to_text(annotation))));
      if (is_true(annotation, "was_cancelled")) {
        ++cancelled_;
        continue;
      }
      ++count;
      const bool is_better = best == nullptr || (!is_true(*best, "ground_truth") &&
                                                 is_true(annotation, "ground_truth"));
      if (is_better) best = &annotation;
    }
    if (count > 1) ++several_;
    if (best != nullptr) return std::optional<Json>(std::in_place, std::move(*best));
    if (found->empty()) return std::optional<Json>(std::in_place);
    ++passed_over_;
    return std::nullopt;
  }

  void add(const Json& annotation, Json& row) {
    std::vector<Mark> marks;
    std::vector<const Json*> relations;
    answered_.clear();
    for (const Json& result : annotation["result"]) {
      const std::string type = text_of(result, "type");
      const Json* value = member(result, "value");
      if (type == "labels") {
        marks.push_back(mark_of(result));
      } else if (type == "relation") {
        relations.push_back(&result);
      } else if (!add_answer(type, result, value, row)) {
        ++others_[others_.size() < kMostTypes ? shown_text(type) : "…"];
      }
    }
    row["entities"] = entities_of(marks, row);
    row["relations"] = Json::array();
    for (const Json* relation : relations) add_relation(*relation, row["relations"]);
  }

  // False where the type is none of those that answer for a whole text.
  bool add_answer(const std::string& type, const Json& result, const Json* value, Json& row) {
    for (const auto& [name, key] : kAnswers) {
      if (type != name) continue;
      const std::string control = text_of(result, "from_name");
      const Json* answer = value == nullptr ? nullptr : member(*value, key);
      if (control.empty() || answer == nullptr)
        fail(fmt::format("has a result without \"from_name\" or value, {}",
                         shown_text(to_text(result))));
      if (member(*value, "start") != nullptr || member(*value, "end") != nullptr) {
        ++of_stretches_;
        return true;
      }
      if (!answered_.insert(control).second)
        fail(fmt::format("has two results of the control \"{}\" for its whole text", control));
      if (row.contains(control) || control == "entities" || control == "relations")
        fail(fmt::format("has a field \"{0}\" and answers of a control \"{0}\"", control));
      row[control] = *answer;
      return true;
    }
    return false;
  }

  Mark mark_of(const Json& result) const {
    const Json* value = member(result, "value");
    const auto whole = [&](const char* name) -> std::optional<int64_t> {
      const Json* number = value == nullptr ? nullptr : member(*value, name);
      if (number == nullptr || !number->is_number_integer()) return std::nullopt;
      return number->get<int64_t>();
    };
    const std::optional<int64_t> start = whole("start"), end = whole("end");
    const Json* labels = value == nullptr ? nullptr : member(*value, "labels");
    const bool has_labels = labels != nullptr && labels->is_array() &&
                            std::all_of(labels->begin(), labels->end(),
                                        [](const Json& label) { return label.is_string(); });
    if (!start || !end || !has_labels)
      fail(fmt::format("has a result without \"start\", \"end\" and \"labels\", {}",
                       shown_text(to_text(result))));
    return {*start, *end, value, member(result, "id")};
  }

  // How many marks say what stands in the text, counted so.
  static int64_t matches(const std::vector<Mark>& marks, const std::string& text,
                         const TextUnits& units) {
    return std::count_if(marks.begin(), marks.end(), [&](const Mark& mark) {
      const std::optional<std::string_view> found = text_at(mark, text, units);
      return found && *found == text_of(*mark.value, "text");
    });
  }

  static std::optional<std::string_view> text_at(const Mark& mark, const std::string& text,
                                                 const TextUnits& units) {
    if (mark.start < 0 || mark.end <= mark.start || mark.end > units.count()) return std::nullopt;
    const size_t from = units.byte(mark.start);
    return std::string_view(text).substr(from, units.byte(mark.end) - from);
  }

  Json entities_of(const std::vector<Mark>& marks, const Json& row) {
    Json entities = Json::array();
    if (marks.empty()) return entities;
    const Json* found = value_at(row, text_field_);
    if (found == nullptr || !found->is_string())
      fail(
          fmt::format("has spans, but no text in \"{0}\"; where it is elsewhere, say fields: "
                      "{{text: NAME}}",
                      text_field_));
    const auto& text = found->get_ref<const std::string&>();
    const TextUnits characters(text, TextUnit::kCharacters), utf16(text, TextUnit::kUtf16);
    const bool is_utf16 = utf16.count() != characters.count() &&
                          matches(marks, text, utf16) > matches(marks, text, characters);
    repair_ = is_utf16 ? "the offsets count UTF-16 units; they are turned into characters" : "";
    for (const Mark& mark : marks)
      add_entities(mark, text, is_utf16 ? utf16 : characters, characters, entities);
    if (!repair_.empty()) note_repair(where_, repair_);
    return entities;
  }

  // One for each label of the mark.
  void add_entities(const Mark& mark, const std::string& text, const TextUnits& units,
                    const TextUnits& characters, Json& entities) {
    const std::optional<std::string_view> found = text_at(mark, text, units);
    if (!found)
      fail(fmt::format("has a span from {} to {}, but its text has {} characters", mark.start,
                       mark.end, characters.count()));
    const Json* said = member(*mark.value, "text");
    if (said != nullptr && said->is_string() && *found != said->get_ref<const std::string&>() &&
        repair_.empty())
      repair_ = fmt::format("a span says \"{}\", but \"{}\" stands there; its offsets are believed",
                            shown_text(said->get_ref<const std::string&>()), shown_text(*found));
    const Json& labels = (*mark.value)["labels"];
    unlabelled_ += labels.empty();
    for (const Json& label : labels) {
      Json entity = {{"start", characters.unit_at(units.byte(mark.start))},
                     {"end", characters.unit_at(units.byte(mark.end))},
                     {"label", label}};
      const bool is_first = &label == &labels.front();
      if (is_first && mark.id != nullptr) entity["id"] = *mark.id;
      entities.push_back(std::move(entity));
    }
  }

  void add_relation(const Json& relation, Json& relations) const {
    const std::string head = text_of(relation, "from_id"), tail = text_of(relation, "to_id");
    const std::string direction = text_of(relation, "direction");
    const Json* labels = member(relation, "labels");
    if (head.empty() || tail.empty() || labels == nullptr || !labels->is_array() || labels->empty())
      fail(fmt::format("has a relation without \"from_id\", \"to_id\" or a label, {}",
                       shown_text(to_text(relation))));
    for (const Json& label : *labels) {
      if (direction != "left")
        relations.push_back({{"head", head}, {"tail", tail}, {"label", label}});
      if (direction == "left" || direction == "bi")
        relations.push_back({{"head", tail}, {"tail", head}, {"label", label}});
    }
  }

  JsonRows rows_;
  std::string text_field_ = "text";
  Where where_;                     // of the task at hand
  std::string repair_;              // of it
  std::set<std::string> answered_;  // controls that answered for its whole text
  int64_t several_ = 0, cancelled_ = 0, passed_over_ = 0, of_stretches_ = 0, unlabelled_ = 0;
  std::map<std::string, int64_t> others_;  // results by their type
};

}  // namespace

std::unique_ptr<RecordReader> read_label_studio(const SourceOptions& options,
                                                std::unique_ptr<TextStream> text) {
  return std::make_unique<LabelStudioReader>(options, std::move(text));
}

}  // namespace hone
