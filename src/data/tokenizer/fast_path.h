// What the encoders that do all in one pass over a text have in common.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/normalized_text.h"
#include "data/tokenizer/tokenizer.h"

namespace hone {

// One pass over bytes `range` of a text: where it stands, the normalised bytes of what is under
// way, and which bytes of the text each of them stands for.
class FastPath {
 public:
  FastPath(std::string_view text, Span range, int32_t word, Encoding& out)
      : text_(text.substr(0, range.end)), at_(range.start), word_(word), out_(out) {}

  int32_t word() const { return word_; }

 protected:
  std::string_view text_;
  size_t at_;
  int32_t word_;
  Encoding& out_;

 private:
  struct Scratch {
    std::string bytes;
    std::vector<Span> align;
    std::vector<Piece> pieces;
  };
  static Scratch& scratch() {
    thread_local Scratch scratch;
    return scratch;
  }
  std::vector<Span>& align_ = scratch().align;  // of each of bytes_, unless is_linear_
  size_t start_ = 0;                            // where they begin in the text
  bool is_linear_ = true;  // code points stand where they stood, from start_ on, with as many bytes

 protected:
  std::string& bytes_ = scratch().bytes;
  std::vector<Piece>& pieces_ = scratch().pieces;  // for use in between

  // What follows begins at byte `start` of the text.
  void start_bytes(size_t start) {
    bytes_.clear();
    start_ = start;
    is_linear_ = true;
  }
  size_t start() const { return start_; }
  bool is_linear() const { return is_linear_; }

  // The bytes added since there were `before` stand for the code point [begin, at_) of the text.
  void note_source(size_t before, size_t begin) {
    if (is_linear_ && start_ + before == begin && start_ + bytes_.size() == at_) return;
    if (is_linear_) write_align(before);
    align_.resize(bytes_.size(), Span{static_cast<int32_t>(begin), static_cast<int32_t>(at_)});
  }

  // All of `text` from byte `first` on.
  void set_bytes(const NormalizedText& text, size_t first) {
    bytes_ = text.view().substr(first);
    is_linear_ = false;
    align_.clear();
    for (auto i = static_cast<int32_t>(first); i < static_cast<int32_t>(text.view().size()); ++i)
      align_.push_back(text.source(i, i + 1));
  }

  // The bytes of the text behind [begin, end) of bytes_: whole code points.
  Span source(int32_t begin, int32_t end) const {
    if (!is_linear_) return {align_[begin].start, align_[end - 1].end};
    size_t from = start_ + begin, to = start_ + end;
    while (from > start_ && is_continuation(from)) --from;
    while (to < at_ && is_continuation(to)) ++to;
    return {static_cast<int32_t>(from), static_cast<int32_t>(to)};
  }

  void push(int32_t id, Span span) {
    out_.ids.push_back(id);
    out_.offsets.push_back(span);
    out_.words.push_back(word_);
  }

 private:
  bool is_continuation(size_t at) const {
    return (static_cast<unsigned char>(text_[at]) & 0xC0) == 0x80;
  }

  void write_align(size_t bytes) {
    is_linear_ = false;
    align_.clear();
    for (size_t at = start_; at < start_ + bytes;) {
      const size_t from = at;
      next_code_point(text_, at);
      align_.insert(align_.end(), at - from,
                    {static_cast<int32_t>(from), static_cast<int32_t>(at)});
    }
  }
};

// What `run` adds to `out`, and the number of the next word. False where the text is not for it:
// `out` and `word` are then as they were.
template <typename Run>
bool run_or_undo(Run&& run, int32_t& word, Encoding& out) {
  const size_t before = out.ids.size();
  if (!run.run()) {
    out.ids.resize(before);
    out.offsets.resize(before);
    out.words.resize(before);
    return false;
  }
  word = run.word();
  return true;
}

}  // namespace hone
