#include "data/chat/jinja/operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/utf8.h"
#include "data/chat/jinja/format.h"

namespace hone::jinja {
namespace {

[[noreturn]] void cannot(const char* what, const Value& a, const Value& b) {
  refuse_undefined(a);
  refuse_undefined(b);
  throw Fault(fmt::format("a {} and a {} cannot be {}", a.type(), b.type(), what));
}

[[noreturn]] void too_large() { throw Fault("a whole number beyond 64 bits", ErrorKind::kModel); }

int64_t floor_quotient(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

void refuse_zero(const Value& b) {
  if (b.number() == 0) throw Fault("division by zero");
}

void refuse_overflow_of_division(const Value& a, const Value& b) {
  if (a.is_whole() && a.whole() == std::numeric_limits<int64_t>::min() && b.whole() == -1)
    too_large();
}

template <typename T>
int order(const T& a, const T& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}

// Whole numbers are compared as such: a double holds 53 bits only.
int order_of_numbers(const Value& a, const Value& b) {
  if (a.is_whole() && b.is_whole()) return order(a.whole(), b.whole());
  return order(a.number(), b.number());
}

bool are_equal_items(Runtime& runtime, const std::vector<Value>& a, const std::vector<Value>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!equals(runtime, a[i], b[i])) return false;
  }
  return true;
}

bool are_equal_dicts(Runtime& runtime, const Dictionary& a, const Dictionary& b) {
  if (a.items.size() != b.items.size()) return false;
  return std::all_of(a.items.begin(), a.items.end(), [&](const auto& entry) {
    const Value* other = find_key(runtime, b, entry.first);
    return other != nullptr && equals(runtime, entry.second, *other);
  });
}

int compare_items(Runtime& runtime, const std::vector<Value>& a, const std::vector<Value>& b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (!equals(runtime, a[i], b[i])) return compare(runtime, a[i], b[i]);
  }
  return order(a.size(), b.size());
}

// Code points compare as their UTF-8 does.
int compare_texts(const Text& a, const Text& b) { return order(a.bytes, b.bytes); }

Value repeated(Runtime& runtime, const Value& value, int64_t count) {
  const auto times = static_cast<size_t>(std::max<int64_t>(count, 0));
  if (value.is_text()) {
    const Text& text = value.text();
    if (times > 0 && text.size() > static_cast<size_t>(kMostTextBytes) / times)
      runtime.check_text(static_cast<size_t>(kMostTextBytes) + 1);
    Text out;
    for (size_t i = 0; i < times && !text.empty(); ++i) out.append(text);
    return runtime.text(std::move(out));
  }
  const std::vector<Value>& items = value.items();
  if (times > 0 && items.size() > static_cast<size_t>(kMostSteps) / times)
    runtime.step(kMostSteps + 1);
  std::vector<Value> out;
  for (size_t i = 0; i < times && !items.empty(); ++i)
    out.insert(out.end(), items.begin(), items.end());
  return value.is_list() ? runtime.list(std::move(out)) : Value::tuple(std::move(out));
}

bool can_repeat(const Value& value) { return value.is_text() || value.is_sequence(); }

Value character(const Text& text, int64_t index) {
  const std::vector<size_t> starts = character_starts(text.bytes);
  return Value::text(text.part(starts[index], starts[index + 1]));
}

Value joined(Runtime& runtime, const Value& a, const Value& b) {
  std::vector<Value> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.is_list() ? runtime.list(std::move(items)) : Value::tuple(std::move(items));
}

// Which of `count` items a slice names.
std::vector<int64_t> slice_indices(int64_t count, const Value& start, const Value& stop,
                                   const Value& step) {
  const auto number = [](const Value& value, int64_t otherwise) {
    if (value.is_none()) return otherwise;
    refuse_undefined(value);
    if (!value.is_whole())
      throw Fault(fmt::format("a slice needs whole numbers; found a {}", value.type()));
    return value.whole();
  };
  const int64_t by = number(step, 1);
  if (by == 0) throw Fault("a slice with the step 0");
  const int64_t lowest = by > 0 ? 0 : -1, highest = by > 0 ? count : count - 1;
  const auto within = [&](int64_t at) {
    return std::clamp(at < 0 ? at + count : at, lowest, highest);
  };
  const int64_t from = start.is_none() ? (by > 0 ? lowest : highest) : within(number(start, 0));
  const int64_t to = stop.is_none() ? (by > 0 ? highest : lowest) : within(number(stop, 0));
  std::vector<int64_t> indices;
  for (int64_t at = from; by > 0 ? at < to : at > to;) {
    indices.push_back(at);
    if (by > count || by < -count) break;
    at += by;
  }
  return indices;
}

