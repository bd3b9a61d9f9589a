#include "base/config.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/file.h"

namespace hone {

// One value of the configuration, with what was asked of it so far.
// Invariant: `asked` holds each key once; a section that is absent from the file exists only there.
struct Config::Node {
  enum class Kind { kNull, kScalar, kSequence, kMapping };

  struct Member {
    std::string key;
    Where key_where;
    std::shared_ptr<Node> value;
  };
  struct Asked {
    std::string key;
    Json value;                                // of a plain key, with the value in force
    std::vector<std::shared_ptr<Node>> nodes;  // of a section (one) or of sections (any number)
    bool is_section = false, is_list = false;
  };

  Kind kind = Kind::kNull;
  std::string scalar;
  bool is_quoted = false;  // a quoted scalar is a text, whatever it looks like
  std::vector<std::shared_ptr<Node>> items;
  std::vector<Member> members;
  Where where;
  std::string name;  // of the section, for messages; "" at the root
  std::vector<Asked> asked;
  std::vector<std::string> looked_for;  // by `has`: known names, for suggestions only

  std::shared_ptr<Node> find(const std::string& key) const {
    const auto it = std::find_if(members.begin(), members.end(),
                                 [&](const Member& member) { return member.key == key; });
    return it == members.end() || it->value->kind == Kind::kNull ? nullptr : it->value;
  }

  Asked& ask(const std::string& key) {
    const auto it = std::find_if(asked.begin(), asked.end(),
                                 [&](const Asked& entry) { return entry.key == key; });
    if (it != asked.end()) return *it;
    return asked.emplace_back(Asked{key, Json(), {}, false, false});
  }

  void record(const std::string& key, Json value) { ask(key).value = std::move(value); }

  // Throws for the first key, in the order of the file, that nobody asked for.
  void refuse_unknown() const {
    for (const Member& member : members) {
      const auto it = std::find_if(asked.begin(), asked.end(),
                                   [&](const Asked& entry) { return entry.key == member.key; });
      const bool is_left_out = member.value->kind == Kind::kNull &&
                               std::count(looked_for.begin(), looked_for.end(), member.key) > 0;
      if (is_left_out) continue;  // `test: null` is the same as no test
      if (it == asked.end()) throw unknown(member);
      for (const std::shared_ptr<Node>& node : it->nodes) node->refuse_unknown();
    }
  }

  Error unknown(const Member& member) const {
    std::vector<std::string> known = looked_for;
    for (const Asked& entry : asked) known.push_back(entry.key);
    std::string message = fmt::format("unknown key \"{}\"", member.key);
    if (!name.empty()) message += fmt::format(" in \"{}\"", name);
    const std::string suggestion = did_you_mean(member.key, known);
    if (suggestion.empty() && !known.empty())
      return Error(ErrorKind::kUsage, member.key_where, message + "; known here: " + join(known));
    return Error(ErrorKind::kUsage, member.key_where, message + suggestion);
  }

  static std::string join(std::vector<std::string> names) {
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return fmt::format("{}", fmt::join(names, ", "));
  }

  Json resolved() const {
    Json out = Json::object();
    for (const Asked& entry : asked) {
      if (!entry.is_section && !entry.is_list) {
        out[entry.key] = entry.value;
        continue;
      }
      Json parts = Json::array();
      for (const std::shared_ptr<Node>& node : entry.nodes) parts.push_back(node->resolved());
      if (entry.is_list && !parts.empty()) out[entry.key] = std::move(parts);
      // A section that the file lacks and of which nothing was asked stays absent: its absence may
      // mean something.
      if (entry.is_section && (find(entry.key) != nullptr || !parts[0].empty()))
        out[entry.key] = std::move(parts[0]);
    }
    return out;
  }
};

namespace {

constexpr int kMaxDepth = 64;
constexpr int64_t kMaxNodes = 100'000;  // aliases of aliases can name more nodes than memory holds

std::string quote(const std::string& text) {
  constexpr size_t kLongest = 60;
  return text.size() <= kLongest ? fmt::format("\"{}\"", text)
                                 : fmt::format("\"{}…\"", text.substr(0, kLongest));
}

bool equals_ignoring_case(const std::string& a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return (x >= 'A' && x <= 'Z' ? x + 32 : x) == y;
         });
}

bool is_null_word(const std::string& text) {
  return text.empty() || text == "~" || equals_ignoring_case(text, "null");
}

std::optional<bool> bool_of(const std::string& text) {
  for (const char* word : {"true", "yes", "on"}) {
    if (equals_ignoring_case(text, word)) return true;
  }
  for (const char* word : {"false", "no", "off"}) {
    if (equals_ignoring_case(text, word)) return false;
  }
  return std::nullopt;
}

