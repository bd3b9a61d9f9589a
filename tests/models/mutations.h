// Damaged copies of a file: cut short at every length, and with bytes changed at random.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "base/random.h"

namespace hone::testing_support {

// A file in memory: no disk to wait for.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& bytes) : descriptor_(::memfd_create("hone-test", 0)) {
    EXPECT_EQ(::write(descriptor_, bytes.data(), bytes.size()), ssize_t(bytes.size()));
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

// One to four changes: a byte replaced, a bit flipped, a piece removed, repeated, or overwritten
// with 0xff.
inline std::string mutated(std::string bytes, RandomStream& random) {
  for (uint64_t changes = 1 + random.below(4); changes > 0 && !bytes.empty(); --changes) {
    const size_t at = random.below(bytes.size()),
                 size = std::min<size_t>(1 + random.below(8), bytes.size() - at);
    switch (random.below(5)) {
      case 0:
        bytes[at] = char(random.below(256));
        break;
      case 1:
        bytes[at] = char(bytes[at] ^ (1 << random.below(8)));
        break;
      case 2:
        bytes.erase(at, size);
        break;
      case 3:
        bytes.insert(at, bytes.substr(at, size));
        break;
      default:
        bytes.replace(at, size, std::string(size, '\xff'));
        break;
    }
  }
  return bytes;
}

}  // namespace hone::testing_support
