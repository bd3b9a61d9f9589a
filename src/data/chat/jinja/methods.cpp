#include "data/chat/jinja/methods.h"

#include <fmt/format.h>
#include <unicode/uchar.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "data/chat/jinja/format.h"
#include "data/chat/jinja/operators.h"

namespace hone::jinja {
namespace {

using Apply = Value (*)(Runtime&, const Value&, Bound&);

struct MethodInfo {
  const char* name;
  std::vector<const char*> parameters;
  Apply apply;
};

// A method of a value that is not called yet.
class Method final : public Object {
 public:
  Method(Value self, const MethodInfo& info) : self_(std::move(self)), info_(info) {}
  std::string type() const override { return "method"; }
  bool is_callable() const override { return true; }
  Value call(Runtime& runtime, Arguments& arguments) override {
    Bound bound(info_.name, info_.parameters, arguments);
    return info_.apply(runtime, self_, bound);
  }

 private:
  Value self_;
  const MethodInfo& info_;
};

// -- texts

bool has_argument(Bound& with, size_t i) { return with.has(i) && !with[i].is_none(); }

Value stripped(Runtime& runtime, const Value& self, Bound& with, bool left, bool right) {
  const Text& text = self.text();
  return runtime.text(has_argument(with, 0)
                          ? strip(text, left, right, need_text(with[0], "strip").bytes)
                          : strip(text, left, right, is_python_space));
}
Value strip_both(Runtime& runtime, const Value& self, Bound& with) {
  return stripped(runtime, self, with, true, true);
}
Value strip_left(Runtime& runtime, const Value& self, Bound& with) {
  return stripped(runtime, self, with, true, false);
}
Value strip_right(Runtime& runtime, const Value& self, Bound& with) {
  return stripped(runtime, self, with, false, true);
}

// Words between white space; beyond `most` splits the rest is one.
std::vector<Value> split_blanks(Runtime& runtime, const Text& text, int64_t most, bool from_right) {
  std::vector<std::pair<size_t, size_t>> words;
  const std::vector<size_t> starts = character_starts(text.bytes);
  bool is_in_word = false;
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    size_t at = starts[i];
    const bool is_space = is_python_space(next_code_point(text.bytes, at));
    if (!is_space && !is_in_word) {
      runtime.step();
      words.emplace_back(starts[i], 0);
    }
    if (!is_space) words.back().second = starts[i + 1];
    is_in_word = !is_space;
  }
  const auto count = static_cast<int64_t>(words.size());
  std::vector<Value> parts;
  if (most < 0 || most >= count) most = count;
  // What is not split goes to the end of the text on its side, white space and all.
  const int64_t kept = count - most;  // of the words are one, unless none is
  for (int64_t i = 0; i < count; ++i) {
    if (kept > 0 && (from_right ? i < kept : i >= most)) {
      parts.push_back(Value::text(from_right ? text.part(0, words[kept - 1].second)
                                             : text.part(words[i].first, text.size())));
      i += kept - 1;
    } else {
      parts.push_back(Value::text(text.part(words[i].first, words[i].second)));
    }
  }
  return parts;
}

std::vector<Value> split_at(Runtime& runtime, const Text& text, const std::string& separator,
                            int64_t most, bool from_right) {
  if (separator.empty()) throw Fault("a text cannot be split at an empty one");
  std::vector<size_t> places;
  if (from_right) {
    for (size_t end = text.size(); most != 0 && end >= separator.size();) {
      const size_t found = text.bytes.rfind(separator, end - separator.size());
      if (found == std::string::npos) break;
      runtime.step();
      places.push_back(found);
      end = found;
      if (most > 0) --most;
    }
  } else {
    for (size_t at = 0; most != 0;) {
      const size_t found = text.bytes.find(separator, at);
      if (found == std::string::npos) break;
      runtime.step();
      places.push_back(found);
      at = found + separator.size();
      if (most > 0) --most;
    }
  }
  std::sort(places.begin(), places.end());
  std::vector<Value> parts;
  size_t begin = 0;
  for (const size_t place : places) {
    parts.push_back(Value::text(text.part(begin, place)));
    begin = place + separator.size();
  }
  parts.push_back(Value::text(text.part(begin, text.size())));
  return parts;
}

Value split_text(Runtime& runtime, const Value& self, Bound& with, bool from_right) {
  const int64_t most = with.whole(1, -1);
  if (!has_argument(with, 0))
    return runtime.list(split_blanks(runtime, self.text(), most, from_right));
  return runtime.list(
      split_at(runtime, self.text(), need_text(with[0], "split").bytes, most, from_right));
}
Value split_left(Runtime& runtime, const Value& self, Bound& with) {
  return split_text(runtime, self, with, false);
}
Value split_right(Runtime& runtime, const Value& self, Bound& with) {
  return split_text(runtime, self, with, true);
}

// (before, separator, behind)
Value partitioned(Runtime& runtime, const Value& self, Bound& with, bool from_right) {
  const Text& separator = need_text(with[0], "partition");
  if (separator.empty()) throw Fault("a text cannot be split at an empty one");
  const Text& text = self.text();
  const size_t found =
      from_right ? text.bytes.rfind(separator.bytes) : text.bytes.find(separator.bytes);
  const Value none = runtime.text("");
  if (found == std::string::npos)
    return from_right ? Value::tuple({none, none, self}) : Value::tuple({self, none, none});
  const size_t behind = found + separator.size();
  return Value::tuple({runtime.text(text.part(0, found)), runtime.text(text.part(found, behind)),
                       runtime.text(text.part(behind, text.size()))});
}
Value partition_left(Runtime& runtime, const Value& self, Bound& with) {
  return partitioned(runtime, self, with, false);
}
Value partition_right(Runtime& runtime, const Value& self, Bound& with) {
  return partitioned(runtime, self, with, true);
}

// The bytes of the text from character with[1] up to with[2].
std::string_view range_of(const Text& text, Bound& with, size_t& begin) {
  const std::vector<size_t> starts = character_starts(text.bytes);
  const auto count = static_cast<int64_t>(starts.size()) - 1;
  const auto place = [&](size_t i, int64_t otherwise) {
    int64_t at = has_argument(with, i) ? with.whole(i, otherwise) : otherwise;
    if (at < 0) at += count;
    return std::max<int64_t>(at, 0);
  };
  const int64_t from = place(1, 0), to = std::min(place(2, count), count);
  begin = from > count ? std::string::npos : starts[static_cast<size_t>(from)];
  if (from > to) return {};
  return std::string_view(text.bytes).substr(begin, starts[static_cast<size_t>(to)] - begin);
}

Value has_edge(const Value& self, Bound& with, bool is_start) {
  size_t begin = 0;
  const std::string_view text = range_of(self.text(), with, begin);
  const auto fits = [&](const Value& edge) {
    const Text& part = need_text(edge, is_start ? "startswith" : "endswith");
    if (begin == std::string::npos) return false;
    return is_start ? text.starts_with(part.bytes) : text.ends_with(part.bytes);
  };
  if (!with[0].is_tuple()) return Value::boolean(fits(with[0]));
  return Value::boolean(std::any_of(with[0].items().begin(), with[0].items().end(), fits));
}
Value starts_with(Runtime&, const Value& self, Bound& with) { return has_edge(self, with, true); }
Value ends_with(Runtime&, const Value& self, Bound& with) { return has_edge(self, with, false); }

// The character at which with[0] stands, -1 where it does not.
int64_t place_in(const Value& self, Bound& with, bool from_right) {
  const Text& part = need_text(with[0], "find");
  size_t begin = 0;
  const std::string_view text = range_of(self.text(), with, begin);
  if (begin == std::string::npos) return -1;
  const size_t found = from_right ? text.rfind(part.bytes) : text.find(part.bytes);
  if (found == std::string_view::npos) return -1;
  return static_cast<int64_t>(
      count_code_points(std::string_view(self.text().bytes).substr(0, begin + found)));
}
Value find_left(Runtime&, const Value& self, Bound& with) {
  return Value::integer(place_in(self, with, false));
}
Value find_right(Runtime&, const Value& self, Bound& with) {
  return Value::integer(place_in(self, with, true));
}
Value index_in_text(Runtime&, const Value& self, Bound& with) {
  const int64_t place = place_in(self, with, false);
  if (place < 0) throw Fault(fmt::format("\"{}\" is not in the text", with[0].text().bytes));
  return Value::integer(place);
}
Value count_in_text(Runtime&, const Value& self, Bound& with) {
  const Text& part = need_text(with[0], "count");
  if (part.empty()) return Value::integer(length(self) + 1);
  int64_t count = 0;
  for (size_t at = 0; (at = self.text().bytes.find(part.bytes, at)) != std::string::npos;
       at += part.size())
    ++count;
  return Value::integer(count);
}

Value replace_in(Runtime& runtime, const Value& self, Bound& with) {
  return replaced(runtime, self.text(), need_text(with[0], "replace"),
                  need_text(with[1], "replace"), with.whole(2, -1));
}

Value join_with(Runtime& runtime, const Value& self, Bound& with) {
  Writer out(runtime);
  bool is_first = true;
  for (const Value& item : items_of(runtime, with[0])) {
    if (!is_first) out.append(self.text());
    out.append(need_text(item, "join"));
    is_first = false;
  }
  return out.value();
}

Value format_text(Runtime& runtime, const Value& self, Bound& with) {
  return brace_format(runtime, self.text(), with.rest());
}

Value to_upper(Runtime& runtime, const Value& self, Bound&) {
  return runtime.text(upper(self.text()));
}
Value to_lower(Runtime& runtime, const Value& self, Bound&) {
  return runtime.text(lower(self.text()));
}
Value to_title(Runtime& runtime, const Value& self, Bound&) {
  return runtime.text(title(self.text()));
}
Value to_capital(Runtime& runtime, const Value& self, Bound&) {
  return runtime.text(capitalize(self.text()));
}

Value lines_of(Runtime& runtime, const Value& self, Bound& with) {
  std::vector<Value> lines;
  for (Text& line : split_lines(self.text(), with.is_true(0, false)))
    lines.push_back(Value::text(std::move(line)));
  return runtime.list(std::move(lines));
}

Value without_prefix(Runtime& runtime, const Value& self, Bound& with) {
  const Text &text = self.text(), &prefix = need_text(with[0], "removeprefix");
  const bool has_it = text.bytes.starts_with(prefix.bytes);
  return runtime.text(text.part(has_it ? prefix.size() : 0, text.size()));
}
Value without_suffix(Runtime& runtime, const Value& self, Bound& with) {
  const Text &text = self.text(), &suffix = need_text(with[0], "removesuffix");
  const bool has_it = text.bytes.ends_with(suffix.bytes);
  return runtime.text(text.part(0, text.size() - (has_it ? suffix.size() : 0)));
}

Value padded(Runtime& runtime, const Value& self, Bound& with, int sides) {
  const int64_t missing = std::max<int64_t>(with.whole(0, 0) - length(self), 0);
  const Text fill = with.has(1) ? need_text(with[1], "a width's filling") : Text(" ");
  if (character_starts(fill.bytes).size() != 2) throw Fault("the filling must be one character");
  runtime.check_text(static_cast<size_t>(missing));
  const int64_t width = with.whole(0, 0);
  const int64_t left = sides == 2 ? missing / 2 + (missing & width & 1) : (sides < 0 ? missing : 0);
  Writer out(runtime);
  for (int64_t i = 0; i < left; ++i) out.append(fill);
  out.append(self.text());
  for (int64_t i = left; i < missing; ++i) out.append(fill);
  return out.value();
}
Value pad_right(Runtime& runtime, const Value& self, Bound& with) {
  return padded(runtime, self, with, 1);
}
Value pad_left(Runtime& runtime, const Value& self, Bound& with) {
  return padded(runtime, self, with, -1);
}
Value pad_both(Runtime& runtime, const Value& self, Bound& with) {
  return padded(runtime, self, with, 2);
}

// Whether there are characters and all of them are so.
Value are_all(const Value& self, bool (*is_so)(char32_t)) {
  const std::u32string characters = from_utf8(self.text().bytes);
  return Value::boolean(!characters.empty() &&
                        std::all_of(characters.begin(), characters.end(), is_so));
}
bool is_letter(char32_t c) { return (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_L_MASK) != 0; }
bool is_decimal(char32_t c) {
  return u_charType(static_cast<UChar32>(c)) == U_DECIMAL_DIGIT_NUMBER;
}
bool is_digit_of(char32_t c) {
  const int32_t kind = u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_NUMERIC_TYPE);
  return kind == U_NT_DECIMAL || kind == U_NT_DIGIT;
}
bool is_numeric(char32_t c) {
  return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_NUMERIC_TYPE) != U_NT_NONE;
}
Value all_letters(Runtime&, const Value& self, Bound&) { return are_all(self, is_letter); }
Value all_decimals(Runtime&, const Value& self, Bound&) { return are_all(self, is_decimal); }
Value all_digits(Runtime&, const Value& self, Bound&) { return are_all(self, is_digit_of); }
Value all_numeric(Runtime&, const Value& self, Bound&) { return are_all(self, is_numeric); }
Value all_blank(Runtime&, const Value& self, Bound&) { return are_all(self, is_python_space); }
Value all_letters_or_numbers(Runtime&, const Value& self, Bound&) {
  return are_all(self, [](char32_t c) { return is_letter(c) || is_numeric(c); });
}
Value all_upper(Runtime&, const Value& self, Bound&) {
  return Value::boolean(is_upper_case(self.text()));
}
Value all_lower(Runtime&, const Value& self, Bound&) {
  return Value::boolean(is_lower_case(self.text()));
}

