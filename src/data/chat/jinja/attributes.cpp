#include "data/chat/jinja/attributes.h"

#include <fmt/format.h>

#include "data/chat/jinja/methods.h"
#include "data/chat/jinja/operators.h"

namespace hone::jinja {
namespace {

Value missing_attribute(const Value& value, const std::string& name) {
  return Value::undefined(fmt::format("a {} has no \"{}\"", value.type(), name));
}

std::optional<Value> own_attribute(Runtime& runtime, const Value& value, const std::string& name) {
  refuse_undefined(value);
  if (value.is_object()) return value.object().attribute(runtime, name);
  return method_of(runtime, value, name);
}

std::vector<std::string> split_text_at(const std::string& text, char separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t end; (end = text.find(separator, begin)) != std::string::npos; begin = end + 1)
    parts.push_back(text.substr(begin, end - begin));
  parts.push_back(text.substr(begin));
  return parts;
}

bool is_whole_name(const std::string& name) {
  return !name.empty() && name.size() < 19 &&
         name.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

Value attribute(Runtime& runtime, const Value& value, const std::string& name) {
  if (std::optional<Value> own = own_attribute(runtime, value, name)) return *own;
  if (value.is_dict()) {
    if (const Value* found = find_key(runtime, *value.dictionary(), Value::text(name)))
      return *found;
  }
  return missing_attribute(value, name);
}

Value attribute_only(Runtime& runtime, const Value& value, const std::string& name) {
  if (value.is_undefined()) return value;
  if (std::optional<Value> own = own_attribute(runtime, value, name)) return *own;
  return missing_attribute(value, name);
}

Value subscript(Runtime& runtime, const Value& value, const Value& key) {
  if (std::optional<Value> found = item(runtime, value, key)) return *found;
  if (!key.is_text())
    return Value::undefined(
        fmt::format("a {} has no item {}", value.type(),
                    key.is_whole() ? std::to_string(key.whole()) : "of this key"));
  if (std::optional<Value> own = own_attribute(runtime, value, key.text().bytes)) return *own;
  return missing_attribute(value, key.text().bytes);
}

Value attribute_path(Runtime& runtime, const Value& value, const Value& path,
                     const Value& otherwise) {
  if (path.is_none()) return value;
  if (!path.is_text()) {
    const Value found = subscript(runtime, value, path);
    return found.is_undefined() && !otherwise.is_none() ? otherwise : found;
  }
  Value now = value;
  for (const std::string& part : split_text_at(path.text().bytes, '.')) {
    const Value key = is_whole_name(part) ? Value::integer(std::stoll(part)) : Value::text(part);
    now = subscript(runtime, now, key);
    if (now.is_undefined() && !otherwise.is_none()) now = otherwise;
  }
  return now;
}

std::vector<Value> attribute_paths(Runtime& runtime, const Value& value, const Value& paths) {
  if (!paths.is_text()) return {attribute_path(runtime, value, paths)};
  std::vector<Value> found;
  for (const std::string& path : split_text_at(paths.text().bytes, ','))
    found.push_back(attribute_path(runtime, value, Value::text(path)));
  return found;
}

}  // namespace hone::jinja