Value view_item(const View& view, size_t i) {
  const auto& [key, value] = view.of->items[i];
  if (view.which == View::Which::kKeys) return key;
  if (view.which == View::Which::kValues) return value;
  return Value::tuple({key, value});
}

void write_items(Runtime& runtime, const std::vector<Value>& items, Writer& out) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append(", ");
    out.append(repr(runtime, items[i]));
  }
}

void write_entries(Runtime& runtime, const std::vector<std::pair<Value, Value>>& entries,
                   Writer& out) {
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out.append(", ");
    out.append(repr(runtime, entries[i].first));
    out.append(": ");
    out.append(repr(runtime, entries[i].second));
  }
}

void write_view(Runtime& runtime, const View& view, Writer& out) {
  static constexpr const char* kNames[] = {"dict_keys([", "dict_values([", "dict_items(["};
  out.append(kNames[static_cast<int>(view.which)]);
  std::vector<Value> items;
  for (size_t i = 0; i < view.of->items.size(); ++i) items.push_back(view_item(view, i));
  write_items(runtime, items, out);
  out.append("])");
}

void write_object(Runtime& runtime, Object& object, Writer& out) {
  const auto* attributes = object.attributes();
  if (attributes == nullptr)
    throw Fault(
        fmt::format("a {} is no text to be written; was a call's () forgotten?", object.type()),
        ErrorKind::kModel);
  out.append("<Namespace {");
  for (size_t i = 0; i < attributes->size(); ++i) {
    if (i > 0) out.append(", ");
    out.append(quoted(Text((*attributes)[i].first)));
    out.append(": ");
    out.append(repr(runtime, (*attributes)[i].second));
  }
  out.append("}>");
}

void write_tuple(Runtime& runtime, const Value& value, Writer& out) {
  out.append("(");
  write_items(runtime, value.items(), out);
  out.append(value.items().size() == 1 ? ",)" : ")");
}

// Python's layout of the shortest digits that give the number back.
std::string laid_out(const std::string& digits, int exponent) {
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    std::string out = digits.substr(0, 1);
    if (count > 1) out += "." + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) return "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1)
    return digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  return digits.substr(0, static_cast<size_t>(exponent) + 1) + "." +
         digits.substr(static_cast<size_t>(exponent) + 1);
}

}  // namespace

void refuse_undefined(const Value& value) {
  if (value.is_undefined()) throw Fault(value.why());
}

const Text& need_text(const Value& value, const std::string& what) {
  refuse_undefined(value);
  if (!value.is_text()) throw Fault(fmt::format("{} needs a text; found a {}", what, value.type()));
  return value.text();
}

bool is_true(const Value& value) {
  if (value.is_none() || value.is_undefined()) return false;
  if (value.is_whole()) return value.whole() != 0;
  if (value.is_float()) return value.number() != 0;
  return !has_length(value) || length(value) > 0;
}

bool has_length(const Value& value) {
  return value.is_text() || value.is_sequence() || value.is_dict() || value.is_range() ||
         value.is_view() || value.is_undefined();
}

int64_t length(const Value& value) {
  if (value.is_undefined()) return 0;
  if (value.is_text()) return static_cast<int64_t>(count_code_points(value.text().bytes));
  if (value.is_sequence()) return static_cast<int64_t>(value.items().size());
  if (value.is_dict()) return static_cast<int64_t>(value.entries().size());
  if (value.is_range()) return value.range().count;
  if (value.is_view()) return static_cast<int64_t>(value.view().of->items.size());
  throw Fault(fmt::format("a {} has no length{}", value.type(),
                          value.is_iterator() ? "; put |list before it" : ""));
}

