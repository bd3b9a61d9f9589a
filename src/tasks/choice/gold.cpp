#include "tasks/choice/gold.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "tasks/fields.h"
#include "tasks/labels.h"

namespace hone::choice {
namespace {

constexpr size_t kShownChoice = 60;  // code points
constexpr int64_t kLetters = 26;

std::string text_of(const Json& value, size_t place, const std::string& field,
                    const Record& record) {
  const std::optional<std::string> text = label_text(value);
  if (!text)
    throw field_error(
        record, field,
        fmt::format("must hold texts as choices, but choice {} is {}", place, dump(value)));
  const std::string trimmed = trimmed_label(*text);
  if (trimmed.empty())
    throw field_error(record, field, fmt::format("has an empty choice {}", place));
  return trimmed;
}

const Json& list_in(const Json& object, const char* key, const std::string& field,
                    const Record& record) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array())
    throw field_error(record, field,
                      fmt::format("needs a list \"{}\", but is {}", key, dump(object)));
  return *found;
}

// {"text": […], "label": […]} as [{"text": …, "label": …}, …]
Json as_entries(const Json& object, const std::string& field, const Record& record) {
  const Json& texts = list_in(object, "text", field, record);
  if (!object.contains("label")) return texts;
  const Json& labels = list_in(object, "label", field, record);
  if (labels.size() != texts.size())
    throw field_error(record, field,
                      fmt::format("has {} texts, but {} labels", texts.size(), labels.size()));
  Json entries = Json::array();
  for (size_t i = 0; i < texts.size(); ++i)
    entries.push_back({{"text", texts[i]}, {"label", labels[i]}});
  return entries;
}

void add_entry(const Json& entry, const std::string& field, const Record& record, Choices& all) {
  const size_t place = all.texts.size() + 1;
  if (!entry.is_object()) {
    all.texts.push_back(text_of(entry, place, field, record));
    return;
  }
  const auto text = entry.find("text"), label = entry.find("label");
  if (text == entry.end())
    throw field_error(record, field,
                      fmt::format("needs a \"text\" in every choice, but holds {}", dump(entry)));
  all.texts.push_back(text_of(*text, place, field, record));
  if (label == entry.end()) return;
  const std::string name = text_of(*label, place, field, record);
  if (std::find(all.labels.begin(), all.labels.end(), name) != all.labels.end())
    throw field_error(record, field, fmt::format("has two choices with the label \"{}\"", name));
  all.labels.push_back(name);
}

void add_field(const std::string& field, const Record& record, Choices& all) {
  const Json& value = need_field(record, field);
  const Json list = value.is_object() ? as_entries(value, field, record) : value;
  if (!list.is_array())
    throw field_error(record, field,
                      fmt::format("must be a list of choices, but is {}", dump(value)));
  if (list.empty()) throw field_error(record, field, "has no choice: there is nothing to choose");
  for (const Json& entry : list) add_entry(entry, field, record, all);
  if (!all.labels.empty() && all.labels.size() != all.texts.size())
    throw field_error(record, field, "has choices with a label, and others without");
}

