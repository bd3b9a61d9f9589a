#include "data/tokenizer/normalized_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "data/tokenizer/unicode.h"

namespace hone {
namespace {

using Change = NormalizedText::Change;

// Steps of a normalizer that each make more of the text ("a" -> "aa", thirty times) would fill any
// memory. What the most generous of Unicode's own does to a text is eleven times as many bytes.
constexpr size_t kMostGrowth = 16, kFreeGrowth = 4096;

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

bool is_ascii(std::string_view text) {
  char all = 0;  // without a branch, many bytes at once
  for (const char byte : text) all |= byte;
  return (all & 0x80) == 0;
}

bool is_capital(char byte) { return byte >= 'A' && byte <= 'Z'; }

struct Mark {
  char32_t code;
  int32_t change;
  int combining_class;
};

// Canonical decomposition and ordering (UAX #15). Each code point made of one old one carries
// change 0 on its first part and 1 on the others, and keeps it when marks are reordered.
std::vector<Mark> decompose(std::string_view text, bool is_compatible) {
  std::vector<Mark> out;
  std::u32string parts;
  size_t pending = 0;  // marks from here on are not in order yet
  const auto sort_pending = [&] {
    std::stable_sort(
        out.begin() + static_cast<int64_t>(pending), out.end(),
        [](const Mark& a, const Mark& b) { return a.combining_class < b.combining_class; });
    pending = out.size();
  };
  for (size_t at = 0; at < text.size();) {
    parts.clear();
    unicode::append_decomposition(next_code_point(text, at), is_compatible, parts);
    for (size_t i = 0; i < parts.size(); ++i) {
      const int combining_class = unicode::combining_class(parts[i]);
      if (combining_class == 0) sort_pending();
      out.push_back({parts[i], i == 0 ? 0 : 1, combining_class});
      if (combining_class == 0) pending = out.size();
    }
  }
  sort_pending();
  return out;
}

// Canonical composition: each starter takes up the following marks it has a composite with, unless
// one in between blocks them. A composite's change counts the old code points it swallowed.
std::vector<Change> compose(const std::vector<Mark>& marks) {
  std::vector<Change> out;
  size_t starter = SIZE_MAX;  // its index in `out`
  int last_class = -1;        // of the last mark kept after the starter; -1 where there is none
  for (const Mark& mark : marks) {
    if (starter != SIZE_MAX && (last_class < mark.combining_class)) {
      if (const char32_t composite = unicode::compose(out[starter].code, mark.code)) {
        out[starter] = {composite, out[starter].change + mark.change - 1};
        continue;
      }
    }
    if (mark.combining_class == 0) {
      starter = out.size();
      last_class = -1;
    } else {
      last_class = mark.combining_class;
    }
    out.push_back({mark.code, mark.change});
  }
  return out;
}

}  // namespace

NormalizedText::NormalizedText(std::string_view text, int32_t begin, int32_t end)
    : text_(text), begin_(begin), end_(end) {}

Span NormalizedText::source(int32_t begin, int32_t end) const {
  if (is_moved_) return {align_[begin].start, align_[end - 1].end};
  Span span{begin_ + begin, begin_ + end};  // a part of a code point stands for the whole of it
  for (int i = 0; i < 3 && span.start > begin_ && is_continuation(text_[span.start]); ++i)
    --span.start;
  for (int i = 0; i < 3 && span.end < end_ && is_continuation(text_[span.end]); ++i) ++span.end;
  return span;
}

NormalizedText NormalizedText::slice(int32_t begin, int32_t end) const {
  NormalizedText out(text_, begin_ + begin, begin_ + end);
  if (!is_own_) return out;
  out.is_own_ = true;
  out.bytes_ = bytes_.substr(begin, end - begin);
  if (!is_moved_) return out;
  out.is_moved_ = true;
  out.begin_ = begin_;
  out.end_ = end_;
  out.align_.assign(align_.begin() + begin, align_.begin() + end);
  return out;
}

void NormalizedText::set_own() {
  if (is_own_) return;
  bytes_ = view();
  is_own_ = true;
}

void NormalizedText::set_moved() {
  if (is_moved_) return;
  set_own();
  is_moved_ = true;
  align_.reserve(bytes_.size());
  for (size_t at = 0; at < bytes_.size();) {
    const size_t start = at;
    next_code_point(bytes_, at);
    align_.insert(align_.end(), at - start,
                  Span{begin_ + static_cast<int32_t>(start), begin_ + static_cast<int32_t>(at)});
  }
}

void NormalizedText::check_growth(size_t bytes) const {
  if (bytes <= kMostGrowth * static_cast<size_t>(end_ - begin_) + kFreeGrowth) return;
  throw Error(ErrorKind::kModel,
              fmt::format("the tokenizer's normalizer makes more than {} bytes of {}; no model "
                          "needs that. Is its tokenizer.json damaged?",
                          bytes - 1, end_ - begin_));
}

void NormalizedText::transform(const std::vector<Change>& changes, int32_t removed_at_start) {
  set_moved();
  std::string bytes;
  std::vector<Span> align;
  bytes.reserve(bytes_.size());
  align.reserve(bytes_.size());
  size_t at = 0;  // in the old text
  const auto skip = [&](int32_t count) {
    for (; count > 0 && at < bytes_.size(); --count) next_code_point(bytes_, at);
  };
  skip(removed_at_start);
  for (const Change& change : changes) {
    Span span{begin_, begin_};
    if (change.change > 0) {
      if (at > 0) span = align_[at - 1];
    } else {
      if (at < bytes_.size()) span = align_[at];
      skip(1 - change.change);
    }
    const size_t before = bytes.size();
    append_utf8(bytes, change.code);
    check_growth(bytes.size());
    align.insert(align.end(), bytes.size() - before, span);
  }
  bytes_ = std::move(bytes);
  align_ = std::move(align);
}

void NormalizedText::keep_if(const std::function<bool(char32_t)>& is_kept) {
  std::vector<Change> changes;
  int32_t removed = 0, removed_at_start = 0;
  bool is_any_removed = false;
  for (size_t at = 0; at < view().size();) {
    const char32_t code = next_code_point(view(), at);
    if (!is_kept(code)) {
      ++removed;
      is_any_removed = true;
      continue;
    }
    if (changes.empty()) {
      removed_at_start = removed;
    } else {
      changes.back().change = -removed;
    }
    removed = 0;
    changes.push_back({code, 0});
  }
  if (is_any_removed) transform(changes, removed_at_start);
}

void NormalizedText::map(const std::function<char32_t(char32_t)>& to) {
  std::vector<Change> changes;
  bool is_same = true;
  for (size_t at = 0; at < view().size();) {
    const char32_t code = next_code_point(view(), at);
    changes.push_back({to(code), 0});
    is_same = is_same && changes.back().code == code;
  }
  if (!is_same) transform(changes);
}

void NormalizedText::lowercase() {
  if (is_ascii(view())) {
    if (std::none_of(view().begin(), view().end(), is_capital)) return;
    set_own();
    for (char& byte : bytes_) byte = is_capital(byte) ? static_cast<char>(byte | 0x20) : byte;
    return;
  }
  std::vector<Change> changes;
  bool is_same = true;
  for (size_t at = 0; at < view().size();) {
    const char32_t code = next_code_point(view(), at);
    const auto [first, second] = unicode::to_lower(code);
    changes.push_back({first, 0});
    if (second != 0) changes.push_back({second, 1});
    is_same = is_same && first == code;
  }
  if (!is_same) transform(changes);
}

void NormalizedText::normalize(bool is_compatible, bool is_composed) {
  if (is_ascii(view())) return;
  const std::vector<Mark> marks = decompose(view(), is_compatible);
  std::vector<Change> changes;
  if (is_composed) {
    changes = compose(marks);
  } else {
    for (const Mark& mark : marks) changes.push_back({mark.code, mark.change});
  }
  transform(changes);
}

void NormalizedText::isolate_chinese() {
  std::vector<Change> changes;
  bool is_any = false;
  for (size_t at = 0; at < view().size();) {
    const char32_t code = next_code_point(view(), at);
    if (unicode::is_chinese(code)) {
      is_any = true;
      changes.insert(changes.end(), {{U' ', 0}, {code, 1}, {U' ', 1}});
    } else {
      changes.push_back({code, 0});
    }
  }
  if (is_any) transform(changes);
}

void NormalizedText::strip(bool left, bool right, bool blanks_alone) {
  const std::string_view text = view();
  size_t begin = 0, end = 0, at = 0;  // end: after the last code point that is not white space
  bool is_leading = true;
  while (at < text.size()) {
    const char32_t code = next_code_point(text, at);
    const bool is_space = blanks_alone ? code == U' ' : unicode::is_white_space(code);
    if (is_space && is_leading) begin = at;
    if (!is_space) {
      is_leading = false;
      end = at;
    }
  }
  begin = left ? begin : 0;
  end = right ? std::max(end, begin) : text.size();
  if (begin > 0 || end < text.size())
    *this = slice(static_cast<int32_t>(begin), static_cast<int32_t>(end));
}

void NormalizedText::replace(const Finder& finder, std::string_view by) {
  const std::vector<Span> matches = finder.matches(view());
  const bool is_same =
      count_code_points(by) == 1 && std::all_of(matches.begin(), matches.end(), [&](Span match) {
        return view().substr(match.start, match.end - match.start) == by;
      });
  if (matches.empty() || is_same) return;
  Rewriter out(*this);
  int32_t done = 0;
  for (const auto& [begin, end] : matches) {
    out.copy(done, begin);
    out.put(by, end - 1);  // all of it stands for the last code point replaced
    done = end;
  }
  out.copy(done, static_cast<int32_t>(bytes_.size()));
  out.commit();
}

NormalizedText::Rewriter::Rewriter(NormalizedText& text) : text_(text) {
  text_.set_moved();
  bytes_.reserve(text_.bytes_.size());
  align_.reserve(text_.bytes_.size());
}

void NormalizedText::Rewriter::copy(int32_t begin, int32_t end) {
  bytes_.append(text_.bytes_, begin, end - begin);
  align_.insert(align_.end(), text_.align_.begin() + begin, text_.align_.begin() + end);
}

void NormalizedText::Rewriter::put(std::string_view bytes, int32_t at) {
  text_.check_growth(bytes_.size() + bytes.size());
  bytes_ += bytes;
  align_.insert(align_.end(), bytes.size(),
                at < 0 ? Span{text_.begin_, text_.begin_} : text_.align_[at]);
}

void NormalizedText::Rewriter::commit() {
  text_.bytes_ = std::move(bytes_);
  text_.align_ = std::move(align_);
}

void NormalizedText::prepend(std::string_view prefix) {
  if (view().empty()) return;
  check_growth(view().size() + prefix.size());
  set_moved();
  align_.insert(align_.begin(), prefix.size(), align_.front());
  bytes_.insert(0, prefix);
}

}  // namespace hone