bool equals(Runtime& runtime, const Value& a, const Value& b) {
  const Runtime::Depth depth(runtime);
  runtime.step();
  if (a.is_number() && b.is_number()) return order_of_numbers(a, b) == 0 && !std::isnan(a.number());
  if (a.is_text() && b.is_text()) return a.text().bytes == b.text().bytes;
  if ((a.is_list() && b.is_list()) || (a.is_tuple() && b.is_tuple()))
    return are_equal_items(runtime, a.items(), b.items());
  if (a.is_dict() && b.is_dict()) return are_equal_dicts(runtime, *a.dictionary(), *b.dictionary());
  if (a.is_object() && b.is_object()) return &a.object() == &b.object();
  if (a.is_range() && b.is_range())
    return are_equal_items(runtime, items_of(runtime, a), items_of(runtime, b));
  if (a.is_iterator() && b.is_iterator()) return &a.iterator() == &b.iterator();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

int compare(Runtime& runtime, const Value& a, const Value& b) {
  const Runtime::Depth depth(runtime);
  runtime.step();
  if (a.is_number() && b.is_number()) return order_of_numbers(a, b);
  if (a.is_text() && b.is_text()) return compare_texts(a.text(), b.text());
  if ((a.is_list() && b.is_list()) || (a.is_tuple() && b.is_tuple()))
    return compare_items(runtime, a.items(), b.items());
  cannot("put in order", a, b);
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is_text()) {
    const Text& part = need_text(item, "\"in\" a text");
    return container.text().bytes.find(part.bytes) != std::string::npos;
  }
  if (container.is_dict()) return find_key(runtime, *container.dictionary(), item) != nullptr;
  const std::vector<Value> items = items_of(runtime, container);
  return std::any_of(items.begin(), items.end(),
                     [&](const Value& other) { return equals(runtime, other, item); });
}

bool is_iterable(const Value& value) { return has_length(value) || value.is_iterator(); }

std::vector<Value> items_of(Runtime& runtime, const Value& value) {
  std::vector<Value> items;
  if (value.is_sequence()) return value.items();
  if (value.is_undefined()) return items;
  if (value.is_iterator()) {
    Iterator& iterator = value.iterator();
    items.assign(iterator.items.begin() + static_cast<std::ptrdiff_t>(iterator.next),
                 iterator.items.end());
    iterator.next = iterator.items.size();
    return items;
  }
  if (!is_iterable(value)) throw Fault(fmt::format("a {} has no items", value.type()));
  const int64_t count = length(value);
  runtime.step(value.is_text() ? 2 * count : count);
  items.reserve(static_cast<size_t>(count));
  if (value.is_text()) {
    const std::vector<size_t> starts = character_starts(value.text().bytes);
    for (size_t i = 0; i + 1 < starts.size(); ++i)
      items.push_back(Value::text(value.text().part(starts[i], starts[i + 1])));
  }
  if (value.is_dict()) {
    for (const auto& entry : value.entries()) items.push_back(entry.first);
  }
  for (int64_t i = 0; i < count && value.is_range(); ++i)
    items.push_back(Value::integer(value.range().start + i * value.range().step));
  for (int64_t i = 0; i < count && value.is_view(); ++i)
    items.push_back(view_item(value.view(), static_cast<size_t>(i)));
  return items;
}

Value add(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_whole() && b.is_whole()) {
    int64_t sum = 0;
    if (__builtin_add_overflow(a.whole(), b.whole(), &sum)) too_large();
    return Value::integer(sum);
  }
  if (a.is_number() && b.is_number()) return Value::number(a.number() + b.number());
  if (a.is_text() && b.is_text()) {
    Writer out(runtime);
    out.append(a.text());
    out.append(b.text());
    return out.value();
  }
  if ((a.is_list() && b.is_list()) || (a.is_tuple() && b.is_tuple())) return joined(runtime, a, b);
  cannot("added", a, b);
}

Value subtract(const Value& a, const Value& b) {
  if (!a.is_number() || !b.is_number()) cannot("subtracted", a, b);
  if (!a.is_whole() || !b.is_whole()) return Value::number(a.number() - b.number());
  int64_t difference = 0;
  if (__builtin_sub_overflow(a.whole(), b.whole(), &difference)) too_large();
  return Value::integer(difference);
}