// "1", "-0.5", "1e-5", "+3"; nothing else of the text may remain.
std::optional<double> number_of(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  if (text.empty() || !(text[0] == '-' || text[0] == '.' || (text[0] >= '0' && text[0] <= '9')))
    return std::nullopt;  // "inf", "nan"
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

std::optional<int64_t> whole_of(std::string_view text) {
  int64_t value = 0;
  const std::string_view digits =
      text.starts_with('+') && !text.starts_with("+-") ? text.substr(1) : text;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc() && end == digits.data() + digits.size()) return value;
  const std::optional<double> number = number_of(text);  // "1e5" and "3.0" are whole too
  constexpr double kExact = 9007199254740992.0;          // 2^53
  if (number && *number == std::floor(*number) && std::abs(*number) <= kExact)
    return static_cast<int64_t>(*number);
  return std::nullopt;
}

// A text that YAML would read back as the same text without quotes.
bool is_plain(const std::string& text) {
  const auto is_safe = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '/';
  };
  if (text.empty() || !std::all_of(text.begin(), text.end(), is_safe)) return false;
  if (text[0] == '-' || (text[0] >= '0' && text[0] <= '9') || text[0] == '.')
    return text.starts_with("./") || text.starts_with("../");
  return !bool_of(text) && !is_null_word(text);
}

std::string yaml_scalar(const Json& value) {
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    if (is_plain(text)) return text;
    const std::string raw = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    // Raw line separators of Unicode (and a byte order mark) have a meaning in YAML: write those
    // texts in ASCII.
    const bool is_odd = raw.find("\xC2\x85") != raw.npos || raw.find("\xE2\x80\xA8") != raw.npos ||
                        raw.find("\xE2\x80\xA9") != raw.npos ||
                        raw.find("\xEF\xBB\xBF") != raw.npos || raw.find('\x7F') != raw.npos;
    return is_odd ? value.dump(-1, ' ', true, Json::error_handler_t::replace) : raw;
  }
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  if (value.is_array()) {
    std::string out = "[";
    for (const Json& item : value) out += (out.size() > 1 ? ", " : "") + yaml_scalar(item);
    return out + "]";
  }
  return value.is_object() ? "{}" : value.dump();
}

bool is_mapping_list(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& item) { return item.is_object(); });
}

void write_yaml(const Json& object, const std::string& indent, std::string& out) {
  for (const auto& [key, value] : object.items()) {
    const std::string name = yaml_scalar(key);
    if (value.is_object() && !value.empty()) {
      out += indent + name + ":\n";
      write_yaml(value, indent + "  ", out);
    } else if (is_mapping_list(value)) {
      out += indent + name + ":\n";
      for (const Json& item : value) {
        std::string block;
        write_yaml(item, indent + "    ", block);
        if (block.empty()) block = indent + "    {}\n";
        block[indent.size() + 2] = '-';
        out += block;
      }
    } else {
      out += indent + name + ": " + yaml_scalar(value) + "\n";
    }
  }
}

}  // namespace

namespace {

// Builds our tree of a YAML tree or of a JSON value.
template <typename Node>
class Builder {
 public:
  explicit Builder(std::string name) : name_(std::move(name)) {}

  std::shared_ptr<Node> build(const YAML::Node& from, const std::string& path, int depth = 0) {
    auto node = start(place(from.Mark()), path, depth);
    if (from.IsScalar()) {
      set_scalar(*node, from.Scalar(), from.Tag() == "!");
    } else if (from.IsSequence()) {
      node->kind = Node::Kind::kSequence;
      for (const YAML::Node& item : from) node->items.push_back(build(item, path, depth + 1));
    } else if (from.IsMap()) {
      node->kind = Node::Kind::kMapping;
      for (const auto& pair : from) add_member(*node, pair.first, pair.second, depth);
    }
    return node;
  }

  std::shared_ptr<Node> build(const Json& from, const std::string& path, int depth = 0) {
    auto node = start(Where{name_}, path, depth);
    if (from.is_object()) {
      node->kind = Node::Kind::kMapping;
      for (const auto& [key, value] : from.items())
        node->members.push_back({key, node->where, build(value, key, depth + 1)});
    } else if (from.is_array()) {
      node->kind = Node::Kind::kSequence;
      for (const Json& item : from) node->items.push_back(build(item, path, depth + 1));
    } else if (!from.is_null()) {
      node->kind = Node::Kind::kScalar;
      node->scalar = from.is_string() ? from.get<std::string>() : yaml_scalar(from);
      node->is_quoted = from.is_string();
    }
    return node;
  }

  Where place(const YAML::Mark& mark) const {
    return mark.is_null() || !has_places_ ? Where{name_}
                                          : Where{name_, mark.line + 1, mark.column + 1};
  }
  void forget_places() { has_places_ = false; }

 private:
  std::shared_ptr<Node> start(Where where, const std::string& name, int depth) {
    if (depth > kMaxDepth)
      throw Error(ErrorKind::kUsage, where, fmt::format("nested deeper than {} levels", kMaxDepth));
    if (++nodes_ > kMaxNodes)
      throw Error(ErrorKind::kUsage, where,
                  fmt::format("more than {} values; are aliases nested?", kMaxNodes));
    auto node = std::make_shared<Node>();
    node->where = std::move(where);
    node->name = name;
    return node;
  }

