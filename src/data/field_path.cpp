#include "data/field_path.h"

#include <algorithm>
#include <charconv>

namespace hone {
namespace {

const Json* step_into(const Json& value, const std::string& name) {
  if (value.is_object()) {
    const auto it = value.find(name);
    return it == value.end() ? nullptr : &*it;
  }
  size_t index = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
  const bool is_index = value.is_array() && error == std::errc() &&
                        end == name.data() + name.size() && index < value.size();
  return is_index ? &value[index] : nullptr;
}

}  // namespace

const Json* value_at(const Json& fields, const std::string& name) {
  if (const Json* whole = step_into(fields, name)) return whole;
  const Json* value = &fields;
  for (size_t start = 0; value != nullptr && start <= name.size();) {
    const size_t dot = std::min(name.find('.', start), name.size());
    value = step_into(*value, name.substr(start, dot - start));
    start = dot + 1;
  }
  return value;
}

}  // namespace hone