Value multiply(Runtime& runtime, const Value& a, const Value& b) {
  if (can_repeat(a) && b.is_whole()) return repeated(runtime, a, b.whole());
  if (can_repeat(b) && a.is_whole()) return repeated(runtime, b, a.whole());
  if (!a.is_number() || !b.is_number()) cannot("multiplied", a, b);
  if (!a.is_whole() || !b.is_whole()) return Value::number(a.number() * b.number());
  int64_t product = 0;
  if (__builtin_mul_overflow(a.whole(), b.whole(), &product)) too_large();
  return Value::integer(product);
}

Value divide(const Value& a, const Value& b) {
  if (!a.is_number() || !b.is_number()) cannot("divided", a, b);
  refuse_zero(b);
  return Value::number(a.number() / b.number());
}

Value floor_divide(const Value& a, const Value& b) {
  if (!a.is_number() || !b.is_number()) cannot("divided", a, b);
  refuse_zero(b);
  if (!a.is_whole() || !b.is_whole()) return Value::number(std::floor(a.number() / b.number()));
  refuse_overflow_of_division(a, b);
  return Value::integer(floor_quotient(a.whole(), b.whole()));
}

Value modulo(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_text()) {
    Arguments values;
    values.positional = b.is_tuple() ? b.items() : std::vector<Value>{b};
    return percent_format(runtime, a.text(), values);
  }
  if (!a.is_number() || !b.is_number()) cannot("divided", a, b);
  refuse_zero(b);
  if (a.is_whole() && b.is_whole()) {
    refuse_overflow_of_division(a, b);
    return Value::integer(a.whole() - b.whole() * floor_quotient(a.whole(), b.whole()));
  }
  double rest = std::fmod(a.number(), b.number());
  if (rest != 0 && (rest < 0) != (b.number() < 0)) rest += b.number();
  return Value::number(rest);
}

Value power(const Value& a, const Value& b) {
  if (!a.is_number() || !b.is_number()) cannot("raised", a, b);
  if (!a.is_whole() || !b.is_whole() || b.whole() < 0) {
    if (a.number() == 0 && b.number() < 0) throw Fault("zero to a negative power");
    return Value::number(std::pow(a.number(), b.number()));
  }
  int64_t result = 1, base = a.whole();
  for (int64_t exponent = b.whole(); exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) too_large();
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) too_large();
  }
  return Value::integer(result);
}

Value negate(const Value& value) {
  refuse_undefined(value);
  if (value.is_float()) return Value::number(-value.number());
  if (!value.is_whole()) throw Fault(fmt::format("a {} has no sign", value.type()));
  if (value.whole() == std::numeric_limits<int64_t>::min()) too_large();
  return Value::integer(-value.whole());
}

Value identity(const Value& value) {
  refuse_undefined(value);
  if (!value.is_number()) throw Fault(fmt::format("a {} has no sign", value.type()));
  return value.is_boolean() ? Value::integer(value.whole()) : value;
}

const Value* find_key(const Dictionary& dict, std::string_view key) {
  for (const auto& [name, value] : dict.items) {
    if (name.is_text() && name.text().bytes == key) return &value;
  }
  return nullptr;
}

const Value* find_key(Runtime& runtime, const Dictionary& dict, const Value& key) {
  runtime.step(1 + static_cast<int64_t>(dict.items.size()) / 16);
  if (key.is_text()) return find_key(dict, key.text().bytes);
  for (const auto& [name, value] : dict.items) {
    if (!name.is_text() && equals(runtime, name, key)) return &value;
  }
  return nullptr;
}

std::optional<Value> item(Runtime& runtime, const Value& value, const Value& key) {
  refuse_undefined(value);
  if (value.is_dict()) {
    const Value* found = find_key(runtime, *value.dictionary(), key);
    return found != nullptr ? std::optional(*found) : std::nullopt;
  }
  if (!key.is_whole() || !(value.is_text() || value.is_sequence() || value.is_range())) return {};
  const int64_t count = length(value);
  const int64_t at = key.whole() < 0 ? key.whole() + count : key.whole();
  if (at < 0 || at >= count) return {};
  if (value.is_text()) return character(value.text(), at);
  if (value.is_range()) return Value::integer(value.range().start + at * value.range().step);
  return value.items()[static_cast<size_t>(at)];
}

