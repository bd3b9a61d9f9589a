// Decoded text as a sliding window with line and column, and as lines. Memory is bounded by the
// longest row.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/byte_stream.h"

namespace hone {

constexpr size_t kLongestRow = size_t{64} << 20;  // bytes of a row, without its line end

class TextStream {
 public:
  explicit TextStream(const SourceOptions& options);  // passes over a byte order mark

  // What is read but not consumed. `more` makes it longer (false at the end of the text) and
  // invalidates earlier views. StreamError where a row longer than kLongestRow begins here.
  std::string_view window() const { return {buffer_.data() + begin_, end_ - begin_}; }
  bool more();
  bool is_full() const;       // `more` would throw
  void consume(size_t size);  // REQUIRES: size <= window().size()

  // The window's first line. Its end is 0 bytes long where the text ends without one, and where the
  // line is too long.
  struct Line {
    size_t size, end_size;
  };
  Line first_line();

  // The next line without its end, consumed; false at the end. The view holds until
  // the next call.
  bool next_line(std::string_view& line);
  int64_t line_number() const { return returned_line_; }  // of the line that next_line gave

  // The place of window()[offset].
  Where where(size_t offset) const;
  Where here() const { return {*file_, line_, column_}; }  // of the window's first byte
  int64_t line() const { return line_; }

  // Throws for bytes that are no text (not UTF-8, or NUL). `text` begins at `start`; it must lie in
  // the stream's buffer.
  void check_text(std::string_view text, const Where& start);

  const std::shared_ptr<const std::string>& file() const { return file_; }
  std::pair<int64_t, int64_t> position() const { return bytes_->position(); }

 private:
  void make_room();
  StreamError too_long() const;
  const std::string& likely_encoding_at(const char* evidence);

  std::shared_ptr<const std::string> file_;
  std::string encoding_;
  std::unique_ptr<ByteStream> bytes_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;
  int64_t line_ = 1, column_ = 1;  // of the window's first byte
  int64_t returned_line_ = 0;
  std::optional<std::string>
      likely_encoding_;  // guessed once for a file: a guess takes milliseconds
};

}  // namespace hone
