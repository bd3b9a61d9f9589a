// XML: the elements at a path ("sentences.sentence") are the rows. The document is walked through;
// pugixml parses one row at a time and knows neither external entities nor those of a DOCTYPE.
//
//   <review id="7"><text>Good soup</text><tag>food</tag><tag>warm</tag></review>
//   {"id": "7", "text": "Good soup", "tag": ["food", "warm"]}
#include <fmt/format.h>

#include <algorithm>
#include <pugixml.hpp>
#include <unordered_map>

#include "data/row_reader.h"
#include "data/text_units.h"
#include "data/xml_stream.h"

namespace hone {
namespace {

// Of a row: each costs some hundred bytes in pugixml and as JSON.
constexpr size_t kMostXmlNodes = kMostValues / 4;
constexpr size_t kDeepest = 512;
constexpr size_t kLongestName = 1000;  // bytes, of an element around rows
constexpr size_t kMostShownPaths = 10;
constexpr size_t kShownReference = 12;  // bytes of what follows an '&'

bool is_element(const pugi::xml_node& node) { return node.type() == pugi::node_element; }

bool is_text(const pugi::xml_node& node) {
  return node.type() == pugi::node_pcdata || node.type() == pugi::node_cdata;
}

bool is_white(std::string_view text) { return text.find_first_not_of(" \t\r\n") == text.npos; }

bool has_elements(const pugi::xml_node& node) {
  return std::any_of(node.begin(), node.end(), is_element);
}

// All text below an element, that of elements in it too.
void append_text(const pugi::xml_node& node, std::string& text) {
  for (const pugi::xml_node& child : node) {
    if (is_text(child)) text += child.value();
    if (is_element(child)) append_text(child, text);
  }
}

// Texts beside elements, other than white space.
bool is_mixed(const pugi::xml_node& node) {
  return has_elements(node) && std::any_of(node.begin(), node.end(), [](const auto& child) {
           return is_text(child) && !is_white(child.value());
         });
}

// Makes JSON of elements.
class XmlValues {
 public:
  // A leaf without attributes is its text, else an object of attributes, elements and its "text".
  Json value_of(const pugi::xml_node& node) {
    const bool is_leaf = !has_elements(node), mixes = is_mixed(node);
    std::string text;
    if (is_leaf || mixes) append_text(node, text);
    if (mixes) ++mixed_;
    const bool has_attributes = node.first_attribute() != nullptr;
    if (!has_attributes && (is_leaf || mixes)) return text;
    Json object = Json::object();
    Places places;
    for (const pugi::xml_attribute& attribute : node.attributes())
      add(object, places, node, attribute.name(), attribute.value(), false);
    if (!text.empty()) add(object, places, node, "text", std::move(text), false);
    if (is_leaf || mixes) return object;
    for (const pugi::xml_node& child : node) {
      if (is_element(child)) add(object, places, node, child.name(), value_of(child), true);
    }
    return object;
  }

  int64_t mixed() const { return mixed_; }  // elements of text and elements, taken as one text

 private:
  struct Place {
    size_t index;
    bool is_element;
    size_t count = 1;
  };
  using Places = std::unordered_map<std::string, Place>;  // of members, by name

  // Elements of one name become a list.
  static void add(Json& object, Places& places, const pugi::xml_node& node, const char* name,
                  Json value, bool is_element) {
    auto& members = static_cast<Json::object_t::Container&>(object.get_ref<Json::object_t&>());
    const auto [it, is_new] = places.try_emplace(name, Place{members.size(), is_element});
    Place& place = it->second;
    if (is_new) {
      members.emplace_back(name, std::move(value));
      return;
    }
    if (!is_element || !place.is_element)
      throw std::invalid_argument(
          fmt::format("<{}> has two things named \"{}\": attributes, its "
                      "text (\"text\") and elements need names of their own",
                      node.name(), name));
    Json& member = members[place.index].second;
    if (place.count++ == 1) {
      Json first = std::move(member);
      member = Json::array();
      member.push_back(std::move(first));
    }
    member.push_back(std::move(value));
  }

  int64_t mixed_ = 0;
};

class XmlReader : public RowReader {
 public:
  XmlReader(const SourceOptions& options, std::unique_ptr<TextStream> text)
      : RowReader(options, std::move(text)), xml_(this->text()) {}

 protected:
  std::vector<std::string> reader_advice() const override {
    if (values_.mixed() == 0) return {};
    return {
        fmt::format("{}: {} elements mix text and elements; they are read as their whole text, "
                    "without the tags in it",
                    *file(), values_.mixed())};
  }

  bool read_row(Record& record) override {
    while (xml_.skip_text()) {
      const XmlMarkup markup = xml_.markup_at(0);
      if (markup.kind == XmlMarkup::kClose) close(markup.name);
      if (markup.kind == XmlMarkup::kOpen || markup.kind == XmlMarkup::kEmpty) {
        enter(markup.name);
        if (path_ == options().rows) {
          leave();
          read_element(record, markup);
          return true;
        }
        if (markup.kind == XmlMarkup::kEmpty) leave();
      }
      text().consume(markup.size);
    }
    end();
    return false;
  }

