// A value inside a JSON file with its path, so that a wrong type names the file and the key:
// tokenizer.json: "model.vocab": ….
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace hone {

class JsonNode {
 public:
  // `value` must outlive this.
  JsonNode(const Json& value, std::string file, std::string path = "")
      : value_(&value), file_(std::move(file)), path_(std::move(path)) {}

  const Json& json() const { return *value_; }
  const std::string& file() const { return file_; }

  JsonNode at(const std::string& key) const;                   // an error where absent
  std::optional<JsonNode> find(const std::string& key) const;  // nothing where absent or null
  std::vector<JsonNode> items() const;                         // of an array

  std::string text() const;
  bool boolean() const;
  int64_t integer(int64_t least, int64_t most) const;
  const Json& object() const;
  const Json& array() const;

  std::string type() const { return at("type").text(); }
  bool boolean_or(const std::string& key, bool fallback) const;
  std::string text_or(const std::string& key, const std::string& fallback) const;

  Error error(const std::string& message) const;  // kModel

 private:
  const Json* value_;
  std::string file_, path_;

  [[noreturn]] void wrong_type(const char* expected) const;
};

}  // namespace hone
