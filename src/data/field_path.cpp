#include "data/field_path.h"

#include <algorithm>
#include <charconv>

namespace hone {
namespace {

bool has_member(const Json& value, const std::string& name, const std::string& text) {
  if (!value.is_object()) return false;
  const auto it = value.find(name);
  return it != value.end() && it->is_string() && it->get_ref<const std::string&>() == text;
}

// "[lang=en]": the first element whose member says so; a value that is no list counts as one.
const Json* choose(const Json& value, const std::string& condition) {
  const size_t equals = condition.find('=');
  const std::string name = condition.substr(0, equals), text = condition.substr(equals + 1);
  if (!value.is_array()) return has_member(value, name, text) ? &value : nullptr;
  const auto it = std::find_if(value.begin(), value.end(),
                               [&](const Json& item) { return has_member(item, name, text); });
  return it == value.end() ? nullptr : &*it;
}

const Json* step_into(const Json& value, const std::string& name) {
  if (value.is_object()) {
    if (const auto it = value.find(name); it != value.end()) return &*it;
  }
  const size_t open = name.find('[');
  if (name.ends_with(']') && name.find('=', std::min(open, name.size())) != name.npos) {
    const Json* list = step_into(value, name.substr(0, open));
    if (list == nullptr) return nullptr;
    return choose(*list, name.substr(open + 1, name.size() - open - 2));
  }
  size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  const bool is_index = value.is_array() && error == std::errc() &&
                        end == name.data() + name.size() && index < value.size();
  return is_index ? &value[index] : nullptr;
}

// Behind a step of a path: its dot, but not one in brackets.
size_t step_end(const std::string& name, size_t start) {
  const size_t end = std::min(name.find_first_of(".[", start), name.size());
  if (end == name.size() || name[end] == '.') return end;
  return std::min(name.find('.', std::min(name.find(']', end), name.size())), name.size());
}

}  // namespace

const Json* value_at(const Json& fields, const std::string& name) {
  if (const Json* whole = step_into(fields, name)) return whole;
  const Json* value = &fields;
  for (size_t start = 0; value != nullptr && start <= name.size();) {
    const size_t dot = step_end(name, start);
    value = step_into(*value, name.substr(start, dot - start));
    start = dot + 1;
  }
  return value;
}

}  // namespace hone
