#include "run/right.h"

#include "tasks/fields.h"

namespace hone {

std::optional<bool> is_right(const Task& task, const Record& gold, const Json& result) {
  const std::unique_ptr<Scorer> scorer = task.make_scorer();
  scorer->add(gold, result);
  const Report report = scorer->report();
  for (const Section& section : report.sections) {
    const auto* mistakes = std::get_if<Examples>(&section.content);
    if (section.key == "mistakes" && mistakes != nullptr && mistakes->measure == "confidence")
      return mistakes->items.empty();
  }
  return std::nullopt;
}

Json answer_of(const Task& task, const Json& result) {
  Json own = Json::object();
  for (const std::string& name : task.gold_fields()) {
    if (result.contains(name)) own[name] = result[name];
  }
  return own;
}

std::string shown_answer(const Json& answer) {
  const Json& shown = answer.size() == 1 ? answer.front() : answer;
  return shown.is_string() ? shown.get<std::string>() : dump(shown);
}

}  // namespace hone
