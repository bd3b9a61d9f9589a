// A walk through a JSON document, whatever its size: brackets, keys and whole values, each of them
// held in the text's window only while it is looked at.
#pragma once

#include <string>
#include <string_view>

#include "data/text_stream.h"

namespace hone {

// Passes over white space from `at` on; the place of what follows, or text.size().
size_t skip_json_space(std::string_view text, size_t at);

// Finds where a value ends in a text that may grow: brackets and strings are matched, nothing else
// is checked.
class JsonValueEnd {
 public:
  // `text` begins with the value, and with all that was given before. True once its end is certain.
  bool find(std::string_view text);
  size_t size() const { return at_; }  // of the value, where `find` was true

 private:
  bool pass(char c);  // true where the value ends before c, or with it

  size_t at_ = 0;
  int64_t depth_ = 0;
  bool is_in_string_ = false;
};

class JsonStream {
 public:
  // An array or object that is being walked through.
  struct Level {
    char close;
    bool is_begun = false;
  };

  explicit JsonStream(TextStream& text) : text_(text) {}

  // Passes over white space; the next character, or NUL at the end.
  char next();
  // Into what begins here. REQUIRES: next() is '[' or '{'.
  Level enter();
  // Goes to the next element, or key; false behind the end of the level.
  bool next_in(Level& level);
  // The key that begins here and its colon, consumed. StreamError for one that is no text.
  std::string key();
  // Passes over the value that begins here; of lists and objects no more than an element of an
  // element is in the window.
  void skip_value();
  // The size of the value that begins here; all of it is in the window then.
  size_t value_size();

  Where here() const { return text_.here(); }
  [[noreturn]] void fail(const std::string& message);  // StreamError here: "not valid JSON: …"

 private:
  Json parse_key(size_t size);
  void skip_value(int levels);  // so many of which are walked through

  TextStream& text_;
};

}  // namespace hone
