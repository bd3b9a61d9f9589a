// From YAML and JSON to the nodes of a configuration.
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include "base/config_node.h"
#include "base/lines.h"
#include "base/utf8.h"
#include "base/yaml_scalar.h"

namespace hone {
namespace {

constexpr size_t kMaxDepth = 64;
constexpr int64_t kMaxNodes = 100'000;  // aliases of aliases can name more nodes than memory holds

constexpr const char* kCommaFirst =
    "not valid YAML: a value cannot begin with ','; put it in quotes, as \",\"";

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

  YamlTree(std::string_view text, std::string file, bool has_places)
      : text_(text), file_(std::move(file)), has_places_(has_places) {}

  std::shared_ptr<Node> root() { return root_ ? root_ : maker_.make(Where{file_}, "", 0); }

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
    const std::string name = open_.empty()      ? ""
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
  std::string file_;
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
  const Where where = has_places ? advance({file, 1, 1}, text, at) : Where{file};
  throw Error(ErrorKind::kUsage, where,
              text[at] == '\0'
                  ? std::string("a NUL byte; this is no configuration, or it is not UTF-8")
                  : fmt::format("the byte 0x{:02X} is not UTF-8; save the configuration as UTF-8",
                                static_cast<unsigned char>(text[at])));
}

// The parser counts only lines that end in LF or CR LF.
std::string with_line_feeds(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = take_line(text, at);
    out += line;
    if (line.end() != text.end()) out += '\n';
  }
  return out;
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

}  // namespace

std::shared_ptr<Config::Node> Config::Node::of_yaml(std::string_view text, const std::string& file,
                                                    bool has_places) {
  refuse_odd_bytes(text, file, has_places);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  const std::string lines = with_line_feeds(text);
  text = lines;
  YamlTree<Node> tree(text, file, has_places);
  std::istringstream stream(lines);
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

std::shared_ptr<Config::Node> Config::Node::of_json(const Json& value, const Where& where) {
  NodeMaker<Node> maker;
  return build_json(maker, value, where, "");
}

}  // namespace hone
