#include "data/text_stream.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include "base/utf8.h"

namespace hone {
namespace {

constexpr size_t kChunk = size_t{256} << 10;
constexpr size_t kLongestRow = size_t{64} << 20;
constexpr size_t kEvidence = size_t{64} << 10;  // bytes shown to the encoding detector

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

Where advance(Where start, std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const size_t last = before.rfind('\n');
  if (last == std::string_view::npos) {
    start.column += static_cast<int64_t>(before.size());
  } else {
    start.line += std::count(before.begin(), before.end(), '\n');
    start.column = static_cast<int64_t>(before.size() - last);
  }
  return start;
}

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
  if (end_ - begin_ > kLongestRow) {
    throw StreamError(
        ErrorKind::kData, here(),
        fmt::format(
            "a row longer than {} MiB begins here; is the format right, is a quote left open?",
            kLongestRow >> 20));
  }
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() - end_ < kChunk / 2) buffer_.resize(buffer_.size() * 2);
  const size_t got = bytes_->read(buffer_.data() + end_, buffer_.size() - end_);
  end_ += got;
  return got > 0;
}

void TextStream::consume(size_t size) {
  const Where after = where(size);
  line_ = after.line;
  column_ = after.column;
  begin_ += size;
}

bool TextStream::next_line(std::string_view& line) {
  size_t scanned = 0, length = 0, consumed = 0;
  for (;;) {
    const std::string_view text = window();
    const void* found = text.size() > scanned
                            ? std::memchr(text.data() + scanned, '\n', text.size() - scanned)
                            : nullptr;
    if (found != nullptr) {
      length = static_cast<size_t>(static_cast<const char*>(found) - text.data());
      consumed = length + 1;
      break;
    }
    scanned = text.size();
    if (more()) continue;
    if (window().empty()) return false;
    length = consumed = window().size();
    break;
  }
  line = window().substr(0, length);
  if (line.ends_with('\r')) line.remove_suffix(1);
  returned_line_ = line_;
  begin_ += consumed;
  ++line_;
  column_ = 1;
  return true;
}

Where TextStream::where(size_t offset) const { return advance(here(), window(), offset); }

void TextStream::check_text(std::string_view text, const Where& start) const {
  if (!simdjson::validate_utf8(text.data(), text.size())) {
    const size_t bad = invalid_utf8(text);
    const Where where = advance(start, text, bad);
    if (!is_utf8_name(encoding_))
      throw Error(ErrorKind::kData, where,
                  fmt::format("a character here is not valid in the encoding {}", encoding_));
    // All that is in the buffer after the bad row speaks for or against an encoding.
    const std::string_view evidence(
        text.data(),
        std::min<size_t>(static_cast<size_t>(buffer_.data() + end_ - text.data()), kEvidence));
    const std::string likely = likely_encoding(evidence);
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
    throw Error(ErrorKind::kData, advance(start, text, at),
                "a NUL byte in the text; the file is damaged, or it is not text (UTF-16 needs "
                "\"encoding: utf-16\")");
  }
}

}  // namespace hone
