// Values of a configuration that the command line, or another configuration, gives.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/config_node.h"
#include "base/yaml_scalar.h"

namespace hone {
namespace {

// Puts `value` at the dotted `path`, making the sections that lack on the way.
template <typename Node>
void assign(Node& node, const std::string& path, const Where& where, std::shared_ptr<Node> value) {
  const size_t dot = path.find('.');
  const std::string key = path.substr(0, dot);
  const auto refuse = [&](const std::string& why) -> Error {
    return Error(ErrorKind::kUsage, where, why);
  };
  if (key.empty()) throw refuse("a key is empty; write section.key=value");
  std::shared_ptr<Node>* slot = nullptr;
  if (node.kind == Node::Kind::kSequence) {
    const std::optional<int64_t> index = whole_of(key);
    if (!index || *index < 0 || *index >= static_cast<int64_t>(node.items.size())) {
      throw refuse(
          fmt::format("\"{}\" is a list of {}; \"{}\" is no position in it (they count from 0)",
                      node.name, node.items.size(), key));
    }
    slot = &node.items[static_cast<size_t>(*index)];
  } else if (node.kind == Node::Kind::kScalar) {
    throw refuse(
        fmt::format("\"{}\" is a value, not a section, so it has no key \"{}\"", node.name, key));
  } else {
    node.kind = Node::Kind::kMapping;
    const auto it = std::find_if(node.members.begin(), node.members.end(),
                                 [&](const auto& member) { return member.key == key; });
    if (it != node.members.end()) {
      it->key_where = where;
      slot = &it->value;
    } else {
      auto empty = std::make_shared<Node>();
      empty->where = where;
      empty->name = key;
      slot = &node.members.emplace_back(typename Node::Member{key, where, empty}).value;
    }
  }
  if (dot == std::string::npos) {
    value->name = key;
    *slot = std::move(value);
  } else {
    assign(**slot, path.substr(dot + 1), where, std::move(value));
  }
}

// `separator=,` and `separator=|` mean the character, whatever YAML makes of it. "~" is null, and
// brackets and quotes have their meaning where they are closed.
bool is_punctuation(std::string_view text) {
  if (text.size() == 1) return std::ispunct(static_cast<unsigned char>(text[0])) && text != "~";
  return text.starts_with(',') ||
         (!text.empty() && text.find_first_not_of(" !#$%&*+,-./:;<=>?@\\^_`|") == text.npos &&
          text.find_first_not_of(' ') != text.npos);
}

}  // namespace

std::shared_ptr<Config::Node> Config::Node::copy() const {
  const auto out = std::make_shared<Node>();
  out->kind = kind;
  out->scalar = scalar;
  out->is_quoted = is_quoted;
  out->where = where;
  out->name = name;
  for (const std::shared_ptr<Node>& item : items) out->items.push_back(item->copy());
  for (const Member& member : members)
    out->members.push_back({member.key, member.key_where, member.value->copy()});
  return out;
}

void Config::Node::put(Member member) {
  const auto it = std::find_if(members.begin(), members.end(),
                               [&](const Member& one) { return one.key == member.key; });
  if (it == members.end())
    members.push_back(std::move(member));
  else
    *it = std::move(member);
}

void Config::Node::replace(const std::string& part, const std::string& other) {
  for (size_t at = 0; (at = scalar.find(part, at)) != std::string::npos; at += other.size())
    scalar.replace(at, part.size(), other);
  for (const std::shared_ptr<Node>& item : items) item->replace(part, other);
  for (const Member& member : members) member.value->replace(part, other);
}

Config Config::over(const Config& base, const std::vector<std::string>& merged,
                    const std::vector<std::string>& without) const {
  const auto is_in = [](const std::string& key, const std::vector<std::string>& keys) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  const std::shared_ptr<Node> out = base.node_->copy();
  std::erase_if(out->members, [&](const Node::Member& m) { return is_in(m.key, without); });
  out->name.clear();
  const std::shared_ptr<Node> mine = node_->copy();
  for (Node::Member& own : mine->members) {
    if (is_in(own.key, without)) continue;
    const std::shared_ptr<Node> before = out->find(own.key);
    const bool is_merged = is_in(own.key, merged) && before &&
                           before->kind == Node::Kind::kMapping &&
                           own.value->kind == Node::Kind::kMapping;
    if (!is_merged) {
      out->put(std::move(own));
      continue;
    }
    for (Node::Member& inner : own.value->members) before->put(std::move(inner));
  }
  return Config(out);
}

void Config::override_with(const std::string& argument) { node_->override_with(argument); }

void Config::replace(const std::string& part, const std::string& other) {
  node_->replace(part, other);
}

namespace {

template <typename Node>
Json plain_of(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kMapping: {
      Json object = Json::object();
      for (const auto& member : node.members) object[member.key] = plain_of(*member.value);
      return object;
    }
    case Node::Kind::kSequence: {
      Json list = Json::array();
      for (const auto& item : node.items) list.push_back(plain_of(*item));
      return list;
    }
    case Node::Kind::kNull:
      return nullptr;
    case Node::Kind::kScalar:
      break;
  }
  if (node.is_quoted) return node.scalar;
  if (const auto whole = whole_of(node.scalar)) return *whole;
  if (const auto number = number_of(node.scalar)) return *number;
  return node.scalar;
}

}  // namespace

std::vector<Config> Config::items(const std::string& key) const {
  node_->looked_for.push_back(key);
  std::vector<Config> out;
  const auto node = node_->find(key);
  if (!node) return out;
  if (node->kind != Node::Kind::kSequence) return {Config(node)};
  for (const auto& item : node->items) out.push_back(Config(item));
  return out;
}

Config Config::of(const Json& value, const Where& where) {
  return Config(Node::of_json(value, where));
}

void Config::put(const std::string& dotted, const Config& value) {
  assign(*node_, dotted, value.node_->where, value.node_->copy());
}

Json Config::plain() const { return plain_of(*node_); }

Where Config::where() const { return node_->where; }

void Config::note(const std::string& key, Json value) {
  node_->ask(key) = Node::Asked{key, std::move(value), {}, false, false};
}

void Config::Node::override_with(const std::string& argument) {
  const size_t equals = argument.find('=');
  if (equals == std::string::npos) {
    throw Error(ErrorKind::kUsage, Where{argument},
                "not an override; write section.key=value, as train.seed=1");
  }
  const std::string text = argument.substr(equals + 1);
  std::shared_ptr<Node> value;
  if (is_punctuation(text)) {
    value = of_json(text, Where{argument});
  } else {
    value = of_yaml(text, argument, false);
  }
  assign(*this, argument.substr(0, equals), Where{argument}, std::move(value));
}

}  // namespace hone
