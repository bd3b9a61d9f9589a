#include "base/config.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <map>
#include <sstream>
#include <unordered_map>

#include "base/file.h"
#include "base/other_names.h"
#include "base/utf8.h"

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
  std::vector<std::string> beside;      // of a section that the file lacks: the keys there are

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

  // The dotted names under which each key is known, in this node and below.
  using Places = std::map<std::string, std::vector<std::string>>;
  void collect(const std::string& prefix, Places& places) const {
    for (const std::string& key : known()) places[key].push_back(prefix + key);
    for (const Asked& entry : asked) {
      for (const std::shared_ptr<Node>& node : entry.nodes)
        node->collect(prefix + entry.key + ".", places);
    }
  }

  // Throws for the first key, in the order of the file, that nobody asked for.
  void refuse_unknown(const Places& places) const {
    for (const Member& member : members) {
      const auto it = std::find_if(asked.begin(), asked.end(),
                                   [&](const Asked& entry) { return entry.key == member.key; });
      const bool is_left_out = member.value->kind == Kind::kNull &&
                               std::count(looked_for.begin(), looked_for.end(), member.key) > 0;
      if (is_left_out) continue;  // `test: null` is the same as no test
      if (it == asked.end()) throw unknown(member, places);
      for (const std::shared_ptr<Node>& node : it->nodes) node->refuse_unknown(places);
    }
  }

  Error unknown(const Member& member, const Places& places) const {
    std::string message = fmt::format("unknown key \"{}\"", member.key);
    if (!name.empty()) message += fmt::format(" in \"{}\"", name);
    std::string advice = other_name(member.key, places);
    if (advice.empty()) advice = did_you_mean(member.key, known());
    if (advice.empty() && !known().empty()) advice = "; known here: " + join(known());
    return Error(ErrorKind::kUsage, member.key_where, message + advice);
  }

  // A key of this section or of another one that is called so elsewhere.
  std::string other_name(const std::string& key, const Places& places) const {
    const std::vector<std::string> here = known();
    const std::vector<std::string> meant = keys_called(key);
    for (const std::string& candidate : meant) {
      if (candidate != key && std::find(here.begin(), here.end(), candidate) != here.end())
        return fmt::format("; did you mean \"{}\"?", candidate);
    }
    std::vector<std::string> dotted;
    if (const auto it = places.find(key); it != places.end()) dotted = it->second;
    for (const std::string& candidate : meant) {
      const auto it = places.find(candidate);
      if (dotted.empty() && it != places.end()) dotted = it->second;
    }
    if (dotted.empty()) return "";
    constexpr size_t kMost = 3;
    return fmt::format(
        "; did you mean \"{}\"?",
        fmt::join(dotted.begin(), dotted.begin() + std::min(kMost, dotted.size()), "\" or \""));
  }

  std::vector<std::string> known() const {
    std::vector<std::string> names = looked_for;
    for (const Asked& entry : asked) names.push_back(entry.key);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }

  std::vector<std::string> present() const {
    std::vector<std::string> keys;
    for (const Member& member : members) keys.push_back(member.key);
    return keys;
  }

  static std::string join(const std::vector<std::string>& names) {
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

constexpr size_t kMaxDepth = 64;
constexpr uintmax_t kMaxBytes = 1 << 20;  // of a file: no configuration comes near
constexpr int64_t kMaxNodes = 100'000;  // aliases of aliases can name more nodes than memory holds

constexpr const char* kCommaFirst =
    "not valid YAML: a value cannot begin with ','; put it in quotes, as \",\"";

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

// Makes nodes, and ends where there are more, or deeper ones, than any configuration has.
template <typename Node>
class NodeMaker {
 public:
  std::shared_ptr<Node> make(Where where, const std::string& name, size_t depth) {
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

 private:
  int64_t nodes_ = 0;
};

// Builds our tree from the parser's events, so that it ends while it reads: an alias of aliases, a
// text of brackets and a stream of documents without end never stand in memory.
template <typename Node>
class YamlTree : public YAML::EventHandler {
 public:
  using Anchor = YAML::anchor_t;
  using Style = YAML::EmitterStyle::value;

  // `file` without lines where `has_places` is false: an override is one short text.
  YamlTree(std::string_view text, std::string file, std::string name, bool has_places)
      : text_(text), file_(std::move(file)), name_(std::move(name)), has_places_(has_places) {}

  std::shared_ptr<Node> root() { return root_ ? root_ : maker_.make(Where{file_}, name_, 0); }

  Where place(const YAML::Mark& mark) const {
    return mark.is_null() || !has_places_ ? Where{file_}
                                          : Where{file_, mark.line + 1, mark.column + 1};
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    // The parser gives empty documents for ever before a comma that stands where a value begins.
    if (root_ && text_.substr(std::min<size_t>(mark.pos, text_.size())).starts_with(','))
      throw Error(ErrorKind::kUsage, place(mark), kCommaFirst);
    if (root_)
      throw Error(ErrorKind::kUsage, place(mark),
                  "a second YAML document begins here; only one is read");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, Anchor anchor) override { add(start(mark, anchor), mark); }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, Anchor anchor,
                const std::string& value) override {
    const auto node = start(mark, anchor);
    node->is_quoted = tag == "!";
    node->scalar = value;
    if (node->is_quoted || !is_null_word(value)) node->kind = Node::Kind::kScalar;
    add(node, mark);
  }
  void OnAlias(const YAML::Mark& mark, Anchor anchor) override {
    const std::shared_ptr<Node> named = anchors_.at(anchor);
    for (const Open& open : open_) {
      if (open.node == named)
        throw Error(ErrorKind::kUsage, place(mark), "this alias stands within what it names");
    }
    add(copy(*named, open_.size()), mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, Anchor anchor, Style) override {
    open(mark, anchor, Node::Kind::kSequence);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, Anchor anchor, Style) override {
    open(mark, anchor, Node::Kind::kMapping);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  // A mapping or sequence that is not yet at its end.
  struct Open {
    std::shared_ptr<Node> node;
    std::optional<std::string> key;  // of a mapping: read, its value not yet
    Where key_where;
    std::unordered_map<std::string, int64_t> lines;  // of the keys so far
  };

  std::shared_ptr<Node> start(const YAML::Mark& mark, Anchor anchor) {
    const std::string& name = open_.empty()      ? name_
                              : open_.back().key ? *open_.back().key
                                                 : open_.back().node->name;
    auto node = maker_.make(place(mark), name, open_.size());
    if (anchor != 0) anchors_[anchor] = node;
    return node;
  }

  void open(const YAML::Mark& mark, Anchor anchor, typename Node::Kind kind) {
    const auto node = start(mark, anchor);
    node->kind = kind;
    add(node, mark);
    open_.push_back({node, std::nullopt, {}, {}});
  }

  void add(const std::shared_ptr<Node>& node, const YAML::Mark& mark) {
    if (open_.empty()) {
      root_ = node;
    } else if (Open& parent = open_.back(); parent.node->kind == Node::Kind::kSequence) {
      parent.node->items.push_back(node);
    } else if (parent.key) {
      parent.node->members.push_back({*parent.key, parent.key_where, node});
      parent.key.reset();
    } else {
      take_key(parent, *node, place(mark));
    }
  }

  void take_key(Open& mapping, const Node& key, const Where& where) {
    if (key.kind == Node::Kind::kSequence || key.kind == Node::Kind::kMapping ||
        (key.kind == Node::Kind::kNull && key.scalar.empty()))
      throw Error(ErrorKind::kUsage, where, "a key must be plain text");
    const auto [first, is_new] = mapping.lines.emplace(key.scalar, where.line);
    if (!is_new) {
      throw Error(
          ErrorKind::kUsage, where,
          fmt::format("the key \"{}\" stands twice{}; remove one of the two", key.scalar,
                      where.line > 0 ? fmt::format(" (first in line {})", first->second) : ""));
    }
    mapping.key = key.scalar;
    mapping.key_where = where;
  }

  std::shared_ptr<Node> copy(const Node& from, size_t depth) {
    auto node = maker_.make(from.where, from.name, depth);
    node->kind = from.kind;
    node->scalar = from.scalar;
    node->is_quoted = from.is_quoted;
    for (const auto& item : from.items) node->items.push_back(copy(*item, depth + 1));
    for (const auto& member : from.members)
      node->members.push_back({member.key, member.key_where, copy(*member.value, depth + 1)});
    return node;
  }

  std::string_view text_;
  std::string file_, name_;
  bool has_places_;
  NodeMaker<Node> maker_;
  std::shared_ptr<Node> root_;
  std::vector<Open> open_;
  std::unordered_map<Anchor, std::shared_ptr<Node>> anchors_;
};

template <typename Node>
std::shared_ptr<Node> build_json(NodeMaker<Node>& maker, const Json& from, const Where& where,
                                 const std::string& name, size_t depth = 0) {
  auto node = maker.make(where, name, depth);
  if (from.is_object()) {
    node->kind = Node::Kind::kMapping;
    for (const auto& [key, value] : from.items())
      node->members.push_back({key, where, build_json(maker, value, where, key, depth + 1)});
  } else if (from.is_array()) {
    node->kind = Node::Kind::kSequence;
    for (const Json& item : from)
      node->items.push_back(build_json(maker, item, where, name, depth + 1));
  } else if (!from.is_null()) {
    node->kind = Node::Kind::kScalar;
    node->scalar = from.is_string() ? from.get<std::string>() : yaml_scalar(from);
    node->is_quoted = from.is_string();
  }
  return node;
}

// The parser takes any bytes and turns some of them into others.
void refuse_odd_bytes(std::string_view text, const std::string& file, bool has_places) {
  const size_t at = std::min(invalid_utf8(text), text.find('\0'));
  if (at == std::string_view::npos) return;
  const std::string_view before = text.substr(0, at);
  const size_t line_begin = before.rfind('\n') + 1;  // 0 where there is none
  const Where where = has_places ? Where{file, std::count(before.begin(), before.end(), '\n') + 1,
                                         static_cast<int64_t>(at - line_begin) + 1}
                                 : Where{file};
  throw Error(ErrorKind::kUsage, where,
              text[at] == '\0'
                  ? std::string("a NUL byte; this is no configuration, or it is not UTF-8")
                  : fmt::format("the byte 0x{:02X} is not UTF-8; save the configuration as UTF-8",
                                static_cast<unsigned char>(text[at])));
}

// What is behind those of the parser's complaints that do not say it.
std::optional<std::string> yaml_advice(std::string_view text, const YAML::Mark& mark) {
  const std::string_view before = text.substr(0, std::max(mark.pos, 0));
  if (text.substr(before.size()).starts_with(',')) return kCommaFirst;
  const std::string_view line = text.substr(before.rfind('\n') + 1);
  if (line.substr(0, line.find_first_not_of(" \t")).find('\t') != std::string_view::npos)
    return "not valid YAML: a tab cannot indent a line; use spaces";
  return std::nullopt;
}

template <typename Node>
std::shared_ptr<Node> parse_yaml(std::string_view text, const std::string& file,
                                 const std::string& name, bool has_places) {
  refuse_odd_bytes(text, file, has_places);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  YamlTree<Node> tree(text, file, name, has_places);
  std::istringstream stream{std::string(text)};
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(tree)) {  // a second document is refused as it begins
    }
    return tree.root();
  } catch (const YAML::Exception& error) {
    throw Error(ErrorKind::kUsage, tree.place(error.mark),
                yaml_advice(text, error.mark).value_or("not valid YAML: " + error.msg));
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

// `separator=,` and `separator=|` mean the character, whatever YAML makes of it. "~" is null, and
// brackets and quotes have their meaning where they are closed.
bool is_punctuation(std::string_view text) {
  if (text.size() == 1) return std::ispunct(static_cast<unsigned char>(text[0])) && text != "~";
  return text.starts_with(',') ||
         (!text.empty() && text.find_first_not_of(" !#$%&*+,-./:;<=>?@\\^_`|") == text.npos &&
          text.find_first_not_of(' ') != text.npos);
}

template <typename Node>
void apply_override(Node& root, const std::string& argument) {
  const size_t equals = argument.find('=');
  if (equals == std::string::npos) {
    throw Error(ErrorKind::kUsage, Where{argument},
                "not an override; write section.key=value, as train.seed=1");
  }
  const std::string text = argument.substr(equals + 1);
  std::shared_ptr<Node> value;
  if (is_punctuation(text)) {
    value = NodeMaker<Node>().make(Where{argument}, "", 0);
    value->kind = Node::Kind::kScalar;
    value->scalar = text;
    value->is_quoted = true;
  } else {
    value = parse_yaml<Node>(text, argument, "", false);
  }
  assign(root, argument.substr(0, equals), argument, std::move(value));
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
  NodeMaker<Node> maker;
  return Config(build_json(maker, value, Where{name}, ""));
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

std::string Config::resolved() const {
  std::string out;
  write_yaml(resolved_json(), "", out);
  return out;
}

}  // namespace hone
