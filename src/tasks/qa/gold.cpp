#include "tasks/qa/gold.h"

#include <fmt/format.h>

#include "data/text_bounds.h"
#include "tasks/fields.h"
#include "tasks/text_places.h"

namespace hone::qa {
namespace {

constexpr size_t kShownAnswer = 60;  // code points

std::string text_of(const Json& json, const Record& record, const Options& options) {
  if (!json.is_string())
    throw field_error(record, options.answers,
                      fmt::format("must hold texts as answers, but holds {}", dump(json)));
  const auto& text = json.get_ref<const std::string&>();
  const Span seen = visible_part(text, {0, static_cast<int32_t>(text.size())});
  if (seen.start == seen.end)
    throw field_error(record, options.answers,
                      fmt::format("has an answer without text, {}; a question without an answer "
                                  "has an empty list",
                                  dump(json)));
  return text;
}

std::optional<int64_t> start_of(const Json& json, const Record& record, const Options& options) {
  if (json.is_null()) return std::nullopt;
  if (!json.is_number_integer() || (json.is_number_unsigned() && json.get<int64_t>() < 0))
    throw field_error(
        record, options.answers,
        fmt::format("needs whole numbers as \"answer_start\", but has {}", dump(json)));
  return json.get<int64_t>();
}

const Json& list_of(const Json& object, const char* key, const Record& record,
                    const Options& options) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array())
    throw field_error(record, options.answers,
                      fmt::format("needs a list \"{}\", but is {}", key, dump(object)));
  return *found;
}

// {"text": […], "answer_start": […]}
std::vector<Answer> from_lists(const Json& object, const Record& record, const Options& options) {
  const Json& texts = list_of(object, "text", record, options);
  const bool has_starts = object.contains("answer_start");
  std::vector<Answer> answers;
  for (const Json& text : texts) answers.push_back({text_of(text, record, options), std::nullopt});
  if (!has_starts) return answers;
  const Json& starts = list_of(object, "answer_start", record, options);
  if (starts.size() != texts.size())
    throw field_error(record, options.answers,
                      fmt::format("has {} texts, but {} numbers as \"answer_start\"", texts.size(),
                                  starts.size()));
  for (size_t i = 0; i < answers.size(); ++i)
    answers[i].start = start_of(starts[i], record, options);
  return answers;
}

Answer from_entry(const Json& entry, const Record& record, const Options& options) {
  if (!entry.is_object()) return {text_of(entry, record, options), std::nullopt};
  const auto text = entry.find("text"), start = entry.find("answer_start");
  if (text == entry.end())
    throw field_error(record, options.answers,
                      fmt::format("needs a \"text\" in every answer, but holds {}", dump(entry)));
  return {text_of(*text, record, options),
          start == entry.end() ? std::nullopt : start_of(*start, record, options)};
}

std::vector<Answer> all_answers(const Json& value, const Record& record, const Options& options) {
  if (value.is_object()) return from_lists(value, record, options);
  if (value.is_string()) {
    if (value.get_ref<const std::string&>().empty()) return {};
    return {from_entry(value, record, options)};
  }
  if (!value.is_array())
    throw field_error(record, options.answers,
                      fmt::format("must be a list of answers, but is {}", dump(value)));
  std::vector<Answer> answers;
  for (const Json& entry : value) answers.push_back(from_entry(entry, record, options));
  return answers;
}

// Bytes of the context where the text begins, one after the other.
std::vector<size_t> places_of(std::string_view text, std::string_view context) {
  std::vector<size_t> places;
  for (size_t at = context.find(text); at != context.npos; at = context.find(text, at + 1))
    places.push_back(at);
  return places;
}

Span span_at(size_t start, std::string_view text) {
  return {static_cast<int32_t>(start), static_cast<int32_t>(start + text.size())};
}

bool stands_at(const Answer& answer, std::string_view context, const Characters& characters) {
  if (*answer.start < 0 || *answer.start >= characters.count()) return false;
  return context.substr(characters.byte(*answer.start)).starts_with(answer.text);
}

std::string claim_of(const Answer& answer) {
  const std::string text = fmt::format("the answer \"{}\"", shortened(answer.text, kShownAnswer));
  return answer.start ? fmt::format("{} does not stand at {}", text, *answer.start) : text;
}

}  // namespace

std::vector<Answer> answers_of(const Json& value, const Record& record, const Options& options) {
  std::vector<Answer> answers = all_answers(value, record, options);
  if (!options.no_answer.empty())
    std::erase_if(answers, [&](const Answer& a) { return a.text == options.no_answer; });
  return answers;
}

std::vector<Answer> answers_of(const Record& record, const Options& options) {
  return answers_of(need_field(record, options.answers), record, options);
}

Located locate(const Answer& answer, const std::string& context) {
  const Characters characters(context);
  if (answer.start && stands_at(answer, context, characters))
    return {span_at(characters.byte(*answer.start), answer.text), ""};
  const std::vector<size_t> places = places_of(answer.text, context);
  const std::string claim = claim_of(answer);
  if (places.empty())
    return {std::nullopt, fmt::format("{}{} stands nowhere in the text, and is not learned", claim,
                                      answer.start ? " and" : "")};
  if (places.size() > 1)
    return {std::nullopt,
            fmt::format("{} {} at {} places of the text, and is not learned: which one "
                        "\"answer_start\" must say",
                        claim, answer.start ? "but" : "stands", places.size())};
  const std::string repair =
      answer.start ? fmt::format("{} but at {}, its only place in the text, and is learned there",
                                 claim, characters.at_byte(static_cast<int64_t>(places[0])))
                   : "";
  return {span_at(places[0], answer.text), repair};
}

Located locate_first(const std::vector<Answer>& answers, const std::string& context) {
  Located first;
  size_t repairs = 0;
  for (const Answer& answer : answers) {
    const Located located = locate(answer, context);
    if (!first.bytes) first.bytes = located.bytes;
    if (!located.repair.empty() && repairs++ == 0) first.repair = located.repair;
  }
  if (repairs > 1) first.repair += fmt::format(" (and {} more)", repairs - 1);
  return first;
}

}  // namespace hone::qa
