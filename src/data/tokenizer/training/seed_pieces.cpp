#include "data/tokenizer/training/seed_pieces.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string_view>

#include "base/utf8.h"

namespace hone {
namespace {

// Suffixes of all words, sorted by their first characters up to the end of the word.
class SuffixList {
 public:
  // Of words one after the other, each with a 0 behind it.
  SuffixList(const std::u32string& text, size_t depth) : text_(text), depth_(depth) {
    for (uint32_t at = 0; at < text.size(); ++at) {
      if (text[at] != 0) suffixes_.push_back({key_of(at), at});
    }
    std::sort(suffixes_.begin(), suffixes_.end(), [&](const Suffix& a, const Suffix& b) {
      return a.key != b.key ? a.key < b.key : is_less_after_key(a.at, b.at);
    });
  }

  size_t size() const { return suffixes_.size(); }
  uint32_t operator[](size_t i) const { return suffixes_[i].at; }

  // Characters that suffixes i - 1 and i have in common, `depth` where they are equal.
  size_t common(size_t i) const {
    const uint32_t a = suffixes_[i - 1].at, b = suffixes_[i].at;
    for (size_t size = 0; size < depth_; ++size) {
      if (text_[a + size] != text_[b + size]) return size;
      if (text_[a + size] == 0) return depth_;
    }
    return depth_;
  }

 private:
  static constexpr size_t kKeyed = 3;
  struct Suffix {
    uint64_t key;  // its first characters
    uint32_t at;
  };

  const std::u32string& text_;
  size_t depth_;
  std::vector<Suffix> suffixes_;

  uint64_t key_of(uint32_t at) const {
    uint64_t key = 0;
    bool is_ended = false;
    for (size_t i = 0; i < kKeyed; ++i) {
      is_ended = is_ended || text_[at + i] == 0;
      key = key << 21 | (is_ended ? 0 : text_[at + i]);
    }
    return key;
  }

  bool is_less_after_key(uint32_t a, uint32_t b) const {
    for (size_t i = 0; i < kKeyed; ++i) {
      if (text_[a + i] == 0) return false;  // the same words' ends
    }
    for (size_t i = kKeyed; i < depth_; ++i) {
      if (text_[a + i] != text_[b + i]) return text_[a + i] < text_[b + i];
      if (text_[a + i] == 0) return false;
    }
    return false;
  }
};

struct Part {
  int64_t score;
  uint32_t at;
  uint32_t size;
};

// A part that different characters follow (the end of a word is one) is an interval of sorted
// suffixes with so much in common and with less at both sides.
std::vector<Part> repeated_parts(const SuffixList& suffixes, size_t most_length) {
  struct Open {
    size_t size, first;
  };
  std::vector<Part> out;
  std::vector<Open> open;
  for (size_t i = 1; i <= suffixes.size(); ++i) {
    const size_t common = i < suffixes.size() ? suffixes.common(i) : 0;
    size_t first = i - 1;
    while (!open.empty() && open.back().size > common) {
      const auto [size, begin] = open.back();
      open.pop_back();
      first = begin;
      if (size >= 2 && size <= most_length)
        out.push_back({static_cast<int64_t>((i - begin) * size), suffixes[begin],
                       static_cast<uint32_t>(size)});
    }
    if (common > 0 && (open.empty() || open.back().size < common)) open.push_back({common, first});
  }
  return out;
}

}  // namespace

std::vector<std::pair<std::string, int64_t>> seed_pieces(const WordCounts& words,
                                                         int64_t most_length, size_t most) {
  std::u32string text;
  std::map<char32_t, int64_t> counts;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::u32string word = from_utf8(words.word(i));
    for (const char32_t c : word) {
      if (c != 0) counts[c] += words.count(i);
    }
    text += word + U'\0';
  }
  std::vector<std::pair<int64_t, char32_t>> characters;
  for (const auto& [c, count] : counts) characters.emplace_back(count, c);
  std::sort(characters.begin(), characters.end(), std::greater<>());
  std::vector<std::pair<std::string, int64_t>> out;
  for (const auto& [count, c] : characters) out.emplace_back(to_utf8({&c, 1}), count);

  const auto depth = static_cast<size_t>(most_length) + 1;
  std::vector<Part> parts = repeated_parts(SuffixList(text, depth), most_length);
  const auto written = [&](const Part& part) {
    return std::u32string_view(text).substr(part.at, part.size);
  };
  std::sort(parts.begin(), parts.end(), [&](const Part& a, const Part& b) {
    return a.score != b.score ? a.score > b.score : written(a) > written(b);
  });
  for (const Part& part : parts) {
    if (out.size() >= std::max(most, characters.size() + 1)) break;
    out.emplace_back(to_utf8(written(part)), part.score);
  }
  return out;
}

}  // namespace hone
