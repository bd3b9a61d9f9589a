#include "data/chat/jinja/filters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/chat/jinja/attributes.h"
#include "data/chat/jinja/format.h"
#include "data/chat/jinja/json_text.h"
#include "data/chat/jinja/number_text.h"
#include "data/chat/jinja/operators.h"
#include "data/chat/jinja/tests.h"

namespace hone::jinja {
namespace {

using Filter = Value (*)(Runtime&, const Value&, Bound&);

struct FilterInfo {
  const char* name;
  std::vector<const char*> parameters;
  Filter apply;
};

// -- texts

Value filter_trim(Runtime& runtime, const Value& value, Bound& with) {
  const Text text = to_text(runtime, value);
  if (!with.has(0) || with[0].is_none())
    return runtime.text(strip(text, true, true, is_python_space));
  return runtime.text(strip(text, true, true, need_text(with[0], "trim").bytes));
}
Value filter_upper(Runtime& runtime, const Value& value, Bound&) {
  return runtime.text(upper(to_text(runtime, value)));
}
Value filter_lower(Runtime& runtime, const Value& value, Bound&) {
  return runtime.text(lower(to_text(runtime, value)));
}
Value filter_title(Runtime& runtime, const Value& value, Bound&) {
  return runtime.text(title_filter(to_text(runtime, value)));
}
Value filter_capitalize(Runtime& runtime, const Value& value, Bound&) {
  return runtime.text(capitalize(to_text(runtime, value)));
}
Value filter_string(Runtime& runtime, const Value& value, Bound&) {
  return value.is_text() ? value : runtime.text(to_text(runtime, value));
}

Value filter_replace(Runtime& runtime, const Value& value, Bound& with) {
  const int64_t most = with.has(2) && !with[2].is_none() ? with.whole(2, -1) : -1;
  return replaced(runtime, to_text(runtime, value), to_text(runtime, with[0]),
                  to_text(runtime, with[1]), most);
}

Value filter_escape(Runtime& runtime, const Value& value, Bound&) {
  const Text text = to_text(runtime, value);
  Writer out(runtime);
  for (size_t i = 0; i < text.size(); ++i) {
    static constexpr std::pair<char, const char*> kEscapes[] = {
        {'&', "&amp;"}, {'>', "&gt;"}, {'<', "&lt;"}, {'\'', "&#39;"}, {'"', "&#34;"}};
    std::string_view now(&text.bytes[i], 1);
    for (const auto& [c, escape] : kEscapes) {
      if (c == text.bytes[i]) now = escape;
    }
    out.append(now, text.marks[i]);
  }
  return out.value();
}

Value filter_indent(Runtime& runtime, const Value& value, Bound& with) {
  refuse_undefined(value);
  const bool is_width = !with.has(0) || with[0].is_whole();
  const int64_t width = is_width ? std::max<int64_t>(with.whole(0, 4), 0) : 0;
  runtime.check_text(static_cast<size_t>(width));
  const Text indent =
      is_width ? Text(std::string(static_cast<size_t>(width), ' ')) : need_text(with[0], "indent");
  Text text = need_text(value, "indent");
  text.append("\n", 0);
  const bool is_first = with.is_true(1, false), are_blank = with.is_true(2, false);
  Writer out(runtime);
  const std::vector<Text> lines = split_lines(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.append("\n");
    if (i > 0 ? are_blank || !lines[i].empty() : is_first) out.append(indent);
    out.append(lines[i]);
  }
  return out.value();
}

Value filter_truncate(Runtime& runtime, const Value& value, Bound& with) {
  const Text& text = need_text(value, "truncate");
  const std::vector<size_t> starts = character_starts(text.bytes);
  const auto count = static_cast<int64_t>(starts.size()) - 1;
  const int64_t most = with.whole(0, 255), leeway = with.whole(3, 5);
  const Text end = with.has(2) ? need_text(with[2], "truncate") : Text("...");
  const auto end_count = static_cast<int64_t>(character_starts(end.bytes).size()) - 1;
  if (most < end_count || leeway < 0) throw Fault("truncate to less than its own end");
  if (count <= most + leeway) return value;
  Text kept = text.part(0, starts[static_cast<size_t>(most - end_count)]);
  const size_t blank = kept.bytes.rfind(' ');
  if (!with.is_true(1, false) && blank != std::string::npos) kept = kept.part(0, blank);
  kept.append(end);
  return runtime.text(std::move(kept));
}

Value filter_format(Runtime& runtime, const Value& value, Bound& with) {
  return percent_format(runtime, to_text(runtime, value), with.rest());
}

Value filter_center(Runtime& runtime, const Value& value, Bound& with) {
  const Text text = to_text(runtime, value);
  const int64_t width = with.whole(0, 80);
  const int64_t missing =
      std::max<int64_t>(width - static_cast<int64_t>(character_starts(text.bytes).size()) + 1, 0);
  runtime.check_text(static_cast<size_t>(missing));
  const int64_t left = missing / 2 + (missing & width & 1);
  Writer out(runtime);
  out.append(std::string(static_cast<size_t>(left), ' '));
  out.append(text);
  out.append(std::string(static_cast<size_t>(missing - left), ' '));
  return out.value();
}

Value filter_wordcount(Runtime& runtime, const Value& value, Bound&) {
  return Value::integer(count_words(to_text(runtime, value).bytes));
}

Value filter_tojson(Runtime& runtime, const Value& value, Bound& with) {
  JsonLayout layout;
  layout.ensure_ascii = with.is_true(0, false);
  if (with.has(1) && with[1].is_whole())
    layout.indent =
        std::string(static_cast<size_t>(std::clamp<int64_t>(with[1].whole(), 0, 1000)), ' ');
  if (with.has(1) && with[1].is_text()) layout.indent = with[1].text().bytes;
  if (layout.indent) layout.between_items = ",";
  if (with.has(2) && !with[2].is_none()) {
    const std::vector<Value> pair = items_of(runtime, with[2]);
    if (pair.size() != 2) throw Fault("tojson's separators are two texts");
    layout.between_items = need_text(pair[0], "tojson").bytes;
    layout.behind_keys = need_text(pair[1], "tojson").bytes;
  }
  layout.sort_keys = with.is_true(3, false);
  return json_text(runtime, value, layout);
}

// -- numbers

Value filter_abs(Runtime&, const Value& value, Bound&) {
  const Value number = identity(value);
  return number.number() < 0 ? negate(number) : number;
}
Value filter_int(Runtime&, const Value& value, Bound& with) {
  const std::optional<int64_t> whole =
      value.is_text() ? whole_in(value.text().bytes, with.whole(1, 10)) : whole_of(value);
  return whole ? Value::integer(*whole) : (with.has(0) ? with[0] : Value::integer(0));
}
Value filter_float(Runtime&, const Value& value, Bound& with) {
  refuse_undefined(value);
  const std::optional<double> number =
      value.is_text() ? number_in(value.text().bytes)
                      : (value.is_number() ? std::optional(value.number()) : std::nullopt);
  return number ? Value::number(*number) : (with.has(0) ? with[0] : Value::number(0));
}
Value filter_round(Runtime&, const Value& value, Bound& with) {
  const Value number = identity(value);
  const std::string method = with.has(1) ? need_text(with[1], "round").bytes : "common";
  return rounded(number, with.whole(0, 0), method);
}

// -- sequences

Value filter_length(Runtime&, const Value& value, Bound&) { return Value::integer(length(value)); }
Value filter_list(Runtime& runtime, const Value& value, Bound&) {
  return runtime.list(items_of(runtime, value));
}
Value filter_first(Runtime& runtime, const Value& value, Bound&) {
  if (value.is_iterator()) {
    Iterator& iterator = value.iterator();
    if (iterator.next < iterator.items.size()) return iterator.items[iterator.next++];
  }
  const std::vector<Value> items = items_of(runtime, value);
  return items.empty() ? Value::undefined("there is no first item, as there is none") : items[0];
}
Value filter_last(Runtime& runtime, const Value& value, Bound&) {
  if (value.is_iterator()) throw Fault("last needs a list; put |list before it");
  const std::vector<Value> items = items_of(runtime, value);
  return items.empty() ? Value::undefined("there is no last item, as there is none") : items.back();
}
Value filter_reverse(Runtime& runtime, const Value& value, Bound&) {
  if (value.is_text()) return slice(runtime, value, {}, {}, Value::integer(-1));
  std::vector<Value> items = items_of(runtime, value);
  std::reverse(items.begin(), items.end());
  return runtime.iterator(std::move(items));
}

Value filter_join(Runtime& runtime, const Value& value, Bound& with) {
  const Text between = with.has(0) ? to_text(runtime, with[0]) : Text();
  Writer out(runtime);
  bool is_first = true;
  for (const Value& item : items_of(runtime, value)) {
    if (!is_first) out.append(between);
    is_first = false;
    const bool by_attribute = with.has(1) && !with[1].is_none();
    out.append(to_text(runtime, by_attribute ? attribute_path(runtime, item, with[1]) : item));
  }
  return out.value();
}

Value filter_default(Runtime&, const Value& value, Bound& with) {
  const bool is_missing = value.is_undefined() || (with.is_true(1, false) && !is_true(value));
  if (!is_missing) return value;
  return with.has(0) ? with[0] : Value::text("");
}

Value filter_items(Runtime& runtime, const Value& value, Bound&) {
  if (value.is_undefined()) return runtime.iterator({});
  if (!value.is_dict()) throw Fault(fmt::format("items needs a dict; found a {}", value.type()));
  return runtime.iterator(
      items_of(runtime, Value::view({View::Which::kItems, value.dictionary()})));
}

// Letters without their case, unless it counts.
Value sort_key(Runtime& runtime, const Value& value, bool minds_case) {
  return value.is_text() && !minds_case ? runtime.text(lower(value.text())) : value;
}

Value filter_dictsort(Runtime& runtime, const Value& value, Bound& with) {
  refuse_undefined(value);
  if (!value.is_dict()) throw Fault(fmt::format("dictsort needs a dict; found a {}", value.type()));
  const std::string by = with.has(1) ? need_text(with[1], "dictsort").bytes : "key";
  if (by != "key" && by != "value") throw Fault("dictsort goes by \"key\" or \"value\"");
  const bool minds_case = with.is_true(0, false);
  std::vector<Value> entries =
      items_of(runtime, Value::view({View::Which::kItems, value.dictionary()}));
  const auto key = [&](const Value& entry) {
    return sort_key(runtime, entry.items()[by == "key" ? 0 : 1], minds_case);
  };
  return runtime.list(sorted(runtime, std::move(entries), key, with.is_true(2, false)));
}

Value filter_sort(Runtime& runtime, const Value& value, Bound& with) {
  const bool minds_case = with.is_true(1, false);
  const Value attribute = with.has(2) ? with[2] : Value();
  const auto key = [&](const Value& item) {
    std::vector<Value> keys;
    for (const Value& one : attribute_paths(runtime, item, attribute))
      keys.push_back(sort_key(runtime, one, minds_case));
    return Value::list(std::move(keys));
  };
  return runtime.list(sorted(runtime, items_of(runtime, value), key, with.is_true(0, false)));
}

Value filter_unique(Runtime& runtime, const Value& value, Bound& with) {
  const bool minds_case = with.is_true(0, false);
  std::vector<Value> seen, out;
  for (const Value& item : items_of(runtime, value)) {
    const Value key =
        sort_key(runtime, with.has(1) ? attribute_path(runtime, item, with[1]) : item, minds_case);
    const bool is_known = std::any_of(
        seen.begin(), seen.end(), [&](const Value& other) { return equals(runtime, key, other); });
    if (is_known) continue;
    seen.push_back(key);
    out.push_back(item);
  }
  return runtime.iterator(std::move(out));
}

Value extreme(Runtime& runtime, const Value& value, Bound& with, int sign) {
  const std::vector<Value> items = items_of(runtime, value);
  if (items.empty()) return Value::undefined("there is no item to choose");
  const auto key = [&](const Value& item) {
    return sort_key(runtime, with.has(1) ? attribute_path(runtime, item, with[1]) : item,
                    with.is_true(0, false));
  };
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    if (compare(runtime, key(items[i]), key(items[best])) * sign > 0) best = i;
  }
  return items[best];
}
Value filter_min(Runtime& runtime, const Value& value, Bound& with) {
  return extreme(runtime, value, with, -1);
}
Value filter_max(Runtime& runtime, const Value& value, Bound& with) {
  return extreme(runtime, value, with, 1);
}

Value filter_sum(Runtime& runtime, const Value& value, Bound& with) {
  Value sum = with.has(1) ? with[1] : Value::integer(0);
  const bool by_attribute = with.has(0) && !with[0].is_none();
  for (const Value& item : items_of(runtime, value))
    sum = add(runtime, sum, by_attribute ? attribute_path(runtime, item, with[0]) : item);
  return sum;
}

Value filter_batch(Runtime& runtime, const Value& value, Bound& with) {
  const int64_t size = with.whole(0, 0);
  if (size < 1) throw Fault("batch needs a whole number from 1 on");
  std::vector<Value> out, row;
  const auto end_row = [&] {
    out.push_back(runtime.list(std::move(row)));
    row.clear();
  };
  for (const Value& item : items_of(runtime, value)) {
    if (static_cast<int64_t>(row.size()) == size) end_row();
    row.push_back(item);
  }
  const bool is_filled = with.has(1) && !with[1].is_none();
  for (; is_filled && !row.empty() && static_cast<int64_t>(row.size()) < size; runtime.step())
    row.push_back(with[1]);
  if (!row.empty()) end_row();
  return runtime.iterator(std::move(out));
}

Value filter_slice(Runtime& runtime, const Value& value, Bound& with) {
  const std::vector<Value> items = items_of(runtime, value);
  const int64_t slices = with.whole(0, 0);
  if (slices < 1) throw Fault("slice needs a whole number from 1 on");
  runtime.step(slices);
  const auto count = static_cast<int64_t>(items.size());
  const int64_t each = count / slices, larger = count % slices;
  std::vector<Value> out;
  for (int64_t i = 0, begin = 0; i < slices; ++i) {
    const int64_t end = begin + each + (i < larger ? 1 : 0);
    std::vector<Value> part(items.begin() + begin, items.begin() + end);
    if (with.has(1) && !with[1].is_none() && i >= larger) part.push_back(with[1]);
    out.push_back(runtime.list(std::move(part)));
    begin = end;
  }
  return runtime.iterator(std::move(out));
}

Value filter_groupby(Runtime& runtime, const Value& value, Bound& with) {
  const bool minds_case = with.is_true(2, false);
  const auto plain_key = [&](const Value& item) {
    Value key = attribute_path(runtime, item, with[0]);
    return key.is_undefined() && with.has(1) ? with[1] : key;
  };
  const auto key = [&](const Value& item) {
    return sort_key(runtime, plain_key(item), minds_case);
  };
  const std::vector<Value> items = sorted(runtime, items_of(runtime, value), key, false);
  std::vector<Value> groups;
  for (size_t begin = 0; begin < items.size();) {
    size_t end = begin + 1;
    while (end < items.size() && equals(runtime, key(items[end]), key(items[begin]))) ++end;
    std::vector<Value> group(items.begin() + static_cast<std::ptrdiff_t>(begin),
                             items.begin() + static_cast<std::ptrdiff_t>(end));
    groups.push_back(Value::tuple({plain_key(items[begin]), runtime.list(std::move(group))}));
    begin = end;
  }
  return runtime.list(std::move(groups));
}

Value filter_attr(Runtime& runtime, const Value& value, Bound& with) {
  return attribute_only(runtime, value, need_text(with[0], "attr").bytes);
}

// -- filters and tests of each item

Value filter_map(Runtime& runtime, const Value& value, Bound& with) {
  std::vector<Value> out;
  if (!is_true(value)) return runtime.iterator({});
  Arguments& rest = with.rest();
  const auto named = [&](const char* name) {
    for (const auto& [known, argument] : rest.named) {
      if (known == name) return argument;
    }
    return Value();
  };
  const bool by_attribute = rest.positional.empty() && !named("attribute").is_none();
  if (!by_attribute && rest.positional.empty())
    throw Fault("map needs the name of a filter, or attribute=", ErrorKind::kModel);
  const Value attribute = named("attribute"), otherwise = named("default");
  for (const Value& item : items_of(runtime, value)) {
    if (by_attribute) {
      out.push_back(attribute_path(runtime, item, attribute, otherwise));
      continue;
    }
    Arguments arguments = rest;
    arguments.positional.erase(arguments.positional.begin());
    out.push_back(filter(runtime, need_text(rest.positional[0], "map").bytes, item, arguments));
  }
  return runtime.iterator(std::move(out));
}

Value chosen(Runtime& runtime, const Value& value, Bound& with, bool by_attribute, bool is_wanted) {
  std::vector<Value> out;
  if (!is_true(value)) return runtime.iterator({});
  const Arguments& rest = with.rest();
  const size_t place = by_attribute ? 1 : 0;  // of the test's name
  if (by_attribute && rest.positional.empty())
    throw Fault("selectattr and rejectattr need the name of an attribute", ErrorKind::kModel);
  for (const Value& item : items_of(runtime, value)) {
    const Value tested = by_attribute ? attribute_path(runtime, item, rest.positional[0]) : item;
    bool is_so = false;
    if (rest.positional.size() <= place) {
      is_so = is_true(tested);
    } else {
      Arguments arguments = rest;
      arguments.positional.erase(arguments.positional.begin(),
                                 arguments.positional.begin() + static_cast<int>(place) + 1);
      is_so = test(runtime, need_text(rest.positional[place], "a test's name").bytes, tested,
                   arguments);
    }
    if (is_so == is_wanted) out.push_back(item);
  }
  return runtime.iterator(std::move(out));
}
Value filter_select(Runtime& runtime, const Value& value, Bound& with) {
  return chosen(runtime, value, with, false, true);
}
Value filter_reject(Runtime& runtime, const Value& value, Bound& with) {
  return chosen(runtime, value, with, false, false);
}
Value filter_selectattr(Runtime& runtime, const Value& value, Bound& with) {
  return chosen(runtime, value, with, true, true);
}
Value filter_rejectattr(Runtime& runtime, const Value& value, Bound& with) {
  return chosen(runtime, value, with, true, false);
}

const std::vector<FilterInfo>& all_filters() {
  static const std::vector<FilterInfo> kFilters = {
      {"abs", {}, filter_abs},
      {"attr", {"name"}, filter_attr},
      {"batch", {"linecount", "fill_with"}, filter_batch},
      {"capitalize", {}, filter_capitalize},
      {"center", {"width"}, filter_center},
      {"count", {}, filter_length},
      {"d", {"default_value", "boolean"}, filter_default},
      {"default", {"default_value", "boolean"}, filter_default},
      {"dictsort", {"case_sensitive", "by", "reverse"}, filter_dictsort},
      {"e", {}, filter_escape},
      {"escape", {}, filter_escape},
      {"first", {}, filter_first},
      {"float", {"default"}, filter_float},
      {"forceescape", {}, filter_escape},
      {"format", {"*", "**"}, filter_format},
      {"groupby", {"attribute", "default", "case_sensitive"}, filter_groupby},
      {"indent", {"width", "first", "blank"}, filter_indent},
      {"int", {"default", "base"}, filter_int},
      {"items", {}, filter_items},
      {"join", {"d", "attribute"}, filter_join},
      {"last", {}, filter_last},
      {"length", {}, filter_length},
      {"list", {}, filter_list},
      {"lower", {}, filter_lower},
      {"map", {"*", "**"}, filter_map},
      {"max", {"case_sensitive", "attribute"}, filter_max},
      {"min", {"case_sensitive", "attribute"}, filter_min},
      {"reject", {"*", "**"}, filter_reject},
      {"rejectattr", {"*", "**"}, filter_rejectattr},
      {"replace", {"old", "new", "count"}, filter_replace},
      {"reverse", {}, filter_reverse},
      {"round", {"precision", "method"}, filter_round},
      {"safe", {}, filter_string},
      {"select", {"*", "**"}, filter_select},
      {"selectattr", {"*", "**"}, filter_selectattr},
      {"slice", {"slices", "fill_with"}, filter_slice},
      {"sort", {"reverse", "case_sensitive", "attribute"}, filter_sort},
      {"string", {}, filter_string},
      {"sum", {"attribute", "start"}, filter_sum},
      {"title", {}, filter_title},
      {"tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, filter_tojson},
      {"trim", {"chars"}, filter_trim},
      {"truncate", {"length", "killwords", "end", "leeway"}, filter_truncate},
      {"unique", {"case_sensitive", "attribute"}, filter_unique},
      {"upper", {}, filter_upper},
      {"wordcount", {}, filter_wordcount},
  };
  return kFilters;
}

const FilterInfo* find_filter(const std::string& name) {
  for (const FilterInfo& info : all_filters()) {
    if (name == info.name) return &info;
  }
  return nullptr;
}

}  // namespace

bool is_filter(const std::string& name) { return find_filter(name) != nullptr; }

Value filter(Runtime& runtime, const std::string& name, const Value& value, Arguments& arguments) {
  const FilterInfo* info = find_filter(name);
  if (info == nullptr) throw Fault(fmt::format("no filter \"{}\"", name), ErrorKind::kModel);
  const Runtime::Depth depth(runtime);
  Bound bound("the filter " + name, info->parameters, arguments);
  return info->apply(runtime, value, bound);
}

}  // namespace hone::jinja
