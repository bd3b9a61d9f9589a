#include "data/tokenizer/graphemes.h"

#include <unicode/uchar.h>

#include <cstdint>

#include "base/utf8.h"
#include "data/tokenizer/code_point_table.h"

namespace hone::unicode {
namespace {

struct Class {
  uint8_t cluster_break;  // UGraphemeClusterBreak
  bool is_pictographic;
};

// Marks of Unicode 16 and 17, which the reference knows and ICU 72 does not, as far as a grapheme
// of less than six bytes may have them.
bool is_late_mark(char32_t c) {
  return c == 0x897 || (c >= 0x1ACF && c <= 0x1ADD) || (c >= 0x1AE0 && c <= 0x1AEB);
}

const Class& class_of(char32_t c) {
  static const CodePointTable<Class> table([](char32_t code) {
    if (is_late_mark(code)) return Class{U_GCB_EXTEND, false};
    const auto point = static_cast<UChar32>(code);
    return Class{static_cast<uint8_t>(u_getIntPropertyValue(point, UCHAR_GRAPHEME_CLUSTER_BREAK)),
                 u_hasBinaryProperty(point, UCHAR_EXTENDED_PICTOGRAPHIC) != 0};
  });
  return table[c];
}

bool is_control(uint8_t kind) {
  return kind == U_GCB_CONTROL || kind == U_GCB_CR || kind == U_GCB_LF;
}

// Rules GB6 to GB8: syllables of Hangul.
bool joins_hangul(uint8_t before, uint8_t after) {
  switch (before) {
    case U_GCB_L:
      return after == U_GCB_L || after == U_GCB_V || after == U_GCB_LV || after == U_GCB_LVT;
    case U_GCB_LV:
    case U_GCB_V:
      return after == U_GCB_V || after == U_GCB_T;
    case U_GCB_LVT:
    case U_GCB_T:
      return after == U_GCB_T;
    default:
      return false;
  }
}

// What of a grapheme under way decides whether it goes on.
struct State {
  Class last;
  bool is_emoji = false;  // a pictograph, and only marks since
  int flags = 0;          // regional indicators at its end

  explicit State(const Class& first)
      : last(first),
        is_emoji(first.is_pictographic),
        flags(first.cluster_break == U_GCB_REGIONAL_INDICATOR ? 1 : 0) {}

  bool goes_on_with(const Class& next) const {
    const uint8_t before = last.cluster_break, after = next.cluster_break;
    if (before == U_GCB_CR && after == U_GCB_LF) return true;
    if (is_control(before) || is_control(after)) return false;
    if (after == U_GCB_EXTEND || after == U_GCB_ZWJ || after == U_GCB_SPACING_MARK) return true;
    if (before == U_GCB_PREPEND || joins_hangul(before, after)) return true;
    if (is_emoji && before == U_GCB_ZWJ && next.is_pictographic) return true;
    return after == U_GCB_REGIONAL_INDICATOR && flags % 2 == 1;
  }

  void add(const Class& next) {
    const bool is_mark = next.cluster_break == U_GCB_EXTEND || next.cluster_break == U_GCB_ZWJ;
    is_emoji = next.is_pictographic || (is_emoji && is_mark);
    flags = next.cluster_break == U_GCB_REGIONAL_INDICATOR ? flags + 1 : 0;
    last = next;
  }
};

}  // namespace

size_t end_of_grapheme(std::string_view text, size_t at) {
  State state(class_of(next_code_point(text, at)));
  while (at < text.size()) {
    size_t after = at;
    const Class& next = class_of(next_code_point(text, after));
    if (!state.goes_on_with(next)) break;
    state.add(next);
    at = after;
  }
  return at;
}

bool stands_alone(char32_t c) {
  const uint8_t kind = class_of(c).cluster_break;
  return kind == U_GCB_OTHER || kind == U_GCB_LV || kind == U_GCB_LVT;
}

bool joins_next(char32_t c) { return class_of(c).cluster_break == U_GCB_PREPEND; }

}  // namespace hone::unicode
