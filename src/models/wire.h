// Numbers of variable length and fields as Protocol Buffers and LevelDB write them.
// https://protobuf.dev/programming-guides/encoding
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hone {

// A field of a message: `number` of those of one, four or eight bytes, `bytes` of the others.
struct WireField {
  uint64_t tag = 0, number = 0;
  std::string_view bytes;
};

class WireReader {
 public:
  // Reads `bytes`, which lie in the file `path`; Errors (kModel) are of `path`.
  WireReader(std::string_view bytes, const std::string& path) : rest_(bytes), path_(path) {}

  bool at_end() const { return rest_.empty(); }
  uint64_t varint();                      // seven bits a byte, the lowest first
  uint64_t little_endian(size_t bytes);   // of at most 8
  std::string_view take(uint64_t bytes);  // the next ones
  WireField field();

 private:
  std::string_view rest_;
  const std::string& path_;
};

}  // namespace hone