std::optional<int64_t> number_in(const Json& answer) {
  if (answer.is_number_integer()) return answer.get<int64_t>();
  if (!answer.is_string()) return std::nullopt;
  const auto& text = answer.get_ref<const std::string&>();
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int64_t> place_in(const std::vector<std::string>& all, const std::string& one) {
  const auto found = std::find(all.begin(), all.end(), one);
  if (found == all.end()) return std::nullopt;
  return found - all.begin();
}

// Without labels, A is the first choice.
std::optional<int64_t> letter_in(const std::string& text, const Choices& choices) {
  if (!choices.labels.empty()) return place_in(choices.labels, text);
  if (text.size() != 1) return std::nullopt;
  const int64_t place = (text[0] >= 'a' ? text[0] - 'a' : text[0] - 'A');
  return place >= 0 && place < std::min(choices.size(), kLetters) ? std::optional(place)
                                                                  : std::nullopt;
}

// Labels stand for choices in the place of numbers.
std::optional<int64_t> numbered(const Json& answer, const Choices& choices,
                                const Options& options) {
  const std::optional<int64_t> number = number_in(answer);
  if (!number || (answer.is_string() && !choices.labels.empty())) return std::nullopt;
  if (*number < options.answers_from) return std::nullopt;
  const int64_t place = *number - options.answers_from;
  return place < choices.size() ? std::optional(place) : std::nullopt;
}

Error no_answer(const Json& answer, const Choices& choices, const Record& record,
                const Options& options) {
  std::vector<std::string> shown;
  const bool has_labels = !choices.labels.empty();
  for (const std::string& text : has_labels ? choices.labels : choices.texts)
    shown.push_back(shortened(text, kShownChoice));
  if (number_in(answer) && !has_labels && options.answer_as != AnswerAs::kText)
    return field_error(
        record, options.answer,
        fmt::format("is {}, but the {} choices are numbered from {} to {} (answers_from says where "
                    "numbers begin)",
                    dump(answer), choices.size(), options.answers_from,
                    options.answers_from + choices.size() - 1));
  return field_error(record, options.answer,
                     fmt::format("is {}, which is none of the {} \"{}\"", dump(answer),
                                 has_labels ? "labels" : "choices", fmt::join(shown, "\", \"")));
}

}  // namespace

std::vector<int64_t> Choices::distinct() const {
  std::vector<int64_t> first;
  for (int64_t i = 0; i < size(); ++i) {
    if (same_as[i] == i) first.push_back(i);
  }
  return first;
}

Choices choices_of(const Record& record, const Options& options) {
  Choices all;
  if (options.choices.size() == 1) add_field(options.choices.front(), record, all);
  for (size_t i = 0; i < options.choices.size() && options.choices.size() > 1; ++i)
    all.texts.push_back(
        text_of(need_field(record, options.choices[i]), i + 1, options.choices[i], record));
  for (const std::string& text : all.texts) all.same_as.push_back(*place_in(all.texts, text));
  if (options.answer_as == AnswerAs::kLetter && all.labels.empty() && all.size() > kLetters)
    throw field_error(
        record, options.choices.front(),
        fmt::format("has {} choices, more than there are letters to answer with", all.size()));
  return all;
}

Readings readings_of(const Json& answer, const Choices& choices, const Record& record,
                     const Options& options) {
  const std::string text = trimmed_label(label_text(answer).value_or(""));
  Readings all = {numbered(answer, choices, options),
                  answer.is_string() ? letter_in(text, choices) : std::nullopt,
                  place_in(choices.texts, text)};
  for (size_t i = 0; i < all.size(); ++i) {
    const auto as = static_cast<AnswerAs>(i + 1);
    if (options.answer_as != AnswerAs::kAuto && options.answer_as != as) all[i].reset();
    if (all[i]) all[i] = choices.same_as[*all[i]];
  }
  if (std::none_of(all.begin(), all.end(), [](const auto& one) { return one.has_value(); }))
    throw no_answer(answer, choices, record, options);
  return all;
}

bool do_agree(const Readings& readings) {
  std::optional<int64_t> first;
  for (const std::optional<int64_t>& one : readings) {
    if (first && one && *one != *first) return false;
    if (!first) first = one;
  }
  return true;
}

int64_t answer_of(const Json& answer, const Choices& choices, const Record& record,
                  const Options& options) {
  const Readings readings = readings_of(answer, choices, record, options);
  if (!do_agree(readings))
    throw field_error(record, options.answer,
                      fmt::format("is {}, which may be a choice's number, letter or text; say "
                                  "which with answer_as",
                                  dump(answer)));
  return **std::find_if(readings.begin(), readings.end(),
                        [](const auto& one) { return one.has_value(); });
}

Json answer_json(int64_t choice, const Choices& choices, const Options& options) {
  switch (options.answer_as) {
    case AnswerAs::kText:
      return choices.texts[choice];
    case AnswerAs::kLetter:
      if (!choices.labels.empty()) return choices.labels[choice];
      return std::string(1, static_cast<char>('A' + choice));
    default:
      return choice + options.answers_from;
  }
}

}  // namespace hone::choice
