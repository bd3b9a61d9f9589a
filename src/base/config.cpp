#include "base/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/config_node.h"
#include "base/file.h"
#include "base/other_names.h"
#include "base/yaml_scalar.h"

namespace hone {
namespace {

constexpr uintmax_t kMaxBytes = 1 << 20;  // of a file: no configuration comes near

std::string quote(const std::string& text) {
  constexpr size_t kLongest = 60;
  return text.size() <= kLongest ? fmt::format("\"{}\"", text)
                                 : fmt::format("\"{}…\"", text.substr(0, kLongest));
}

}  // namespace

Config Config::load(const std::string& path, const std::vector<std::string>& overrides) {
  std::error_code ignored;  // a file that is not there is told of by read_file
  if (const uintmax_t bytes = std::filesystem::file_size(path, ignored);
      !ignored && bytes > kMaxBytes) {
    throw Error(ErrorKind::kUsage, Where{path},
                fmt::format("has {} bytes; a configuration has at most {}. Is this a data file?",
                            bytes, kMaxBytes));
  }
  if (std::filesystem::is_character_file(path, ignored))
    throw Error(ErrorKind::kUsage, Where{path}, "is a device, no configuration");
  return parse(read_file(path, ErrorKind::kUsage), path, overrides);
}

Config Config::parse(const std::string& text, const std::string& name,
                     const std::vector<std::string>& overrides) {
  auto root = Node::of_yaml(text, name, true);
  if (root->kind == Node::Kind::kScalar || root->kind == Node::Kind::kSequence) {
    throw Error(ErrorKind::kUsage, root->where,
                "a configuration is a mapping of keys to values, as \"model: {path: …}\"");
  }
  root->kind = Node::Kind::kMapping;
  for (const std::string& argument : overrides) root->override_with(argument);
  return Config(root);
}

Config Config::from_json(const Json& value, const std::string& name) {
  if (!value.is_object())
    throw Error(ErrorKind::kUsage, Where{name},
                fmt::format("expected an object, found {}", value.type_name()));
  return Config(Node::of_json(value, Where{name}));
}

bool Config::has(const std::string& key) const {
  node_->looked_for.push_back(key);
  return node_->find(key) != nullptr;
}

bool Config::is_list(const std::string& key) const {
  const auto node = node_->find(key);
  return node && node->kind == Node::Kind::kSequence;
}

std::vector<std::string> Config::keys() const {
  std::vector<std::string> out;
  for (const Node::Member& member : node_->members) out.push_back(member.key);
  return out;
}

Where Config::where(const std::string& key) const {
  const auto value = node_->find(key);
  return value ? value->where : node_->where;
}

Error Config::error(const std::string& key, const std::string& message) const {
  return Error(ErrorKind::kUsage, where(key), message);
}

namespace {

template <typename Node>
std::string describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kMapping:
      return "a section";
    case Node::Kind::kSequence:
      return "a list";
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kScalar:
      return node.is_quoted ? "the text " + quote(node.scalar) : quote(node.scalar);
  }
  return "";
}

template <typename Node>
Error wrong_type(const Node& node, const std::string& key, const std::string& expected) {
  return Error(ErrorKind::kUsage, node.where,
               fmt::format("\"{}\" must be {}; found {}", key, expected, describe(node)));
}

}  // namespace

std::string Config::get(const std::string& key, const std::string& fallback) {
  const auto node = node_->find(key);
  if (node && node->kind != Node::Kind::kScalar) throw wrong_type(*node, key, "a text");
  const std::string value = node ? node->scalar : fallback;
  node_->record(key, value);
  return value;
}

int64_t Config::get(const std::string& key, int64_t fallback) {
  const auto node = node_->find(key);
  std::optional<int64_t> value = fallback;
  if (node) {
    value.reset();
    if (node->kind == Node::Kind::kScalar && !node->is_quoted) value = whole_of(node->scalar);
    if (!value) throw wrong_type(*node, key, "a whole number");
  }
  node_->record(key, *value);
  return *value;
}

double Config::get(const std::string& key, double fallback) {
  const auto node = node_->find(key);
  std::optional<double> value = fallback;
  if (node) {
    value.reset();
    if (node->kind == Node::Kind::kScalar && !node->is_quoted) value = number_of(node->scalar);
    if (!value) throw wrong_type(*node, key, "a number");
  }
  node_->record(key, *value);
  return *value;
}

bool Config::get(const std::string& key, bool fallback) {
  const auto node = node_->find(key);
  std::optional<bool> value = fallback;
  if (node) {
    value.reset();
    if (node->kind == Node::Kind::kScalar && !node->is_quoted) value = bool_of(node->scalar);
    if (!value) throw wrong_type(*node, key, "true or false");
  }
  node_->record(key, *value);
  return *value;
}

