#include "models/wire.h"

#include "base/error.h"

namespace hone {
namespace {

Error damaged(const std::string& path, const char* what) {
  return Error(ErrorKind::kModel, Where{path},
               std::string(what) + "; the file is cut off or damaged.");
}

}  // namespace

uint64_t WireReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(take(1)[0]);
    value |= uint64_t(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw damaged(path_, "a number has more than 64 bits");
}

uint64_t WireReader::little_endian(size_t bytes) {
  uint64_t value = 0;
  const std::string_view read = take(bytes);
  for (size_t i = bytes; i-- > 0;) value = value << 8 | static_cast<unsigned char>(read[i]);
  return value;
}

std::string_view WireReader::take(uint64_t bytes) {
  if (bytes > rest_.size()) throw damaged(path_, "something ends too early");
  const std::string_view taken = rest_.substr(0, bytes);
  rest_.remove_prefix(bytes);
  return taken;
}

WireField WireReader::field() {
  enum Type : uint64_t { kVarint = 0, kEightBytes = 1, kBytes = 2, kFourBytes = 5 };
  const uint64_t key = varint();
  WireField field;
  field.tag = key >> 3;
  switch (key & 7) {
    case kVarint:
      field.number = varint();
      break;
    case kEightBytes:
      field.number = little_endian(8);
      break;
    case kFourBytes:
      field.number = little_endian(4);
      break;
    case kBytes:
      field.bytes = take(varint());
      break;
    default:
      throw damaged(path_, "a field is of no known kind");
  }
  return field;
}

}  // namespace hone
