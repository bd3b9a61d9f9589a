// A file's bytes as UTF-8 text: opened, decompressed and decoded piece by piece.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "data/reader.h"

namespace hone {

// An error that ends the whole stream (a broken archive, a read error), which skipping one row
// cannot heal.
class StreamError : public Error {
 public:
  using Error::Error;
};

// Stands in the decoded text for input that the named encoding does not know. It is no UTF-8, so
// the row that holds it is refused.
constexpr char kUndecodable = '\xFF';

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  virtual size_t read(char* out,
                      size_t size) = 0;  // bytes read; 0 only at the end. REQUIRES: size > 0
  virtual std::pair<int64_t, int64_t> position()
      const = 0;  // bytes of the file consumed, and its size (0: unknown)
};

// The bytes of options.path after decompression and decoding (options.compression,
// options.encoding).
std::unique_ptr<ByteStream> open_bytes(const SourceOptions& options);

bool is_known_encoding(const std::string& name);
bool is_utf8_name(const std::string& name);  // "utf-8", "UTF8": what needs no decoding

// "GB18030": what ICU takes these bytes for; "" where it has no idea.
std::string likely_encoding(std::string_view bytes);

}  // namespace hone
