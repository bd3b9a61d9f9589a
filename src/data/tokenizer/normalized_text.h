// A piece of the original text after normalisation, with the bytes of the original that each of its
// bytes stands for. The rules for those follow the reference (tokenizers, NormalizedString),
// oddities included, since offsets are to be equal.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/sample.h"
#include "data/tokenizer/finder.h"

namespace hone {

class NormalizedText {
 public:
  // The bytes [begin, end) of `text`, unchanged. `text` must outlive this.
  NormalizedText(std::string_view text, int32_t begin, int32_t end);

  std::string_view view() const {
    return is_own_ ? std::string_view(bytes_) : text_.substr(begin_, end_ - begin_);
  }
  Span source(int32_t begin, int32_t end)
      const;  // bytes of the original text behind [begin, end) of view(); begin < end
  NormalizedText slice(int32_t begin, int32_t end) const;  // the same for a part of view()

  // A code point of the new text: change 1 adds it, 0 lets it replace the next old one, -n replaces
  // the next and removes n more.
  struct Change {
    char32_t code;
    int32_t change;
  };
  void transform(const std::vector<Change>& changes, int32_t removed_at_start = 0);

  void keep_if(const std::function<bool(char32_t)>& is_kept);
  void map(const std::function<char32_t(char32_t)>& to);
  void lowercase();
  void normalize(bool is_compatible, bool is_composed);          // NFD, NFKD, NFC, NFKC
  void isolate_chinese();                                        // spaces around
  void strip(bool left, bool right, bool blanks_alone = false);  // blanks or all white space
  void replace(const Finder& finder, std::string_view by);
  void prepend(std::string_view prefix);  // nothing on an empty text

  // The text made anew out of parts of it, from its first byte to its last.
  class Rewriter {
   public:
    explicit Rewriter(NormalizedText& text);
    void copy(int32_t begin, int32_t end);
    // Bytes that stand for what the byte `at` of the old text stands for; before the first byte
    // (-1) for nothing.
    void put(std::string_view bytes, int32_t at);
    int32_t size() const { return static_cast<int32_t>(bytes_.size()); }
    void commit();

   private:
    NormalizedText& text_;
    std::string bytes_;
    std::vector<Span> align_;
  };

 private:
  std::string_view text_;
  int32_t begin_, end_;
  // While each code point stands where it stood in the text, with as many bytes, align_ is not
  // filled; while they are the same ones, bytes_ is not either.
  bool is_own_ = false, is_moved_ = false;
  std::string bytes_;
  std::vector<Span> align_;  // for each byte of bytes_

  void set_own();
  void set_moved();
  void check_growth(size_t bytes) const;
};

}  // namespace hone
