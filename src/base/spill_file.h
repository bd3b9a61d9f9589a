// A file without a name: the system takes it away when the program ends, however it ends.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hone {

// Any folder of the disk serves, and none is made. Read, not mapped: pages of a mapping would count
// as memory of the program.
class SpillFile {
 public:
  // `what` is said to be written there: "samples". Error(kUsage) where nothing can be, here and
  // below.
  SpillFile(const std::string& folder, std::string what);
  ~SpillFile();
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  void append(std::string_view bytes);
  void flush();
  // Of what was flushed. Thread-safe.
  std::string read(size_t position, size_t size) const;

 private:
  std::string folder_, what_, buffer_;
  int fd_ = -1;
  size_t size_ = 0;
};

}  // namespace hone
