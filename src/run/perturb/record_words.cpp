#include "run/perturb/record_words.h"

#include <algorithm>
#include <optional>

#include "data/text_units.h"
#include "data/word_units.h"

namespace hone {
namespace {

std::optional<int64_t> place_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<int64_t>();
}

// Characters [begin, end) of a text in bytes; nothing where they are not within it.
std::optional<Span> in_bytes(const TextUnits& units, int64_t begin, int64_t end) {
  if (begin < 0 || end <= begin || end > units.count()) return std::nullopt;
  return Span{static_cast<int32_t>(units.byte(begin)), static_cast<int32_t>(units.byte(end))};
}

// Finds what a record's other fields say of a text, as it was read.
class SpanFinder {
 public:
  explicit SpanFinder(const std::string& text) : text_(text), units_(text, TextUnit::kCharacters) {}

  void look_at(const Json& value) {
    if (value.is_object()) add_object(value);
    if (!value.is_structured()) return;
    for (const Json& inner : value) look_at(inner);
  }
  std::vector<Span> take() { return std::move(spans_); }

 private:
  void add(std::optional<int64_t> begin, std::optional<int64_t> end) {
    if (!begin || !end) return;
    if (const auto span = in_bytes(units_, *begin, *end)) spans_.push_back(*span);
  }

  void add_object(const Json& object) {
    add(place_in(object, "start"), place_in(object, "end"));
    add(place_in(object, "from"), place_in(object, "to"));
    const auto texts = object.find("text"), starts = object.find("answer_start");
    if (texts == object.end() || starts == object.end()) return;
    if (!texts->is_array() || !starts->is_array()) return add_answer(*texts, *starts);
    for (size_t i = 0; i < std::min(texts->size(), starts->size()); ++i)
      add_answer((*texts)[i], (*starts)[i]);
  }

  // An answer stands in one of several texts: where its words are.
  void add_answer(const Json& answer, const Json& start) {
    if (!answer.is_string() || !start.is_number_integer()) return;
    const auto& words = answer.get_ref<const std::string&>();
    const auto at = start.get<int64_t>();
    if (at < 0 || at >= units_.count() || words.empty()) return;
    const size_t byte = units_.byte(at);
    if (text_.compare(byte, words.size(), words) == 0)
      spans_.push_back({static_cast<int32_t>(byte), static_cast<int32_t>(byte + words.size())});
  }

  const std::string& text_;
  TextUnits units_;
  std::vector<Span> spans_;
};

bool is_list_of_texts(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& one) { return one.is_string(); });
}

// The tags of a list of tokens; null where no gold field has as many texts.
const Json* tags_of_tokens(const Record& record, const Json& tokens,
                           const std::vector<std::string>& gold_fields) {
  for (const std::string& name : gold_fields) {
    const auto found = record.fields.find(name);
    if (found != record.fields.end() && is_list_of_texts(*found) && found->size() == tokens.size())
      return &*found;
  }
  return nullptr;
}

std::string joined_tokens(const Json& tokens) {
  std::string text;
  for (const Json& token : tokens) {
    if (&token != &tokens.front()) text += ' ';
    text += token.get_ref<const std::string&>();
  }
  return text;
}

const std::string& text_as_read(const Record& record, const std::string& field) {
  const auto edits = record.edits.find(field);
  return edits == record.edits.end() ? record.fields.at(field).get_ref<const std::string&>()
                                     : edits->second.as_read();
}

}  // namespace

RecordWords::RecordWords(Record record, const std::vector<std::string>& text_fields,
                         const std::vector<std::string>& gold_fields)
    : record_(std::move(record)) {
  for (const std::string& field : text_fields) {
    const auto found = record_.fields.find(field);
    if (found == record_.fields.end()) continue;
    if (found->is_string()) {
      SpanFinder finder(text_as_read(record_, field));
      finder.look_at(record_.fields);
      labelled_[field] = finder.take();
      add_text(field);
    } else if (is_list_of_texts(*found)) {
      add_tokens(field, gold_fields);
    }
  }
}

