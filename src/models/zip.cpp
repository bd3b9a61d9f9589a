#include "models/zip.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>

#include "base/error.h"

namespace hone {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50,
                   kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr size_t kLocalHeaderSize = 30, kCentralHeaderSize = 46, kEndSize = 22, kEnd64Size = 56,
                 kLocator64Size = 20;
constexpr uint32_t kIn64 = 0xffffffff;  // "the value stands in the zip64 field"

class ZipReader {
 public:
  ZipReader(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  std::map<std::string, std::string_view> read() {
    find_directory();
    std::map<std::string, std::string_view> out;
    uint64_t at = directory_;
    for (uint64_t i = 0; i < entries_; ++i) {
      const Entry entry = read_entry(at);
      if (!out.emplace(entry.name, content(entry)).second)
        throw defect(fmt::format("has two entries named \"{}\".", entry.name));
      at = entry.next;
    }
    return out;
  }

 private:
  struct Entry {
    std::string name;
    uint64_t size = 0, header = 0, next = 0;
  };

  Error defect(const std::string& message) const {
    return Error(ErrorKind::kModel, Where{path_}, "zip archive: " + message);
  }

  template <typename T>
  T get(uint64_t at) const {
    if (at > bytes_.size() || bytes_.size() - at < sizeof(T))
      throw defect("the file is cut off or damaged.");
    T value;
    std::memcpy(&value, bytes_.data() + at, sizeof(T));
    return value;
  }

  std::string_view range(uint64_t at, uint64_t size) const {
    if (at > bytes_.size() || bytes_.size() - at < size)
      throw defect("the file is cut off or damaged.");
    return bytes_.substr(at, size);
  }

  // The end record stands last but for a comment of at most 65535 bytes.
  uint64_t end_record() const {
    for (uint64_t back = kEndSize; back <= bytes_.size() && back <= kEndSize + 65535; ++back) {
      if (get<uint32_t>(bytes_.size() - back) == kEnd) return bytes_.size() - back;
    }
    throw defect(
        "its directory is missing; the file is cut off, or it is no archive of torch.save.");
  }

  void find_directory() {
    const uint64_t end = end_record();
    entries_ = get<uint16_t>(end + 10);
    directory_ = get<uint32_t>(end + 16);
    if (end < kLocator64Size || get<uint32_t>(end - kLocator64Size) != kLocator64) return;
    const uint64_t end64 = get<uint64_t>(end - kLocator64Size + 8);
    range(end64, kEnd64Size);
    if (get<uint32_t>(end64) != kEnd64) throw defect("its zip64 end record is damaged.");
    entries_ = get<uint64_t>(end64 + 32);
    directory_ = get<uint64_t>(end64 + 48);
  }

  Entry read_entry(uint64_t at) const {
    range(at, kCentralHeaderSize);
    if (get<uint32_t>(at) != kCentralHeader) throw defect("its directory is damaged.");
    const uint64_t name_size = get<uint16_t>(at + 28), extra_size = get<uint16_t>(at + 30),
                   comment_size = get<uint16_t>(at + 32);
    Entry entry;
    entry.name = range(at + kCentralHeaderSize, name_size);
    if (get<uint16_t>(at + 8) & 1)
      throw defect(fmt::format("entry \"{}\" is encrypted.", entry.name));
    if (get<uint16_t>(at + 10) != 0)
      throw defect(fmt::format("entry \"{}\" is compressed; torch.save stores its entries plainly.",
                               entry.name));
    const uint32_t size = get<uint32_t>(at + 24), compressed_size = get<uint32_t>(at + 20),
                   header = get<uint32_t>(at + 42);
    Zip64Values wide(*this, range(at + kCentralHeaderSize + name_size, extra_size));
    entry.size = size == kIn64 ? wide.next() : size;
    const uint64_t stored = compressed_size == kIn64 ? wide.next() : compressed_size;
    entry.header = header == kIn64 ? wide.next() : header;
    if (stored != entry.size)
      throw defect(
          fmt::format("entry \"{}\" gives two sizes, {} and {}.", entry.name, stored, entry.size));
    entry.next = at + kCentralHeaderSize + name_size + extra_size + comment_size;
    return entry;
  }

  // The eight-byte values of the zip64 extra field, in the order in which the header says they are
  // needed.
  class Zip64Values {
   public:
    Zip64Values(const ZipReader& reader, std::string_view extra) : reader_(reader) {
      while (extra.size() >= 4) {
        uint16_t id, size;
        std::memcpy(&id, extra.data(), 2);
        std::memcpy(&size, extra.data() + 2, 2);
        if (size > extra.size() - 4) return;
        if (id == 1) values_ = extra.substr(4, size);
        extra.remove_prefix(4 + size_t(size));
      }
    }
    uint64_t next() {
      if (values_.size() < 8) throw reader_.defect("a zip64 field is missing.");
      uint64_t value;
      std::memcpy(&value, values_.data(), 8);
      values_.remove_prefix(8);
      return value;
    }

   private:
    const ZipReader& reader_;
    std::string_view values_;
  };

  std::string_view content(const Entry& entry) const {
    range(entry.header, kLocalHeaderSize);
    if (get<uint32_t>(entry.header) != kLocalHeader)
      throw defect(fmt::format("the header of entry \"{}\" is damaged.", entry.name));
    const uint64_t before = kLocalHeaderSize + get<uint16_t>(entry.header + 26) +
                            uint64_t(get<uint16_t>(entry.header + 28));
    return range(entry.header + before, entry.size);
  }

  std::string_view bytes_;
  const std::string& path_;
  uint64_t entries_ = 0, directory_ = 0;
};

}  // namespace

std::map<std::string, std::string_view> read_stored_zip(std::string_view bytes,
                                                        const std::string& path) {
  return ZipReader(bytes, path).read();
}

}  // namespace hone