Value slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
            const Value& step) {
  refuse_undefined(value);
  if (!value.is_text() && !value.is_sequence() && !value.is_range())
    return Value::undefined(fmt::format("a {} cannot be sliced", value.type()));
  const std::vector<int64_t> indices = slice_indices(length(value), start, stop, step);
  if (value.is_range()) {
    const Range& range = value.range();
    const int64_t by = step.is_none() ? 1 : step.whole();
    const int64_t first = indices.empty() ? 0 : indices.front();
    const int64_t along = indices.size() > 1 ? range.step * by : 1;
    return Value::range(
        {range.start + first * range.step, along, static_cast<int64_t>(indices.size())});
  }
  if (value.is_text()) {
    const std::vector<size_t> starts = character_starts(value.text().bytes);
    Text out;
    for (const int64_t i : indices)
      out.append(
          value.text().part(starts[static_cast<size_t>(i)], starts[static_cast<size_t>(i) + 1]));
    return runtime.text(std::move(out));
  }
  std::vector<Value> items;
  for (const int64_t i : indices) items.push_back(value.items()[static_cast<size_t>(i)]);
  return value.is_list() ? runtime.list(std::move(items)) : Value::tuple(std::move(items));
}

std::string repr_of(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  if (value == 0) return std::signbit(value) ? "-0.0" : "0.0";
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, std::abs(value), std::chars_format::scientific);
  const std::string shortest(buffer, end.ptr);  // "1.5e-05"
  const size_t e = shortest.find('e');
  const std::string digits = shortest.substr(0, 1) + (e > 2 ? shortest.substr(2, e - 2) : "");
  return (value < 0 ? "-" : "") + laid_out(digits, std::stoi(shortest.substr(e + 1)));
}

Text to_text(Runtime& runtime, const Value& value) {
  if (value.is_text()) return value.text();
  if (value.is_undefined()) return {};
  return repr(runtime, value);
}

Text repr(Runtime& runtime, const Value& value) {
  const Runtime::Depth depth(runtime);
  runtime.step();
  if (value.is_none()) return Text("None");
  if (value.is_undefined()) return Text("Undefined");
  if (value.is_boolean()) return Text(value.as_boolean() ? "True" : "False");
  if (value.is_integer()) return Text(std::to_string(value.whole()));
  if (value.is_float()) return Text(repr_of(value.number()));
  if (value.is_text()) return quoted(value.text());
  Writer out(runtime);
  if (value.is_list()) {
    out.append("[");
    write_items(runtime, value.items(), out);
    out.append("]");
  } else if (value.is_tuple()) {
    write_tuple(runtime, value, out);
  } else if (value.is_dict()) {
    out.append("{");
    write_entries(runtime, value.entries(), out);
    out.append("}");
  } else if (value.is_view()) {
    write_view(runtime, value.view(), out);
  } else if (value.is_iterator() || value.is_range()) {
    throw Fault(
        fmt::format("a {} is no text to be written; put |list or |join before it", value.type()));
  } else {
    write_object(runtime, value.object(), out);
  }
  return out.take();
}

Value replaced(Runtime& runtime, const Text& text, const Text& old, const Text& by, int64_t most) {
  Writer out(runtime);
  size_t done = 0;
  for (size_t at = 0; most != 0 && at <= text.size();) {
    const size_t found = text.bytes.find(old.bytes, at);
    if (found == std::string::npos) break;
    out.append(text.part(done, found));
    out.append(by);
    done = found + old.size();
    at = done;
    if (old.empty() && at < text.size()) next_code_point(text.bytes, at);
    if (old.empty() && found == text.size()) break;
    if (most > 0) --most;
  }
  out.append(text.part(done, text.size()));
  return out.value();
}

std::vector<Value> sorted(Runtime& runtime, std::vector<Value> items,
                          const std::function<Value(const Value&)>& key, bool is_reverse) {
  std::vector<std::pair<Value, Value>> keyed;
  keyed.reserve(items.size());
  for (Value& item : items) keyed.emplace_back(key(item), item);
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return is_reverse ? compare(runtime, b.first, a.first) < 0
                      : compare(runtime, a.first, b.first) < 0;
  });
  for (size_t i = 0; i < items.size(); ++i) items[i] = std::move(keyed[i].second);
  return items;
}

}  // namespace hone::jinja
