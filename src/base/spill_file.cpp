#include "base/spill_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"

namespace hone {
namespace {

constexpr size_t kSpillBuffer = size_t{1} << 20;

}  // namespace

// Some file systems make no file without a name.
SpillFile::SpillFile(const std::string& folder, std::string what)
    : folder_(existing_folder(folder)), what_(std::move(what)) {
  fd_ = ::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd_ >= 0) return;
  std::string name = folder_ + "/hone-" + what_ + "-XXXXXX";
  fd_ = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd_ < 0)
    throw Error(ErrorKind::kUsage, Where{folder_},
                fmt::format("cannot write {} here: {}", what_, std::strerror(errno)));
  ::unlink(name.c_str());
}

SpillFile::~SpillFile() { ::close(fd_); }

void SpillFile::append(std::string_view bytes) {
  buffer_.append(bytes);
  if (buffer_.size() >= kSpillBuffer) flush();
}

void SpillFile::flush() {
  size_t written = 0;
  while (written < buffer_.size()) {
    const ssize_t got = ::write(fd_, buffer_.data() + written, buffer_.size() - written);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      throw Error(
          ErrorKind::kUsage, Where{folder_},
          fmt::format("cannot write {} here: {} after {} bytes; {} are free. Free some "
                      "space or choose another folder",
                      what_, std::strerror(errno), size_ + written, free_disk_bytes(folder_)));
    written += static_cast<size_t>(got);
  }
  size_ += written;
  buffer_.clear();
}

std::string SpillFile::read(size_t position, size_t size) const {
  std::string bytes(size, '\0');
  for (size_t done = 0; done < size;) {
    const ssize_t got =
        ::pread(fd_, bytes.data() + done, size - done, static_cast<off_t>(position + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      throw Error(ErrorKind::kUsage, Where{folder_},
                  fmt::format("cannot read the {} again: {}", what_,
                              got == 0 ? "their file ends early" : std::strerror(errno)));
    done += static_cast<size_t>(got);
  }
  return bytes;
}

}  // namespace hone
