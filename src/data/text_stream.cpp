#include "data/text_stream.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include "base/utf8.h"

namespace hone {
namespace {

constexpr size_t kChunk = size_t{256} << 10;
constexpr size_t kLongestWindow = kLongestRow + 3;  // with its line end, CR CR LF at most
constexpr size_t kEvidence = size_t{64} << 10;      // bytes shown to the encoding detector

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// The first LF or CR from `from` on, or npos. Each is looked for in short pieces, so that a text
// without one of them is not searched anew for each line.
size_t find_line_end(std::string_view text, size_t from) {
  constexpr size_t kPiece = 4096;
  for (; from < text.size(); from += kPiece) {
    const std::string_view piece = text.substr(from, kPiece);
    const size_t feed = std::min(piece.find('\n'), piece.size());
    const size_t end = std::min(piece.substr(0, feed).find('\r'), feed);
    if (end < piece.size()) return from + end;
  }
  return std::string_view::npos;
}

}  // namespace

bool TextStream::is_full() const { return window().size() == kLongestWindow; }

TextStream::TextStream(const SourceOptions& options)
    : file_(std::make_shared<const std::string>(options.path == "-" ? "standard input"
                                                                    : options.path)),
      encoding_(options.encoding),
      bytes_(open_bytes(options)),
      buffer_(kChunk) {
  while (window().size() < kByteOrderMark.size() && kByteOrderMark.starts_with(window())) {
    if (!more()) break;
  }
  if (window().starts_with(kByteOrderMark)) begin_ += kByteOrderMark.size();
}

bool TextStream::more() {
  if (is_full()) throw too_long();
  make_room();
  const size_t got = bytes_->read(buffer_.data() + end_, buffer_.size() - end_);
  end_ += got;
  return got > 0;
}

StreamError TextStream::too_long() const {
  return {ErrorKind::kData, here(),
          fmt::format(
              "a row longer than {} MiB begins here; is the format right, is a quote left open?",
              kLongestRow >> 20)};
}

// Moves the window to the front, and doubles the buffer up to the longest row and its line end.
void TextStream::make_room() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ >= kChunk / 2 || buffer_.size() == kLongestWindow) return;
  const size_t size = buffer_.size() < kLongestRow / 2 ? buffer_.size() * 2 : kLongestWindow;
  buffer_.reserve(size);  // `resize` alone may take twice as much
  buffer_.resize(size);
}

void TextStream::consume(size_t size) {
  const Where after = where(size);
  line_ = after.line;
  column_ = after.column;
  begin_ += size;
}

TextStream::Line TextStream::first_line() {
  for (size_t from = 0;;) {
    from = std::min(find_line_end(window(), from), window().size());
    const std::string_view end = window().substr(from, 3);  // a CR may be the first of three bytes
    const bool is_certain =
        end.starts_with('\n') || end.size() == 3 || (end.size() == 2 && end != "\r\r");
    if (is_certain || is_full() || !more()) return {from, line_end_length(window(), from)};
  }
}

bool TextStream::next_line(std::string_view& line) {
  const Line first = first_line();
  if (window().empty()) return false;
  if (first.size > kLongestRow) throw too_long();
  line = window().substr(0, first.size);
  returned_line_ = line_;
  begin_ += first.size + first.end_size;
  ++line_;
  column_ = 1;
  return true;
}

Where TextStream::where(size_t offset) const { return advance(here(), window(), offset); }

void TextStream::check_text(std::string_view text, const Where& start) {
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    const size_t bad = invalid_utf8(text);
    const Where where = advance(start, text, bad);
    if (!is_utf8_name(encoding_))
      throw Error(ErrorKind::kData, where,
                  fmt::format("a character here is not valid in the encoding {}", encoding_));
    const std::string& likely = likely_encoding_at(text.data());
    std::string message =
        fmt::format("the byte 0x{:02X} is not UTF-8; ", static_cast<unsigned char>(text[bad]));
    if (likely.empty() || is_utf8_name(likely)) {
      message += "the text around it is, so this row seems to be damaged";
    } else {
      message +=
          fmt::format("the text looks like {}. If it is, write \"encoding: {}\" beside its path",
                      likely, likely);
    }
    throw Error(ErrorKind::kData, where, message);
  }
  const void* nul = text.empty() ? nullptr : std::memchr(text.data(), '\0', text.size());
  if (nul != nullptr) {
    const size_t at = static_cast<size_t>(static_cast<const char*>(nul) - text.data());
    // In UTF-16 each character of ASCII has a NUL: behind it in the one order, before it in the
    // other.
    const bool is_first = start.line == 1 && start.column == 1;
    const char* order = !is_first     ? "utf-16le\" or \"utf-16be"
                        : at % 2 == 0 ? "utf-16be"
                                      : "utf-16le";
    throw Error(
        ErrorKind::kData, advance(start, text, at),
        fmt::format("a NUL byte in the text; the file is damaged, or it is not text (UTF-16 "
                    "without a byte order mark needs \"encoding: {}\")",
                    order));
  }
}

// The file's encoding as its first bad row shows it: all that is in the buffer after that row's
// beginning speaks for or against one.
const std::string& TextStream::likely_encoding_at(const char* evidence) {
  if (!likely_encoding_) {
    const size_t size = static_cast<size_t>(buffer_.data() + end_ - evidence);
    likely_encoding_ = likely_encoding({evidence, std::min(size, kEvidence)});
  }
  return *likely_encoding_;
}

}  // namespace hone
