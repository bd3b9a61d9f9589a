#include "data/byte_store.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/spill_file.h"

namespace hone {
namespace {

std::string temporary_folder() {
  const char* folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/tmp";
}

}  // namespace

// Invariant: bytes [0, in_memory) of all that was added lie in blocks of kBlock, no string across
// two; the rest in the file.
struct ByteStore::State {
  static constexpr size_t kBlock = size_t{1} << 20;
  static constexpr uint64_t kSpilled = uint64_t{1} << 63;

  std::string spill_dir;
  size_t memory_limit = 0, in_memory = 0;
  std::vector<std::string> blocks;
  std::unique_ptr<SpillFile> spill;
  size_t spilled = 0;
  std::vector<uint64_t> places;  // block << 32 | position in it; or kSpilled | position in the file
  bool is_sealed = false;

  void keep_in_memory(std::string_view bytes) {
    if (blocks.empty() || blocks.back().size() + bytes.size() > kBlock) {
      blocks.emplace_back();
      blocks.back().reserve(std::max(kBlock, bytes.size()));
    }
    places.push_back(uint64_t{blocks.size() - 1} << 32 | blocks.back().size());
    blocks.back().append(bytes);
    in_memory += bytes.size();
  }

  void keep_on_disk(std::string_view bytes) {
    if (!spill)
      spill = std::make_unique<SpillFile>(spill_dir.empty() ? temporary_folder() : spill_dir,
                                          "samples");
    places.push_back(kSpilled | spilled);
    spill->append(bytes);
    spilled += bytes.size();
  }

  // In memory a string ends where the next one in its block begins. Once one was spilled, all after
  // it were.
  std::string_view get(size_t index, std::string& read) const {
    const uint64_t place = places[index], next = index + 1 < places.size() ? places[index + 1] : 0;
    if ((place & kSpilled) != 0) {
      const uint64_t begin = place & ~kSpilled, end = next == 0 ? spilled : next & ~kSpilled;
      read = spill->read(begin, end - begin);
      return read;
    }
    const std::string& block = blocks[place >> 32];
    const size_t begin = place & 0xFFFFFFFF;
    const bool is_last = next == 0 || next >> 32 != place >> 32;
    return std::string_view(block).substr(begin,
                                          (is_last ? block.size() : next & 0xFFFFFFFF) - begin);
  }
};

ByteStore::ByteStore(std::string spill_dir, int64_t memory_limit)
    : state_(std::make_unique<State>()) {
  state_->spill_dir = std::move(spill_dir);
  state_->memory_limit = static_cast<size_t>(std::max<int64_t>(memory_limit, 0));
}
ByteStore::~ByteStore() = default;
ByteStore::ByteStore(ByteStore&&) noexcept = default;

void ByteStore::add(std::string_view bytes) {
  if (state_->is_sealed) throw Error(ErrorKind::kInternal, "a sample was added to a sealed store");
  if (!state_->spill && state_->in_memory + bytes.size() <= state_->memory_limit) {
    state_->keep_in_memory(bytes);
  } else {
    state_->keep_on_disk(bytes);
  }
}

void ByteStore::seal() {
  if (state_->is_sealed) return;
  if (state_->spill) state_->spill->flush();
  state_->is_sealed = true;
}

int64_t ByteStore::size() const { return static_cast<int64_t>(state_->places.size()); }

std::string_view ByteStore::get(int64_t index, std::string& read) const {
  if (!state_->is_sealed)
    throw Error(ErrorKind::kInternal, "a sample was read from a store that is not sealed yet");
  if (index < 0 || index >= size())
    throw Error(ErrorKind::kInternal, fmt::format("sample {} of {} was asked for", index, size()));
  return state_->get(static_cast<size_t>(index), read);
}

}  // namespace hone
