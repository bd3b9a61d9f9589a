#include "data/text_units.h"

#include <algorithm>

#include "base/utf8.h"

namespace hone {
namespace {

constexpr size_t kCharactersBetweenPlaces = 256;
constexpr size_t kMostShown = 60;  // characters

}  // namespace

TextUnits::TextUnits(std::string_view text, TextUnit unit) : text_(text), unit_(unit) {
  Place place{0, 0};
  for (size_t i = 0; place.byte < text.size(); ++i) {
    if (i % kCharactersBetweenPlaces == 0) places_.push_back(place);
    place = after(place);
  }
  if (places_.empty()) places_.push_back(place);
  count_ = place.unit;
}

TextUnits::Place TextUnits::after(Place place) const {
  const size_t begin = place.byte;
  const char32_t c = next_code_point(text_, place.byte);
  int64_t units = 1;
  if (unit_ == TextUnit::kBytes) units = static_cast<int64_t>(place.byte - begin);
  if (unit_ == TextUnit::kUtf16 && c > 0xFFFF) units = 2;
  if (unit_ == TextUnit::kOneForCrLf && c == '\n' && begin > 0 && text_[begin - 1] == '\r')
    units = 0;
  return {place.unit + units, place.byte};
}

size_t TextUnits::byte(int64_t unit) const {
  const auto later = std::upper_bound(places_.begin() + 1, places_.end(), unit,
                                      [](int64_t u, const Place& p) { return u < p.unit; });
  Place place = *std::prev(later);
  while (place.byte < text_.size()) {
    const Place next = after(place);
    if (next.unit > unit) return place.byte;
    place = next;
  }
  return place.byte;
}

int64_t TextUnits::unit_at(size_t byte) const {
  const auto later = std::upper_bound(places_.begin() + 1, places_.end(), byte,
                                      [](size_t b, const Place& p) { return b < p.byte; });
  Place place = *std::prev(later);
  while (place.byte < byte) place = after(place);
  return place.unit;
}

std::string shown_text(std::string_view text) {
  size_t end = 0;
  for (size_t i = 0; i < kMostShown && end < text.size(); ++i) next_code_point(text, end);
  return std::string(text.substr(0, end)) + (end < text.size() ? "…" : "");
}

}  // namespace hone