void RecordWords::add_text(const std::string& field) {
  const std::string& text = texts_[field] = record_.fields[field].get<std::string>();
  for (const Span& word : words_of_text(text)) {
    if (!is_labelled(field, word)) words_.push_back({field, -1, word});
  }
}

void RecordWords::add_tokens(const std::string& field,
                             const std::vector<std::string>& gold_fields) {
  const Json& tokens = record_.fields[field];
  const Json* tags = tags_of_tokens(record_, tokens, gold_fields);
  if (tags == nullptr) return;
  texts_[field] = joined_tokens(tokens);
  int32_t at = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto& token = tokens[i].get_ref<const std::string&>();
    const Span bytes{at, at + static_cast<int32_t>(token.size())};
    if ((*tags)[i] == "O" && !words_of_text(token).empty())
      words_.push_back({field, static_cast<int64_t>(i), bytes});
    at = bytes.end + 1;
  }
}

bool RecordWords::is_labelled(const std::string& field, Span bytes) const {
  const auto edits = record_.edits.find(field);
  const Span word = edits == record_.edits.end() ? bytes : edits->second.as_read(bytes);
  const std::vector<Span>& spans = labelled_.at(field);
  return std::any_of(spans.begin(), spans.end(), [&](const Span& span) {
    return span.start < word.end && word.start < span.end;
  });
}

bool RecordWords::fits(const RecordWord& word, const std::string& other) {
  return word.token < 0 || (!other.empty() && other.find_first_of(" \t\n") == std::string::npos);
}

Span RecordWords::with_blank(const RecordWord& word, int32_t from, bool is_first) const {
  const std::string& text = text_of(word);
  const auto [start, end] = word.bytes;
  const auto is_free_blank = [&](int32_t at) {
    return at >= from && at < static_cast<int32_t>(text.size()) &&
           text[static_cast<size_t>(at)] == ' ' && !is_labelled(word.field, {at, at + 1});
  };
  if (is_free_blank(start - 1)) return {start - 1, end};
  if (is_first && is_free_blank(end)) return {start, end + 1};
  return word.bytes;
}

std::vector<RecordWords::Replaced> RecordWords::replaced_in(const std::string& field,
                                                            const OtherWords& others) const {
  std::vector<Replaced> all;
  int32_t from = 0;                            // where the text goes on behind the last one
  bool is_first = true;                        // nothing is left of the text before
  for (const auto& [place, other] : others) {  // in the order of the text
    const RecordWord& word = words_[place];
    if (word.field != field) continue;
    is_first = is_first && word.bytes.start == from;
    const bool is_left_out = other.empty() && word.token < 0;
    all.push_back({is_left_out ? with_blank(word, from, is_first) : word.bytes, other});
    is_first = is_first && is_left_out;
    from = all.back().bytes.end;
  }
  return all;
}

std::string RecordWords::text_with(const std::string& field, const OtherWords& others) const {
  const std::string& text = texts_.at(field);
  std::string changed;
  size_t at = 0;
  for (const Replaced& one : replaced_in(field, others)) {
    changed.append(text, at, static_cast<size_t>(one.bytes.start) - at);
    changed += one.other;
    at = static_cast<size_t>(one.bytes.end);
  }
  return changed.append(text, at);
}

Json RecordWords::tokens_with(const std::string& field, const OtherWords& others) const {
  Json tokens = record_.fields.at(field);
  for (const auto& [place, other] : others) {
    const RecordWord& word = words_[place];
    if (word.field == field) tokens[static_cast<size_t>(word.token)] = other;
  }
  return tokens;
}

Record RecordWords::with(const OtherWords& others) const {
  Record changed = record_;
  for (const auto& [field, text] : texts_) {
    if (!record_.fields.at(field).is_string()) {
      changed.fields[field] = tokens_with(field, others);
      continue;
    }
    TextEdits edits = record_.edits.contains(field) ? record_.edits.at(field) : TextEdits(text);
    for (const Replaced& one : replaced_in(field, others))
      edits.replace(static_cast<size_t>(one.bytes.start), static_cast<size_t>(one.bytes.end),
                    one.other.size());
    changed.fields[field] = text_with(field, others);
    changed.edits.insert_or_assign(field, std::move(edits));
  }
  return changed;
}

}  // namespace hone