  static void set_scalar(Node& node, const std::string& text, bool is_quoted) {
    if (!is_quoted && is_null_word(text)) return;
    node.kind = Node::Kind::kScalar;
    node.scalar = text;
    node.is_quoted = is_quoted;
  }

  void add_member(Node& node, const YAML::Node& key, const YAML::Node& value, int depth) {
    const Where where = place(key.Mark());
    if (!key.IsScalar()) throw Error(ErrorKind::kUsage, where, "a key must be plain text");
    for (const auto& member : node.members) {
      if (member.key != key.Scalar()) continue;
      const std::string first = member.key_where.line > 0
                                    ? fmt::format(" (first in line {})", member.key_where.line)
                                    : "";
      throw Error(
          ErrorKind::kUsage, where,
          fmt::format("the key \"{}\" stands twice{}; remove one of the two", member.key, first));
    }
    node.members.push_back({key.Scalar(), where, build(value, key.Scalar(), depth + 1)});
  }

  std::string name_;
  bool has_places_ = true;
  int64_t nodes_ = 0;
};

template <typename Node>
std::shared_ptr<Node> parse_yaml(const std::string& text, const std::string& name,
                                 const std::string& key, bool has_places) {
  Builder<Node> builder(name);
  if (!has_places) builder.forget_places();
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1)
      throw Error(ErrorKind::kUsage, builder.place(documents[1].Mark()),
                  "a second YAML document begins here; only one is read");
    return builder.build(documents.empty() ? YAML::Node() : documents[0], key);
  } catch (const YAML::Exception& error) {
    throw Error(ErrorKind::kUsage, builder.place(error.mark),
                fmt::format("not valid YAML: {}", error.msg));
  }
}

// Puts `value` at the dotted `path`, making the sections that lack on the way.
template <typename Node>
void assign(Node& node, const std::string& path, const std::string& argument,
            std::shared_ptr<Node> value) {
  const size_t dot = path.find('.');
  const std::string key = path.substr(0, dot);
  const auto refuse = [&](const std::string& why) -> Error {
    return Error(ErrorKind::kUsage, Where{argument}, why);
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
      it->key_where = Where{argument};
      slot = &it->value;
    } else {
      auto empty = std::make_shared<Node>();
      empty->where = Where{argument};
      empty->name = key;
      slot = &node.members.emplace_back(typename Node::Member{key, Where{argument}, empty}).value;
    }
  }
  if (dot == std::string::npos) {
    value->name = key;
    *slot = std::move(value);
  } else {
    assign(**slot, path.substr(dot + 1), argument, std::move(value));
  }
}

template <typename Node>
void apply_override(Node& root, const std::string& argument) {
  const size_t equals = argument.find('=');
  if (equals == std::string::npos) {
    throw Error(ErrorKind::kUsage, Where{argument},
                "not an override; write section.key=value, as train.seed=1");
  }
  assign(root, argument.substr(0, equals), argument,
         parse_yaml<Node>(argument.substr(equals + 1), argument, "", false));
}

}  // namespace

Config Config::load(const std::string& path, const std::vector<std::string>& overrides) {
  return parse(read_file(path, ErrorKind::kUsage), path, overrides);
}

Config Config::parse(const std::string& text, const std::string& name,
                     const std::vector<std::string>& overrides) {
  auto root = parse_yaml<Node>(text, name, "", true);
  if (root->kind == Node::Kind::kScalar || root->kind == Node::Kind::kSequence) {
    throw Error(ErrorKind::kUsage, root->where,
                "a configuration is a mapping of keys to values, as \"model: {path: …}\"");
  }
  root->kind = Node::Kind::kMapping;
  for (const std::string& argument : overrides) apply_override(*root, argument);
  return Config(root);
}

Config Config::from_json(const Json& value, const std::string& name) {
  if (!value.is_object())
    throw Error(ErrorKind::kUsage, Where{name},
                fmt::format("expected an object, found {}", value.type_name()));
  return Config(Builder<Node>(name).build(value, ""));
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

std::string Config::require(const std::string& key) {
  if (node_->find(key)) return get(key, "");
  node_->looked_for.push_back(key);
  std::string message = fmt::format("\"{}\" is missing", key);
  if (!node_->name.empty()) message += fmt::format(" in \"{}\"", node_->name);
  // The likeliest cause is a misspelt key, so say which of the keys present comes nearest.
  std::vector<std::string> present;
  for (const auto& member : node_->members) present.push_back(member.key);
  const std::string near = nearest(key, present);
  if (!near.empty()) message += fmt::format("; is \"{}\" meant to be \"{}\"?", near, key);
  throw Error(ErrorKind::kUsage, node_->where, message);
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

void Config::refuse_unknown() const { node_->refuse_unknown(); }

Json Config::resolved_json() const { return node_->resolved(); }

std::string Config::resolved() const {
  std::string out;
  write_yaml(resolved_json(), "", out);
  return out;
}

}  // namespace hone
