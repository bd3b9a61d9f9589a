#include "data/text_bounds.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

namespace hone {
namespace {

bool is_mark(UChar32 c) { return u_hasBinaryProperty(c, UCHAR_GRAPHEME_EXTEND) != 0; }

bool is_invisible(UChar32 c) {
  const int8_t type = u_charType(c);
  return u_isUWhiteSpace(c) != 0 || type == U_CONTROL_CHAR || type == U_FORMAT_CHAR ||
         u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) != 0;
}

}  // namespace

Span visible_part(std::string_view text, Span span) {
  const char* bytes = text.data();
  UChar32 c;
  for (int32_t at = span.start; at < span.end; span.start = at) {
    U8_NEXT(bytes, at, span.end, c);
    if (!is_invisible(c)) break;
  }
  int32_t end = span.end;
  for (int32_t at = end; at > span.start; end = at) {
    U8_PREV(bytes, span.start, at, c);
    if (!is_invisible(c) && !is_mark(c)) break;
  }
  return {span.start, end > span.start ? end : span.end};  // marks alone are all there is
}

int32_t character_end(std::string_view text, int32_t end, int32_t limit) {
  UChar32 c;
  for (int32_t at = end; at < limit; end = at) {
    U8_NEXT(text.data(), at, limit, c);
    if (!is_mark(c)) break;
  }
  return end;
}

}  // namespace hone
