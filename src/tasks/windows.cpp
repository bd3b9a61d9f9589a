#include "tasks/windows.h"

#include <algorithm>
#include <limits>

namespace hone {
namespace {

bool is_start(const std::vector<int32_t>& words, int64_t piece) {
  return piece == 0 || words[piece] != words[piece - 1];
}

// The last place in (begin, at] where a word starts; `at` itself where there is none.
int64_t word_start(const std::vector<int32_t>& words, int64_t begin, int64_t at) {
  for (int64_t i = at; i > begin; --i) {
    if (is_start(words, i)) return i;
  }
  return at;
}

// Pieces of one window and how far each is from a cut.
class Context {
 public:
  Context(std::span<const int32_t> words, bool is_first, bool is_last)
      : left_is_cut_(!is_first), right_is_cut_(!is_last) {
    const auto is_content = [](int32_t word) { return word >= 0; };
    begin_ = std::find_if(words.begin(), words.end(), is_content) - words.begin();
    end_ = static_cast<int64_t>(words.size()) -
           (std::find_if(words.rbegin(), words.rend(), is_content) - words.rbegin());
  }

  int64_t operator()(int64_t piece) const {
    constexpr int64_t kFar = std::numeric_limits<int64_t>::max();
    return std::min(left_is_cut_ ? piece - begin_ : kFar, right_is_cut_ ? end_ - 1 - piece : kFar);
  }

 private:
  bool left_is_cut_, right_is_cut_;
  int64_t begin_, end_;
};

}  // namespace

Window window_around(int64_t pieces, const Window& kept, int64_t room) {
  if (pieces <= room) return {0, pieces};
  const int64_t before = (room - (kept.end - kept.begin)) / 2;
  const int64_t begin = std::clamp<int64_t>(kept.begin - before, 0, pieces - room);
  return {begin, begin + room};
}

Encoding part_of(const Encoding& all, const Window& window) {
  return {{all.ids.begin() + window.begin, all.ids.begin() + window.end},
          {all.offsets.begin() + window.begin, all.offsets.begin() + window.end},
          {all.words.begin() + window.begin, all.words.begin() + window.end}};
}

std::vector<int32_t> words_of(const Sequence& sequence, int32_t text) {
  std::vector<int32_t> words = sequence.words;
  for (size_t i = 0; i < words.size(); ++i) {
    if (sequence.texts[i] != text) words[i] = -1;
  }
  return words;
}

std::vector<Window> cut_windows(const std::vector<int32_t>& words, int64_t room, int64_t stride) {
  const auto n = static_cast<int64_t>(words.size());
  std::vector<Window> windows;
  for (int64_t begin = 0;;) {
    Window window{begin, std::min(begin + room, n)};
    if (window.end < n) window.end = word_start(words, begin, window.end);
    windows.push_back(window);
    if (window.end == n) return windows;
    const int64_t back = word_start(words, begin, std::max(window.end - stride, begin));
    begin = back > begin && is_start(words, back) ? back : window.end;
  }
}

std::vector<Place> answering_places(const std::vector<std::vector<int32_t>>& windows,
                                    int64_t words) {
  std::vector<Place> places(words);
  std::vector<int64_t> best(words, -1);
  for (size_t w = 0; w < windows.size(); ++w) {
    const Context context(windows[w], w == 0, w + 1 == windows.size());
    int32_t before = -1;
    for (size_t i = 0; i < windows[w].size(); ++i) {
      const int32_t word = windows[w][i];
      const bool is_first_piece = word >= 0 && word != before;
      before = word;
      if (!is_first_piece || context(static_cast<int64_t>(i)) <= best[word]) continue;
      best[word] = context(static_cast<int64_t>(i));
      places[word] = {static_cast<int32_t>(w), static_cast<int32_t>(i)};
    }
  }
  return places;
}

}  // namespace hone
