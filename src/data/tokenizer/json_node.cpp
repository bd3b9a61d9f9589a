#include "data/tokenizer/json_node.h"

#include <fmt/format.h>

namespace hone {

JsonNode JsonNode::at(const std::string& key) const {
  const auto found = object().find(key);
  if (found == value_->end()) throw error(fmt::format("\"{}\" is missing", key));
  return {*found, file_, path_.empty() ? key : path_ + "." + key};
}

std::optional<JsonNode> JsonNode::find(const std::string& key) const {
  const auto found = object().find(key);
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return JsonNode(*found, file_, path_.empty() ? key : path_ + "." + key);
}

std::vector<JsonNode> JsonNode::items() const {
  std::vector<JsonNode> out;
  for (const Json& item : array())
    out.emplace_back(item, file_, fmt::format("{}[{}]", path_, out.size()));
  return out;
}

std::string JsonNode::text() const {
  if (!value_->is_string()) wrong_type("a string");
  return value_->get<std::string>();
}

bool JsonNode::boolean() const {
  if (!value_->is_boolean()) wrong_type("true or false");
  return value_->get<bool>();
}

int64_t JsonNode::integer(int64_t least, int64_t most) const {
  if (!value_->is_number_integer()) wrong_type("a whole number");
  const bool is_too_large =
      value_->is_number_unsigned() && value_->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  const int64_t number = value_->get<int64_t>();
  if (is_too_large || number < least || number > most)
    throw error(fmt::format("{} is not between {} and {}", value_->dump(), least, most));
  return number;
}

const Json& JsonNode::object() const {
  if (!value_->is_object()) wrong_type("an object");
  return *value_;
}

const Json& JsonNode::array() const {
  if (!value_->is_array()) wrong_type("an array");
  return *value_;
}

bool JsonNode::boolean_or(const std::string& key, bool fallback) const {
  const auto found = find(key);
  return found ? found->boolean() : fallback;
}

std::string JsonNode::text_or(const std::string& key, const std::string& fallback) const {
  const auto found = find(key);
  return found ? found->text() : fallback;
}

Error JsonNode::error(const std::string& message) const {
  return {ErrorKind::kModel, Where{file_, 0, 0},
          path_.empty() ? message : fmt::format("\"{}\": {}", path_, message)};
}

void JsonNode::wrong_type(const char* expected) const {
  std::string found = to_text(*value_);
  if (found.size() > 60) found = found.substr(0, 57) + "...";
  throw error(fmt::format("expected {}, found {}", expected, found));
}

}  // namespace hone
