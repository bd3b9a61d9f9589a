#include "data/value_forms.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "data/field_path.h"
#include "data/row_reader.h"
#include "data/text_units.h"

namespace hone {
namespace {

constexpr size_t kLongestPair = 64;   // bytes of "(12, 19)"
constexpr size_t kLongestType = 250;  // bytes: each entity gets a copy

// The value that is converted, and what messages need.
struct Value {
  Json json;
  const Record& record;
  const std::string& field;
  const std::string& of;  // the field named beside the form

  Error error(const std::string& what) const {
    return {ErrorKind::kData, record.where(), fmt::format("\"{}\" {}", field, what)};
  }
};

std::string shown(const Json& json) { return shown_text(to_text(json)); }

std::optional<int64_t> whole_number(const Json& json) {
  if (json.is_number_integer()) {
    if (json.is_number_unsigned() && json.get<int64_t>() < 0) return std::nullopt;  // too large
    return json.get<int64_t>();
  }
  if (!json.is_string()) return std::nullopt;
  const auto& text = json.get_ref<const std::string&>();
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

const std::string& need_text(const Value& value) {
  if (!value.json.is_string())
    throw value.error(fmt::format("must be a text, but is {}", shown(value.json)));
  return value.json.get_ref<const std::string&>();
}

// "B-PER O O": a list, parted at white space.
Json words(const Value& value) {
  constexpr std::string_view kWhite = " \t\r\n\v\f";
  const std::string& text = need_text(value);
  Json list = Json::array();
  for (size_t at = text.find_first_not_of(kWhite); at != text.npos;) {
    const size_t end = std::min(text.find_first_of(kWhite, at), text.size());
    if (list.size() == kMostValues)
      throw value.error(fmt::format("has more than {} words", kMostValues));
    list.push_back(text.substr(at, end - at));
    at = text.find_first_not_of(kWhite, end);
  }
  return list;
}

Json integer(const Value& value) {
  const std::optional<int64_t> number = whole_number(value.json);
  if (!number)
    throw value.error(fmt::format("must be a whole number, but is {}", shown(value.json)));
  return *number;
}

// ["a"]: its one value.
Json only(const Value& value) {
  if (!value.json.is_array() || value.json.size() != 1)
    throw value.error(fmt::format("must be a list of one value, but is {}", shown(value.json)));
  return value.json[0];
}

// [[0, 3, "PER"], …], ends exclusive, as spaCy and doccano have it.
Json triples(const Value& value) {
  const auto is_triple = [](const Json& t) {
    return t.is_array() && t.size() == 3 && t[0].is_number_integer() && t[1].is_number_integer() &&
           t[2].is_string();
  };
  const bool is_list = value.json.is_array();
  Json list = Json::array();
  for (const Json& triple : is_list ? value.json : Json::array()) {
    if (!is_triple(triple))
      throw value.error(
          fmt::format("must hold entities as [start, end, type], but holds {}", shown(triple)));
    list.push_back({{"start", triple[0]}, {"end", triple[1]}, {"label", triple[2]}});
  }
  if (!is_list)
    throw value.error(
        fmt::format("must be a list of [start, end, type], but is {}", shown(value.json)));
  return list;
}

// One mention of CLUENER's form, whose end is inclusive.
Json entity_of(const Value& value, const std::string& type, const std::string& mention,
               const Json& place) {
  const bool is_pair = place.is_array() && place.size() == 2 && place[0].is_number_integer() &&
                       place[1].is_number_integer();
  const int64_t start = is_pair ? place[0].get<int64_t>() : 0,
                last = is_pair ? place[1].get<int64_t>() : 0;
  const auto length = static_cast<int64_t>(count_code_points(mention));
  if (!is_pair || start < 0 || last < start || last - start + 1 != length)
    throw value.error(
        fmt::format("has the mention \"{}\" of {} characters at {}; places are [first, last], both "
                    "inclusive",
                    shown_text(mention), length, shown(place)));
  return {{"start", start}, {"end", last + 1}, {"label", type}};
}

// {"PER": {"Ann": [[0, 2]]}}, ends inclusive, as CLUENER 2020 has it.
Json by_type(const Value& value) {
  const auto need_object = [&](const Json& json) {
    if (!json.is_object())
      throw value.error(
          fmt::format("must be {{type: {{mention: [[first, last]]}}}}, but holds {}", shown(json)));
  };
  need_object(value.json);
  Json list = Json::array();
  for (const auto& [type, mentions] : value.json.items()) {
    need_object(mentions);
    if (type.size() > kLongestType)
      throw value.error(fmt::format("has a type of {} bytes, \"{}\"; {} are the most", type.size(),
                                    shown_text(type), kLongestType));
    for (const auto& [mention, places] : mentions.items()) {
      if (!places.is_array())
        throw value.error(fmt::format("must list the places of \"{}\", but has {}",
                                      shown_text(mention), shown(places)));
      for (const Json& place : places) list.push_back(entity_of(value, type, mention, place));
    }
  }
  return list;
}

// "(12, 19)" or [12, 19]: characters of another field, as an answer in it.
Json span_of(const Value& value) {
  Json pair = value.json;
  if (pair.is_string() && pair.get_ref<const std::string&>().size() <= kLongestPair) {
    std::string text = pair.get<std::string>();
    if (text.starts_with('(') && text.ends_with(')')) {
      text.front() = '[';
      text.back() = ']';
    }
    pair = Json::parse(text, nullptr, false);
  }
  const Json* whole = value_at(value.record.fields, value.of);
  if (whole == nullptr || !whole->is_string())
    throw value.error(fmt::format("counts in the field \"{}\", which is no text here", value.of));
  const bool is_pair = pair.is_array() && pair.size() == 2;
  const std::optional<int64_t> start = is_pair ? whole_number(pair[0]) : std::nullopt,
                               end = is_pair ? whole_number(pair[1]) : std::nullopt;
  const auto& text = whole->get_ref<const std::string&>();
  const TextUnits characters(text, TextUnit::kCharacters);
  if (!start || !end || *start < 0 || *end < *start || *end > characters.count())
    throw value.error(
        fmt::format("must be the first character and one past the last of \"{}\", which has {}; it "
                    "is {}",
                    value.of, characters.count(), shown(value.json)));
  const size_t from = characters.byte(*start);
  return Json::array(
      {Json{{"text", text.substr(from, characters.byte(*end) - from)}, {"answer_start", *start}}});
}

// "41", where another field has the end: a span, exclusive.
Json span_to(const Value& value) {
  const Json* last = value_at(value.record.fields, value.of);
  const std::optional<int64_t> start = whole_number(value.json),
                               end = last == nullptr ? std::nullopt : whole_number(*last);
  if (!start || !end)
    throw value.error(fmt::format("and \"{}\" must be whole numbers, but are {} and {}", value.of,
                                  shown(value.json), last == nullptr ? "not there" : shown(*last)));
  return {{"start", *start}, {"end", *end}};
}

const std::string& need_item_text(const Value& value, const Json& item) {
  if (item.is_string()) return item.get_ref<const std::string&>();
  throw value.error(fmt::format("must be a list of texts, but holds {}", shown(item)));
}

const Json& need_list(const Value& value) {
  if (!value.json.is_array())
    throw value.error(fmt::format("must be a list of texts, but is {}", shown(value.json)));
  return value.json;
}

// ["a", "b"]: one text, "a, b".
Json joined(const Value& value) {
  std::string text;
  for (const Json& item : need_list(value))
    text += (text.empty() ? "" : ", ") + need_item_text(value, item);
  return text;
}

// ["科0", "技1"]: characters without their places in their words, as Weibo's NER files have them.
Json without_places(const Value& value) {
  Json list = Json::array();
  for (const Json& item : need_list(value)) {
    const std::string& token = need_item_text(value, item);
    const TextUnits characters(token, TextUnit::kCharacters);
    // The first may be a digit itself; an emoji may be several.
    const size_t first = characters.count() > 1 ? characters.byte(1) : token.size(),
                 place = std::max(first, token.find_last_not_of("0123456789") + 1);
    if (!whole_number(token.substr(place)))
      throw value.error(
          fmt::format("must hold characters, each with its place in a word behind it, "
                      "but holds \"{}\"",
                      shown_text(token)));
    list.push_back(token.substr(0, place));
  }
  return list;
}

struct Form {
  const char* name;
  Json (*convert)(const Value& value);
  bool needs_field = false;
};

// One line each.
constexpr Form kForms[] = {
    {"words", words},           {"integer", integer}, {"only", only},
    {"triples", triples},       {"by_type", by_type}, {"span_of", span_of, true},
    {"span_to", span_to, true}, {"joined", joined},   {"without_places", without_places},
};

const Form* find_form(const std::string& name) {
  const auto it = std::find_if(std::begin(kForms), std::end(kForms),
                               [&](const Form& f) { return f.name == name; });
  return it == std::end(kForms) ? nullptr : it;
}

Json name_of(const Json& value, const std::vector<std::string>& names, const std::string& field,
             const Record& record) {
  const std::optional<int64_t> number = whole_number(value);
  const auto count = static_cast<int64_t>(names.size());
  if (number && *number >= 0 && *number < count) return names[static_cast<size_t>(*number)];
  throw Error(ErrorKind::kData, record.where(),
              fmt::format("\"{}\" has {}, but there are names for 0 to {} only", field,
                          shown(value), count - 1));
}

}  // namespace

ValueForm ValueForm::parse(const std::string& text) {
  const size_t blank = text.find(' ');
  if (blank == text.npos) return {text, ""};
  return {text.substr(0, blank), text.substr(text.find_first_not_of(' ', blank))};
}

std::vector<std::string> value_form_names() {
  std::vector<std::string> names;
  for (const Form& form : kForms)
    names.push_back(std::string(form.name) + (form.needs_field ? " FIELD" : ""));
  return names;
}

std::string fault_of(const ValueForm& form) {
  const Form* found = find_form(form.name);
  if (found == nullptr)
    return fmt::format("\"{}\" is no form; there are {}", form.name,
                       fmt::join(value_form_names(), ", "));
  if (found->needs_field && form.of.empty())
    return fmt::format("\"{0}\" names a further field: \"{0} FIELD\"", form.name);
  if (!found->needs_field && !form.of.empty())
    return fmt::format("\"{}\" stands alone, without \"{}\"", form.name, form.of);
  return "";
}

void convert_value(const ValueForm& form, const std::string& field, Record& record) {
  Json& place = record.fields[field];
  const Value value{std::move(place), record, field, form.of};
  Json converted = find_form(form.name)->convert(value);
  place = std::move(converted);
}

void name_value(const std::vector<std::string>& names, const std::string& field, Record& record) {
  Json& value = record.fields[field];
  if (!value.is_array()) {
    value = name_of(value, names, field, record);
    return;
  }
  for (Json& item : value) item = name_of(item, names, field, record);
}

}  // namespace hone
