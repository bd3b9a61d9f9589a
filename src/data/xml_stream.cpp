#include "data/xml_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace hone {
namespace {

constexpr std::string_view kAfterName = " \t\r\n>/";
constexpr std::array<std::string_view, 5> kEntities = {"lt", "gt", "amp", "quot", "apos"};

// "#233", "#xE9": a character that XML 1.0 allows.
bool is_character_number(std::string_view name) {
  if (!name.starts_with('#')) return false;
  name.remove_prefix(1);
  const bool is_hex = name.starts_with('x');
  if (is_hex) name.remove_prefix(1);
  uint32_t c = 0;
  const auto [end, error] =
      std::from_chars(name.data(), name.data() + name.size(), c, is_hex ? 16 : 10);
  if (error != std::errc() || end != name.data() + name.size()) return false;
  const bool is_surrogate = c >= 0xD800 && c <= 0xDFFF;
  return c == '\t' || c == '\n' || c == '\r' || (c >= ' ' && !is_surrogate && c <= 0x10FFFF);
}

}  // namespace

size_t unknown_reference(std::string_view text) {
  constexpr size_t kLongestName = 10;  // "#x0010FFFF"
  for (size_t at = text.find('&'); at != text.npos; at = text.find('&', at + 1)) {
    const std::string_view rest = text.substr(at + 1, kLongestName + 1);
    const std::string_view name = rest.substr(0, rest.find(';'));
    const bool is_known = std::find(kEntities.begin(), kEntities.end(), name) != kEntities.end() ||
                          is_character_number(name);
    if (name.size() == rest.size() || !is_known) return at;
  }
  return text.npos;
}

bool XmlStream::skip_text() {
  constexpr size_t kKept = 2;  // CR CR LF, CR LF: a line end may not be cut in two
  for (;;) {
    const std::string_view window = text_.window();
    const size_t at = window.find('<');
    if (at != window.npos) {
      text_.consume(at);
      return true;
    }
    text_.consume(window.size() - std::min(window.size(), kKept));
    if (!text_.more()) return false;
  }
}

size_t XmlStream::find(std::string_view what, size_t from) {
  for (;;) {
    const size_t size = text_.window().size();
    const size_t at = text_.window().find(what, from);
    if (at != std::string_view::npos) return at;
    from = std::max(from, size - std::min(size, what.size() - 1));
    if (!text_.more()) return std::string_view::npos;
  }
}

size_t XmlStream::end_of(std::string_view what, size_t from, size_t at) {
  const size_t end = find(what, from);
  if (end == std::string_view::npos)
    fail(at, fmt::format("no \"{}\" ends what begins here; the file seems to be cut off", what));
  return end + what.size();
}

XmlMarkup XmlStream::markup_at(size_t at) {
  constexpr std::string_view kComment = "<!--", kData = "<![CDATA[", kDoctype = "<!DOCTYPE";
  while (text_.window().size() < at + kDoctype.size() && text_.more()) {
  }
  const std::string_view rest = text_.window().substr(at);
  if (rest.starts_with(kComment))
    return {XmlMarkup::kOther, end_of("-->", at + kComment.size(), at) - at};
  if (rest.starts_with(kData))
    return {XmlMarkup::kOther, end_of("]]>", at + kData.size(), at) - at};
  if (rest.starts_with("<?")) return {XmlMarkup::kOther, end_of("?>", at + 2, at) - at};
  if (rest.starts_with(kDoctype)) return {XmlMarkup::kOther, doctype_end(at) - at};
  if (rest.starts_with("<!")) fail(at, "neither a comment, CDATA nor DOCTYPE");
  return tag_at(at);
}

XmlMarkup XmlStream::tag_at(size_t at) {
  XmlMarkup markup{XmlMarkup::kOpen, 0};
  size_t end = at + 1;
  for (char quote = '\0';; ++end) {
    while (end >= text_.window().size()) {
      if (!text_.more()) fail(at, "this tag has no end; the file seems to be cut off");
    }
    const char c = text_.window()[end];
    if (end == at + 1 && c != '/' && kAfterName.find(c) != kAfterName.npos)
      fail(at, "a tag without a name; in texts '<' is written &lt;");
    if (quote != '\0') {
      if (c == quote) quote = '\0';
      continue;
    }
    if (c == '<') fail(end, "a '<' inside a tag; in texts it is written &lt;");
    if (c == '"' || c == '\'') quote = c;
    if (c == '=') ++markup.attributes;
    if (c == '>') break;
  }
  const std::string_view tag = text_.window().substr(at, end + 1 - at);
  markup.size = tag.size();
  if (tag.starts_with("</")) markup.kind = XmlMarkup::kClose;
  if (tag.ends_with("/>")) markup.kind = XmlMarkup::kEmpty;
  markup.name = tag.substr(markup.kind == XmlMarkup::kClose ? 2 : 1);
  markup.name = markup.name.substr(0, markup.name.find_first_of(kAfterName));
  return markup;
}

size_t XmlStream::doctype_end(size_t at) {
  char quote = '\0';
  bool is_subset = false;
  for (size_t end = at;; ++end) {
    while (end + 8 > text_.window().size()) {
      if (!text_.more()) break;
    }
    if (end >= text_.window().size()) fail(at, "this DOCTYPE has no end");
    const std::string_view rest = text_.window().substr(end);
    if (quote == '\0' && rest.starts_with("<!ENTITY"))
      fail(end,
           "the document declares entities of its own, which are not expanded: a few of them "
           "can stand for gigabytes. Write their texts in place of them");
    if (quote == '\0' && rest.starts_with("<!--")) {
      end = end_of("-->", end, at) - 1;
      continue;
    }
    if (quote == '\0' && rest[0] == '>' && !is_subset) return end + 1;
    if (quote == '\0' && (rest[0] == '[' || rest[0] == ']')) is_subset = rest[0] == '[';
    if (rest[0] == quote) {
      quote = '\0';
    } else if (quote == '\0' && (rest[0] == '"' || rest[0] == '\'')) {
      quote = rest[0];
    }
  }
}

void XmlStream::fail(size_t at, const std::string& message) const {
  throw StreamError(ErrorKind::kData, text_.where(at), "not valid XML: " + message);
}

}  // namespace hone