const std::vector<MethodInfo>& text_methods() {
  static const std::vector<MethodInfo> kMethods = {
      {"strip", {"chars"}, strip_both},
      {"lstrip", {"chars"}, strip_left},
      {"rstrip", {"chars"}, strip_right},
      {"split", {"sep", "maxsplit"}, split_left},
      {"rsplit", {"sep", "maxsplit"}, split_right},
      {"partition", {"sep"}, partition_left},
      {"rpartition", {"sep"}, partition_right},
      {"splitlines", {"keepends"}, lines_of},
      {"startswith", {"prefix", "start", "end"}, starts_with},
      {"endswith", {"suffix", "start", "end"}, ends_with},
      {"find", {"sub", "start", "end"}, find_left},
      {"rfind", {"sub", "start", "end"}, find_right},
      {"index", {"sub", "start", "end"}, index_in_text},
      {"count", {"sub"}, count_in_text},
      {"replace", {"old", "new", "count"}, replace_in},
      {"join", {"iterable"}, join_with},
      {"format", {"*", "**"}, format_text},
      {"upper", {}, to_upper},
      {"lower", {}, to_lower},
      {"title", {}, to_title},
      {"capitalize", {}, to_capital},
      {"removeprefix", {"prefix"}, without_prefix},
      {"removesuffix", {"suffix"}, without_suffix},
      {"ljust", {"width", "fillchar"}, pad_right},
      {"rjust", {"width", "fillchar"}, pad_left},
      {"center", {"width", "fillchar"}, pad_both},
      {"isalpha", {}, all_letters},
      {"isdecimal", {}, all_decimals},
      {"isdigit", {}, all_digits},
      {"isnumeric", {}, all_numeric},
      {"isspace", {}, all_blank},
      {"isalnum", {}, all_letters_or_numbers},
      {"isupper", {}, all_upper},
      {"islower", {}, all_lower},
  };
  return kMethods;
}

