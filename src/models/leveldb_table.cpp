#include "models/leveldb_table.h"

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/error.h"
#include "models/wire.h"

namespace hone {
namespace {

constexpr size_t kFooter = 48, kTrailer = 5;  // bytes; a trailer is how it is compressed, checksum
constexpr uint64_t kMagic = 0xdb4775248b80fb57;
// A key may repeat the one before at no cost: what they take is bounded.
constexpr size_t kMostEntries = 100'000, kLongestKey = 1024;

using TableEntry = std::pair<std::string, std::string_view>;

class TableReader {
 public:
  TableReader(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  std::vector<TableEntry> read() {
    std::vector<TableEntry> out;
    for (const TableEntry& block : entries_of(block_at(index_place()))) {
      for (TableEntry& entry : entries_of(block_at(block.second))) out.push_back(std::move(entry));
    }
    return out;
  }

 private:
  Error defect(const std::string& message) const {
    return Error(ErrorKind::kModel, Where{path_}, message);
  }

  // The footer: places of the index of further data and of the index of blocks, blanks, the magic.
  std::string_view index_place() const {
    if (bytes_.size() < kFooter ||
        WireReader(bytes_.substr(bytes_.size() - 8), path_).little_endian(8) != kMagic)
      throw defect("is no index of a TensorFlow checkpoint, or it is cut off.");
    const std::string_view footer = bytes_.substr(bytes_.size() - kFooter, kFooter - 8);
    WireReader reader(footer, path_);
    reader.varint(), reader.varint();
    const std::string_view from_index = reader.take(1);
    return footer.substr(size_t(from_index.data() - footer.data()));
  }

  // `place`: offset and size. Blocks stand in the order in which they are named, once each.
  std::string_view block_at(std::string_view place) {
    WireReader reader(place, path_);
    const uint64_t offset = reader.varint(), size = reader.varint();
    const bool is_index = blocks_from_ == kNone;
    const uint64_t from = is_index ? 0 : blocks_from_;
    if (offset < from || offset > bytes_.size() || size > bytes_.size() - offset ||
        bytes_.size() - offset - size < kTrailer)
      throw defect("a block lies outside of its place; the file is damaged.");
    blocks_from_ = is_index ? 0 : offset + size;
    const std::string_view whole = bytes_.substr(offset, size + kTrailer);
    const uint64_t sum = WireReader(whole.substr(size + 1), path_).little_endian(4);
    if (masked_crc32c(whole.substr(0, size + 1)) != sum)
      throw defect("a block has another checksum than it was written with; the file is damaged.");
    if (whole[size] != 0) throw defect("is compressed; TensorFlow's own checkpoints are not.");
    return whole.substr(0, size);
  }

  // Entries, each as what it shares with the key before, the rest of its key, its value; then the
  // places of whole keys, and how many they are.
  std::vector<TableEntry> entries_of(std::string_view block) {
    if (block.size() < 4) throw defect("a block is empty; the file is damaged.");
    const uint64_t places =
        WireReader(block.substr(block.size() - 4), path_).little_endian(4) * 4 + 4;
    if (places > block.size()) throw defect("a block is too short; the file is damaged.");
    WireReader reader(block.substr(0, block.size() - places), path_);
    std::vector<TableEntry> out;
    std::string key;
    while (!reader.at_end()) {
      const uint64_t shared = reader.varint(), own = reader.varint(), value = reader.varint();
      if (shared > key.size() || own > kLongestKey - shared)
        throw defect("a name is damaged, or longer than any weight's.");
      if (++entries_ > kMostEntries) throw defect("has more names than any model.");
      key.resize(shared);
      key += reader.take(own);
      out.emplace_back(key, reader.take(value));
    }
    return out;
  }

  static constexpr uint64_t kNone = ~uint64_t{0};
  std::string_view bytes_;
  const std::string& path_;
  uint64_t blocks_from_ = kNone;  // where the next block may begin
  size_t entries_ = 0;
};

}  // namespace

std::vector<TableEntry> read_table(std::string_view bytes, const std::string& path) {
  return TableReader(bytes, path).read();
}

}  // namespace hone
