#include "data/chat/jinja/value.h"

#include <fmt/format.h>

#include <algorithm>

namespace hone::jinja {
namespace {

int checked_depth(int depth) {
  if (depth <= kMostNested) return depth;
  throw Fault(fmt::format("lists and dicts nested deeper than {} levels", kMostNested),
              ErrorKind::kModel);
}

int depth_around(const std::vector<Value>& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return checked_depth(depth + 1);
}

std::shared_ptr<const Sequence> sequence_of(std::vector<Value> items) {
  const int depth = depth_around(items);
  return std::make_shared<const Sequence>(Sequence{std::move(items), depth});
}

Value whole_number(const Json& json) {
  if (json.is_number_unsigned() && json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX))
    throw Fault(fmt::format("the number {} is larger than {}", json.get<uint64_t>(), INT64_MAX));
  return Value::integer(json.get<int64_t>());
}

}  // namespace

Value Value::undefined(std::string why) {
  return Value(Held(std::make_shared<const Undefined>(Undefined{std::move(why)})));
}
Value Value::text(Text value) {
  return Value(Held(std::make_shared<const Text>(std::move(value))));
}
Value Value::list(std::vector<Value> items) {
  return Value(Held(List{sequence_of(std::move(items))}));
}
Value Value::tuple(std::vector<Value> items) {
  return Value(Held(Tuple{sequence_of(std::move(items))}));
}
Value Value::dict(std::vector<std::pair<Value, Value>> items) {
  int depth = 0;
  for (const auto& [key, value] : items) depth = std::max({depth, key.depth(), value.depth()});
  depth = checked_depth(depth + 1);
  return Value(Held(std::make_shared<const Dictionary>(Dictionary{std::move(items), depth})));
}
Value Value::range(const Range& range) { return Value(Held(std::make_shared<const Range>(range))); }
Value Value::view(View view) { return Value(Held(std::make_shared<const View>(std::move(view)))); }
Value Value::iterator(std::vector<Value> items) {
  const int depth = depth_around(items);
  return Value(Held(std::make_shared<Iterator>(Iterator{std::move(items), 0, depth})));
}

Value Value::of_json(const Json& json, char mark, const std::string& unmarked) {
  switch (json.type()) {
    case Json::value_t::boolean:
      return boolean(json.get<bool>());
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
      return whole_number(json);
    case Json::value_t::number_float:
      return number(json.get<double>());
    case Json::value_t::string:
      return text(Text(json.get_ref<const std::string&>(), mark));
    case Json::value_t::array: {
      std::vector<Value> items;
      for (const Json& item : json) items.push_back(of_json(item, mark));
      return list(std::move(items));
    }
    case Json::value_t::object: {
      std::vector<std::pair<Value, Value>> entries;
      for (const auto& [key, value] : json.items()) {
        const char of_value = !unmarked.empty() && key == unmarked ? '\0' : mark;
        entries.emplace_back(text(Text(key, mark)), of_json(value, of_value));
      }
      return dict(std::move(entries));
    }
    default:
      return {};
  }
}

const std::vector<Value>& Value::items() const {
  return is_list() ? get<List>().of->items : get<Tuple>().of->items;
}

int Value::depth() const {
  if (is_list()) return get<List>().of->depth;
  if (is_tuple()) return get<Tuple>().of->depth;
  if (is_dict()) return dictionary()->depth;
  if (is_view()) return view().of->depth + 1;
  if (is_iterator()) return iterator().depth;
  return 0;
}

std::string Value::type() const {
  static constexpr const char* kNames[] = {"NoneType",  "Undefined", "bool",  "int",  "float",
                                           "str",       "list",      "tuple", "dict", "range",
                                           "dict view", "generator", "object"};
  return is_object() ? object().type() : kNames[held_.index()];
}

Value Object::call(Runtime& /*runtime*/, Arguments& /*arguments*/) {
  throw Fault(fmt::format("a {} cannot be called", type()));
}

}  // namespace hone::jinja