std::vector<std::string> Config::get(const std::string& key,
                                     const std::vector<std::string>& fallback) {
  const auto node = node_->find(key);
  std::vector<std::string> value = fallback;
  if (node) {
    value.clear();
    if (node->kind == Node::Kind::kMapping) throw wrong_type(*node, key, "a list of texts");
    if (node->kind == Node::Kind::kScalar)
      value.push_back(node->scalar);  // one text is a list of one
    for (const auto& item : node->items) {
      if (item->kind != Node::Kind::kScalar) throw wrong_type(*item, key, "a list of texts");
      value.push_back(item->scalar);
    }
  }
  node_->record(key, value);
  return value;
}

std::vector<int64_t> Config::get(const std::string& key, const std::vector<int64_t>& fallback) {
  const auto node = node_->find(key);
  std::vector<int64_t> value = fallback;
  if (node) {
    value.clear();
    std::vector<std::shared_ptr<Node>> items = node->items;
    if (node->kind != Node::Kind::kSequence) items = {node};  // one number is a list of one
    for (const auto& item : items) {
      std::optional<int64_t> number;
      if (item->kind == Node::Kind::kScalar && !item->is_quoted) number = whole_of(item->scalar);
      if (!number) throw wrong_type(*item, key, "a list of whole numbers");
      value.push_back(*number);
    }
  }
  node_->record(key, value);
  return value;
}

namespace {

// Which of the keys present other programs use for `key`; "" if none.
std::string called(const std::string& key, const std::vector<std::string>& present) {
  for (const std::string& name : present) {
    const std::vector<std::string> meant = keys_called(name);
    if (std::find(meant.begin(), meant.end(), key) != meant.end()) return name;
  }
  return "";
}

std::string misspelt(const std::string& key, const std::vector<std::string>& present) {
  const std::string name = called(key, present);
  return name.empty() ? nearest(key, present) : name;
}

std::string meant(const std::string& found, const std::string& key) {
  return found.empty() ? "" : fmt::format("; is \"{}\" meant to be \"{}\"?", found, key);
}

}  // namespace

std::string Config::misnamed(const std::string& key) const {
  // The likeliest cause is a misspelt key, or section, or a key outside of its section.
  for (const std::string& advice : {meant(misspelt(key, node_->present()), key),
                                    meant(misspelt(node_->name, node_->beside), node_->name),
                                    meant(called(key, node_->beside), node_->name + "." + key)}) {
    if (!advice.empty()) return advice;
  }
  return "";
}

std::string Config::require(const std::string& key) {
  if (node_->find(key)) return get(key, "");
  node_->looked_for.push_back(key);
  std::string message = fmt::format("\"{}\" is missing", key);
  if (!node_->name.empty()) message += fmt::format(" in \"{}\"", node_->name);
  throw Error(ErrorKind::kUsage, node_->where, message + misnamed(key));
}

std::string Config::choice(const std::string& key, const std::string& fallback,
                           const std::vector<std::string>& allowed) {
  const std::string value = get(key, fallback);
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
  throw error(key, fmt::format("\"{}\" is {}; it must be one of {}{}", key, quote(value),
                               fmt::join(allowed, ", "), did_you_mean(value, allowed)));
}

Config Config::section(const std::string& key) {
  auto node = node_->find(key);
  if (node && node->kind != Node::Kind::kMapping) throw wrong_type(*node, key, "a section of keys");
  Node::Asked& entry = node_->ask(key);
  entry.is_section = true;
  if (entry.nodes.empty()) {
    if (!node) {
      node = std::make_shared<Node>();
      node->kind = Node::Kind::kMapping;
      node->where = node_->where;
      node->name = key;
      node->beside = node_->present();
    }
    entry.nodes.push_back(node);
  }
  return Config(entry.nodes[0]);
}

std::vector<Config> Config::sections(const std::string& key) {
  const auto node = node_->find(key);
  Node::Asked& entry = node_->ask(key);
  entry.is_list = true;
  if (node && entry.nodes.empty()) {
    if (node->kind == Node::Kind::kScalar)
      throw wrong_type(*node, key, "a section of keys, or a list of such");
    entry.nodes = node->kind == Node::Kind::kSequence ? node->items : std::vector{node};
    for (const auto& item : entry.nodes) {
      if (item->kind != Node::Kind::kMapping) throw wrong_type(*item, key, "a list of sections");
    }
  }
  std::vector<Config> out;
  for (const auto& item : entry.nodes) out.push_back(Config(item));
  return out;
}

void Config::refuse_unknown() const {
  Node::Places places;
  node_->collect("", places);
  node_->refuse_unknown(places);
}

Json Config::resolved_json() const { return node_->resolved(); }

std::string Config::resolved() const { return yaml_of(resolved_json()); }

}  // namespace hone