 private:
  // Begins an element: path_ names it then, until `leave`.
  void enter(std::string_view name) {
    if (ends_.empty() && has_root_)
      xml_.fail(0, fmt::format("<{}> is a second outermost element", shown_text(name)));
    if (ends_.size() == kDeepest || name.size() > kLongestName)
      xml_.fail(0, fmt::format("elements are at most {} deep, and their names {} bytes long",
                               kDeepest, kLongestName));
    has_root_ = true;
    ends_.push_back(path_.size());
    if (ends_.size() > 1) path_ += '.';
    path_ += name;
    const bool is_known = std::find(seen_.begin(), seen_.end(), path_) != seen_.end();
    if (!is_known && seen_.size() < kMostShownPaths) seen_.push_back(path_);
  }

  void leave() {
    path_.resize(ends_.back());
    ends_.pop_back();
  }

  std::string_view open_name() const {
    const std::string_view name = std::string_view(path_).substr(ends_.back());
    return ends_.size() > 1 ? name.substr(1) : name;
  }

  void close(std::string_view name) {
    if (ends_.empty()) xml_.fail(0, fmt::format("</{}> closes nothing", shown_text(name)));
    if (open_name() != name)
      xml_.fail(0, fmt::format("</{}> where </{}> was expected", shown_text(name),
                               shown_text(open_name())));
    leave();
  }

  void end() const {
    if (!ends_.empty())
      xml_.fail(0, fmt::format("<{}> is not closed; the file seems to be cut off", open_name()));
    if (has_rows_) return;
    throw StreamError(
        ErrorKind::kData, Where{*file()},
        fmt::format("has no element at \"{}\", where \"rows\" looks for the rows{}{}",
                    options().rows, seen_.empty() ? "" : "; there are ", fmt::join(seen_, ", ")));
  }

  void read_element(Record& record, const XmlMarkup& first) {
    const Where start = text().here();
    record.line = start.line;
    record.column = start.column;
    has_rows_ = true;
    fault_.reset();
    const size_t size = element_size(first);
    const Consume after{text(), size};
    const std::string_view row = text().window().substr(0, size);
    text().check_text(row, start);
    if (fault_) throw *fault_;
    record.fields = parse(row, start);
  }

  // Bytes of the element that begins here. What is wrong inside is kept in fault_.
  size_t element_size(const XmlMarkup& first) {
    size_t at = first.size, depth = first.kind == XmlMarkup::kOpen ? 1 : 0;
    size_t nodes = 1 + first.attributes;
    check_references(0, first.size);
    while (depth > 0) {
      const size_t next = xml_.find_markup(at);
      if (next == std::string_view::npos)
        xml_.fail(0, "this element is not closed; the file seems to be cut off");
      check_references(at, next - at);
      const XmlMarkup markup = xml_.markup_at(next);
      if (markup.kind == XmlMarkup::kOpen) ++depth;
      if (markup.kind == XmlMarkup::kClose) --depth;
      if (markup.kind != XmlMarkup::kOther) check_references(next, markup.size);
      nodes += markup.kind == XmlMarkup::kClose ? 0 : 1 + markup.attributes;
      if (depth > kDeepest) note_fault(next, fmt::format("nested deeper than {} levels", kDeepest));
      if (nodes > kMostXmlNodes)
        note_fault(next,
                   fmt::format("a row has at most {} elements and attributes", kMostXmlNodes));
      at = next + markup.size;
    }
    return at;
  }

  void check_references(size_t at, size_t size) {
    const std::string_view piece = text().window().substr(at, size);
    const size_t bad = unknown_reference(piece);
    if (bad == piece.npos) return;
    const std::string_view rest = piece.substr(bad, kShownReference);
    note_fault(at + bad,
               fmt::format("\"{}\" is none of &lt; &gt; &amp; &quot; &apos; and no character's "
                           "number, as &#233; is; '&' itself is written &amp;",
                           rest.substr(0, std::min(rest.find(';'), rest.size() - 1) + 1)));
  }

  void note_fault(size_t at, const std::string& message) {
    if (!fault_) fault_ = Error(ErrorKind::kData, text().where(at), "not valid XML: " + message);
  }

  Json parse(std::string_view row, const Where& start) {
    pugi::xml_document document;
    std::string bytes(row);
    const pugi::xml_parse_result result = document.load_buffer_inplace(
        bytes.data(), bytes.size(), pugi::parse_default | pugi::parse_ws_pcdata,
        pugi::encoding_utf8);
    if (!result)
      throw Error(ErrorKind::kData, advance(start, row, static_cast<size_t>(result.offset)),
                  fmt::format("not valid XML: {}", result.description()));
    try {
      Json value = values_.value_of(document.document_element());
      if (value.is_object()) return value;
      return {{"text", std::move(value)}};
    } catch (const std::invalid_argument& error) {
      throw Error(ErrorKind::kData, start, error.what());
    }
  }

  XmlStream xml_;
  XmlValues values_;
  std::string path_;               // of the element around this place
  std::vector<size_t> ends_;       // bytes of path_ before each of its names
  std::vector<std::string> seen_;  // the first few paths of all
  bool has_root_ = false, has_rows_ = false;
  std::optional<Error> fault_;  // of the row at hand
};

}  // namespace

std::unique_ptr<RecordReader> read_xml(const SourceOptions& options,
                                       std::unique_ptr<TextStream> text) {
  return std::make_unique<XmlReader>(options, std::move(text));
}

}  // namespace hone
