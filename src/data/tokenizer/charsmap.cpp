#include "data/tokenizer/charsmap.h"

#include <fmt/format.h>

#include <cstring>

#include "base/utf8.h"
#include "data/tokenizer/graphemes.h"

namespace hone {
namespace {

using Change = NormalizedText::Change;

// A unit of darts-clone: the lowest byte is the label by which it is reached, bit 8 says that the
// key ends here, bits 10 to 30 are the offset to the children (in 256ths where bit 9 is set); where
// the highest bit is set it is no node but the value of the key, in the other bits.
bool has_value(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & 1U << 9) >> 6); }
uint32_t label_of(uint32_t unit) { return unit & (1U << 31 | 0xFF); }
uint32_t value_of(uint32_t unit) { return unit & 0x7FFFFFFF; }

constexpr uint32_t kNone = UINT32_MAX;

void append_changes(std::string_view old_part, std::string_view new_part,
                    std::vector<Change>& out) {
  const auto old_count = static_cast<int32_t>(count_code_points(old_part)),
             new_count = static_cast<int32_t>(count_code_points(new_part));
  int32_t index = 0;
  for (size_t at = 0; at < new_part.size(); ++index)
    out.push_back({next_code_point(new_part, at), index < old_count ? 0 : 1});
  if (new_count < old_count && !out.empty()) out.back().change += new_count - old_count;
}

}  // namespace

Charsmap::Charsmap(std::string_view bytes, const Where& where) {
  uint32_t size = 0;
  if (bytes.size() >= 4) std::memcpy(&size, bytes.data(), 4);
  if (size == 0 || size % 4 != 0 || size > bytes.size() - 4) {
    throw Error(ErrorKind::kModel, where,
                fmt::format("the normaliser table is cut short: {} bytes, and its first part alone "
                            "has {}",
                            bytes.size(), size));
  }
  units_.resize(size / 4);
  std::memcpy(units_.data(), bytes.data() + 4, size);
  texts_ = bytes.substr(4 + size);
  check(where);
}

// Every node that can be reached, so that later look-ups need no doubt.
void Charsmap::check(const Where& where) const {
  const auto refuse = [&](const char* why) {
    throw Error(ErrorKind::kModel, where, fmt::format("the normaliser table is damaged: {}", why));
  };
  if (invalid_utf8(texts_) != std::string::npos) refuse("its texts are not UTF-8");
  if (!texts_.empty() && texts_.back() != '\0') refuse("its last text is cut short");
  std::vector<bool> seen(units_.size());
  std::vector<uint32_t> open{offset_of(units_[0])};
  while (!open.empty()) {
    const uint32_t base = open.back();
    open.pop_back();
    for (uint32_t byte = 1; byte < 256; ++byte) {
      const uint32_t at = base ^ byte;
      if (at >= units_.size() || label_of(units_[at]) != byte || seen[at]) continue;
      seen[at] = true;
      const uint32_t children = at ^ offset_of(units_[at]);
      if (children >= units_.size()) refuse("a node points outside of it");
      if (has_value(units_[at]) && value_of(units_[children]) >= texts_.size())
        refuse("a text is missing");
      open.push_back(children);
    }
  }
}

// The node below those of `base` that `byte` leads to; kNone where there is none.
uint32_t Charsmap::child(uint32_t base, unsigned char byte) const {
  const uint32_t at = base ^ byte;
  return byte != 0 && at < units_.size() && label_of(units_[at]) == byte ? at : kNone;
}

std::optional<std::string_view> Charsmap::find(std::string_view text) const {
  uint32_t base = offset_of(units_[0]);
  for (const char c : text) {
    const uint32_t node = child(base, static_cast<unsigned char>(c));
    if (node == kNone) break;
    base = node ^ offset_of(units_[node]);
    if (has_value(units_[node])) return texts_.data() + value_of(units_[base]);
  }
  return std::nullopt;
}

std::optional<Charsmap::Key> Charsmap::longest_key(std::string_view text) const {
  std::optional<Key> longest;
  uint32_t base = offset_of(units_[0]);
  for (size_t at = 0; at < text.size(); ++at) {
    const uint32_t node = child(base, static_cast<unsigned char>(text[at]));
    if (node == kNone) break;
    base = node ^ offset_of(units_[node]);
    if (has_value(units_[node])) longest = Key{at + 1, texts_.data() + value_of(units_[base])};
  }
  return longest;
}

void Charsmap::apply_longest(NormalizedText& text) const {
  const std::string_view all = text.view();
  std::vector<Change> changes;
  for (size_t at = 0; at < all.size();) {
    if (const std::optional<Key> key = longest_key(all.substr(at))) {
      append_changes(all.substr(at, key->size), key->becomes, changes);
      at += key->size;
    } else {
      changes.push_back({next_code_point(all, at), 0});
    }
  }
  text.transform(changes);
}

void Charsmap::apply(NormalizedText& text) const {
  constexpr size_t kMostBytes = 5;
  const std::string_view all = text.view();
  std::vector<Change> changes;
  bool is_changed = false;
  const auto change = [&](std::string_view part) {
    const auto found = find(part);
    if (!found) return false;
    is_changed = true;
    append_changes(part, *found, changes);
    return true;
  };
  for (size_t at = 0; at < all.size();) {
    const size_t end = unicode::end_of_grapheme(all, at);
    if (end - at <= kMostBytes && change(all.substr(at, end - at))) {
      at = end;
      continue;
    }
    while (at < end) {
      const size_t begin = at;
      const char32_t code = next_code_point(all, at);
      if (!change(all.substr(begin, at - begin))) changes.push_back({code, 0});
    }
  }
  if (is_changed) text.transform(changes);
}

}  // namespace hone