// -- lists, tuples, dicts

Value index_in_items(Runtime& runtime, const Value& self, Bound& with) {
  const std::vector<Value> items = items_of(runtime, self);
  for (size_t i = 0; i < items.size(); ++i) {
    if (equals(runtime, items[i], with[0])) return Value::integer(static_cast<int64_t>(i));
  }
  throw Fault(fmt::format("{} is not in the {}", repr(runtime, with[0]).bytes, self.type()));
}
Value count_in_items(Runtime& runtime, const Value& self, Bound& with) {
  int64_t count = 0;
  for (const Value& item : items_of(runtime, self)) count += equals(runtime, item, with[0]) ? 1 : 0;
  return Value::integer(count);
}
Value copied(Runtime&, const Value& self, Bound&) { return self; }

Value get_key(Runtime& runtime, const Value& self, Bound& with) {
  const Value* found = find_key(runtime, *self.dictionary(), with[0]);
  if (found != nullptr) return *found;
  return with.has(1) ? with[1] : Value();
}
Value keys_of(Runtime&, const Value& self, Bound&) {
  return Value::view({View::Which::kKeys, self.dictionary()});
}
Value values_of(Runtime&, const Value& self, Bound&) {
  return Value::view({View::Which::kValues, self.dictionary()});
}
Value entries_of(Runtime&, const Value& self, Bound&) {
  return Value::view({View::Which::kItems, self.dictionary()});
}

