#include "tasks/classify/list_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>
#include <vector>

namespace hone::classify {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

std::string_view without_blanks(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(kBlank), text.size());
  return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

std::vector<std::string_view> words_of(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> words;
  for (size_t at = text.find_first_not_of(separators); at < text.size();
       at = text.find_first_not_of(separators, at)) {
    const size_t end = std::min(text.find_first_of(separators, at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

// true, None, 3, 0.; nothing for a name. Digits that no integer holds stay a text: no two of them
// become one number.
std::optional<Json> plain_value(std::string_view word) {
  if (word == "true" || word == "True" || word == "TRUE") return true;
  if (word == "false" || word == "False" || word == "FALSE") return false;
  if (word == "null" || word == "None") return Json();
  const char *begin = word.data(), *end = begin + word.size();
  int64_t whole = 0;
  if (const auto read = std::from_chars(begin, end, whole); read.ptr == end)
    return read.ec == std::errc() ? Json(whole) : Json(std::string(word));
  double number = 0;
  if (const auto read = std::from_chars(begin, end, number);
      read.ptr == end && read.ec == std::errc() && word.find_first_of("iInN") == word.npos)
    return number;
  return std::nullopt;
}

// Reads one list or mapping; nested ones are none of labels.
class ListReader {
 public:
  explicit ListReader(std::string_view text) : text_(text) {}

  std::optional<ListText> read() {
    constexpr std::array<std::string_view, 3> kFrames = {"[]", "{}", "()"};
    const auto frame = std::find_if(kFrames.begin(), kFrames.end(), [&](std::string_view pair) {
      return text_.size() >= 2 && text_.front() == pair[0] && text_.back() == pair[1];
    });
    if (frame == kFrames.end()) return std::nullopt;
    is_braced_ = (*frame)[0] == '{';
    text_ = text_.substr(1, text_.size() - 2);
    while (skip_blanks()) {
      if (!read_piece()) return std::nullopt;
    }
    // Brackets are lists; other frames may be part of a name: "(a)", "{unknown}".
    const bool is_tuple = (*frame)[0] == '(', is_set = is_braced_ && keys_.empty();
    if ((is_tuple && commas_ == 0 && !values_.empty()) || ((is_tuple || is_set) && names_ > 0))
      return std::nullopt;
    return finish();
  }

 private:
  bool skip_blanks() {
    at_ = std::min(text_.find_first_not_of(kBlank, at_), text_.size());
    return at_ < text_.size();
  }

  bool read_piece() {
    const char c = text_[at_];
    if (c == ',') return ++at_, ++commas_, std::exchange(has_value_, false);
    if (c == ':' && is_braced_) return ++at_, take_key();
    if (c == '"' || c == '\'') return read_quoted(c);
    return read_bare();
  }

  bool read_quoted(char quote) {
    std::string value;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] != '\\') {
        value += text_[at_];
      } else if (const char c = ++at_ < text_.size() ? unescaped(text_[at_]) : '\0'; c != '\0') {
        value += c;
      } else {
        return false;
      }
    }
    return at_++ < text_.size() && add(std::move(value));
  }

  static char unescaped(char c) {
    constexpr std::string_view kNames = "\\/'\"nrt", kMeant = "\\/'\"\n\r\t";
    const size_t at = kNames.find(c);
    return at == std::string_view::npos ? '\0' : kMeant[at];
  }

  bool read_bare() {
    const size_t end =
        std::min(text_.find_first_of(is_braced_ ? ",:'\"[](){}" : ",'\"[](){}", at_), text_.size());
    const std::string_view run = without_blanks(text_.substr(at_, end - at_));
    at_ = end;
    if (run.empty()) return false;  // a bracket within
    std::vector<Json> values;
    for (const std::string_view word : words_of(run, kBlank)) {
      if (std::optional<Json> value = plain_value(word)) values.push_back(std::move(*value));
    }
    if (values.size() != words_of(run, kBlank).size()) return ++names_, add(std::string(run));
    return std::all_of(values.begin(), values.end(), [&](Json& v) { return add(std::move(v)); });
  }

  bool add(Json value) {
    values_.push_back(std::move(value));
    return has_value_ = true;
  }

  bool take_key() {
    if (!std::exchange(has_value_, false) || values_.size() != keys_.size() + 1) return false;
    if (!values_.back().is_string()) return false;
    keys_.push_back(values_.back().get<std::string>());
    values_.pop_back();
    return true;
  }

  std::optional<ListText> finish() const {
    if (keys_.empty()) {
      const bool is_mapping = is_braced_ && values_.empty();
      return ListText{is_mapping ? Json::object() : Json(values_),
                      names_ == 1 && values_.size() == 1};
    }
    if (keys_.size() != values_.size()) return std::nullopt;
    Json object = Json::object();
    for (size_t i = 0; i < keys_.size(); ++i) {
      if (object.contains(keys_[i])) return std::nullopt;
      object[keys_[i]] = values_[i];
    }
    return ListText{object, false};
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<Json> values_;
  std::vector<std::string> keys_;
  int64_t names_ = 0, commas_ = 0;  // names: words without quotes that are no numbers
  bool is_braced_ = false, has_value_ = false;
};

// "{'a'}" of "frozenset({'a'})", "['a']" of "array(['a'], dtype=object)", "()" of "set()": what
// stands in a call that makes a list. Other texts are left as they are.
std::string_view without_call(std::string_view text) {
  constexpr std::array<std::string_view, 7> kCalls = {"set",   "frozenset", "list",       "tuple",
                                                      "array", "np.array",  "numpy.array"};
  const size_t open = text.find('(');
  if (open == text.npos || !text.ends_with(')') ||
      std::find(kCalls.begin(), kCalls.end(), text.substr(0, open)) == kCalls.end())
    return text;
  const std::string_view inner = text.substr(open + 1, text.size() - open - 2);
  if (without_blanks(inner).empty()) return text.substr(open);
  const size_t end = inner.find_last_of("])}") + 1;  // 0: no list at all
  const std::string_view rest = without_blanks(inner.substr(end));
  return rest.empty() || rest.starts_with(", dtype=") ? without_blanks(inner.substr(0, end)) : text;
}

}  // namespace

std::optional<ListText> list_in_text(std::string_view text) {
  text = without_call(without_blanks(text));
  if (text.starts_with('[') && text.find("\\u") != text.npos) {  // as JSON writes é
    Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    return value.is_array() ? std::optional(ListText{std::move(value), false}) : std::nullopt;
  }
  return ListReader(text).read();
}

std::optional<bool> bit_in_text(std::string_view text) {
  if (text == "0" || text == "0.0") return false;
  if (text == "1" || text == "1.0") return true;
  const std::optional<Json> value = plain_value(text);
  return value && value->is_boolean() ? std::optional(value->get<bool>()) : std::nullopt;
}

std::optional<Json> bits_in_text(std::string_view text) {
  Json bits = Json::array();
  for (const std::string_view word : words_of(text, " \t\r\n,;")) {
    const std::optional<bool> bit = bit_in_text(word);
    if (!bit) return std::nullopt;
    bits.push_back(*bit ? 1 : 0);
  }
  return bits.size() < 2 ? std::nullopt : std::optional(bits);
}

}  // namespace hone::classify
