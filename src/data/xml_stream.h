// The markup of an XML document, whatever its size: where tags begin and end. Names, attributes and
// texts are the parser's affair, which gets one row at a time.
#pragma once

#include <string>
#include <string_view>

#include "data/text_stream.h"

namespace hone {

struct XmlMarkup {
  enum Kind { kOpen, kClose, kEmpty, kOther };  // other: a comment, CDATA, an instruction, DOCTYPE
  Kind kind;
  size_t size;            // bytes, from '<' to '>'
  size_t attributes = 0;  // of a tag
  std::string_view name;  // of a tag; in the window
};

class XmlStream {
 public:
  explicit XmlStream(TextStream& text) : text_(text) {}

  // Consumes the text before the next '<'; false where the document ends first.
  bool skip_text();
  // The first '<' at or behind `from`, an offset in the window, which grows; npos where there is
  // none.
  size_t find_markup(size_t from) { return find("<", from); }
  // What begins with the '<' at window offset `at`. StreamError where it has no end, and where it
  // declares entities: expanding them may make any text of a few bytes.
  XmlMarkup markup_at(size_t at);

  [[noreturn]] void fail(size_t at, const std::string& message) const;  // StreamError there

 private:
  size_t find(std::string_view what, size_t from);               // in the growing window, or npos
  size_t end_of(std::string_view what, size_t from, size_t at);  // behind `what`, or fails at `at`
  XmlMarkup tag_at(size_t at);
  size_t doctype_end(size_t at);

  TextStream& text_;
};

// The first '&' of a piece of XML that is neither one of XML's five entities nor the number of a
// character; npos where there is none.
size_t unknown_reference(std::string_view text);

}  // namespace hone