const std::vector<MethodInfo>& list_methods() {
  static const std::vector<MethodInfo> kMethods = {
      {"index", {"value"}, index_in_items},
      {"count", {"value"}, count_in_items},
      {"copy", {}, copied},
  };
  return kMethods;
}
const std::vector<MethodInfo>& dict_methods() {
  static const std::vector<MethodInfo> kMethods = {
      {"get", {"key", "default"}, get_key},
      {"keys", {}, keys_of},
      {"values", {}, values_of},
      {"items", {}, entries_of},
      {"copy", {}, copied},
  };
  return kMethods;
}
const std::vector<MethodInfo>& no_methods() {
  static const std::vector<MethodInfo> kMethods;
  return kMethods;
}

// What Python has and the sandbox refuses, and what Python has and is not here.
struct OtherNames {
  std::vector<std::string_view> refused, missing;
};
const OtherNames& other_names(const Value& value) {
  static const OtherNames kText{
      {},
      {"casefold", "encode", "expandtabs", "format_map", "isascii", "isidentifier", "isprintable",
       "istitle", "maketrans", "rindex", "swapcase", "translate", "zfill"}};
  static const OtherNames kList{
      {"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"}, {}};
  static const OtherNames kDict{{"clear", "pop", "popitem", "setdefault", "update"}, {"fromkeys"}};
  static const OtherNames kNumber{
      {},
      {"real", "imag", "conjugate", "numerator", "denominator", "bit_length", "bit_count",
       "to_bytes", "from_bytes", "as_integer_ratio", "is_integer", "hex", "fromhex"}};
  static const OtherNames kNothing;
  if (value.is_text()) return kText;
  if (value.is_list()) return kList;
  if (value.is_dict()) return kDict;
  return value.is_number() ? kNumber : kNothing;
}

const std::vector<MethodInfo>& methods_of(const Value& value) {
  if (value.is_text()) return text_methods();
  if (value.is_dict()) return dict_methods();
  return value.is_sequence() ? list_methods() : no_methods();
}

bool is_among(const std::string& name, const std::vector<std::string_view>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::optional<Value> method_of(Runtime& runtime, const Value& value, const std::string& name) {
  for (const MethodInfo& info : methods_of(value)) {
    if (name == info.name && !(value.is_tuple() && name == "copy"))
      return Value::object(runtime.make<Method>(value, info));
  }
  const OtherNames& others = other_names(value);
  if (is_among(name, others.refused) || (name.starts_with("__") && name.ends_with("__")))
    return Value::undefined(fmt::format(
        "the attribute \"{}\" of a {} is not to be had in a template", name, value.type()));
  if (is_among(name, others.missing))
    throw Fault(
        fmt::format("the attribute \"{}\" of a {} is not available here", name, value.type()),
        ErrorKind::kModel);
  return {};
}

}  // namespace hone::jinja
