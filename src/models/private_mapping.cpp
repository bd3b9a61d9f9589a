#include "models/private_mapping.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>

#include "base/error.h"
#include "base/mappings.h"

namespace hone {
namespace {

[[noreturn]] void fail(const std::string& path, const char* what, int reason) {
  throw Error(ErrorKind::kModel, Where{path},
              fmt::format("cannot be {}: {}.", what, std::strerror(reason)));
}

}  // namespace

PrivateMapping::PrivateMapping(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail(path, "opened", errno);
  struct stat status{};
  const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  size_ = regular ? size_t(status.st_size) : 0;
  if (size_ > 0)
    data_ =
        ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, descriptor, 0);
  const int reason = errno;
  ::close(descriptor);
  if (!regular) throw Error(ErrorKind::kModel, Where{path}, "is not a file.");
  if (data_ == MAP_FAILED && reason == ENOMEM) throw std::bad_alloc();
  if (data_ == MAP_FAILED) fail(path, "mapped", reason);
  if (data_) note_mapping(data_, size_, path);
}

PrivateMapping::~PrivateMapping() {
  if (!data_) return;
  forget_mapping(data_);
  ::munmap(data_, size_);
}

at::Tensor tensor_over(const std::shared_ptr<PrivateMapping>& mapping, std::string_view bytes,
                       at::ScalarType type, const std::vector<int64_t>& shape) {
  const auto options = at::TensorOptions().dtype(type);
  if (bytes.empty()) return at::empty(shape, options);
  char* const data = const_cast<char*>(bytes.data());  // the mapping is writable
  if (reinterpret_cast<uintptr_t>(data) % at::elementSize(type) == 0) {
    return at::from_blob(data, shape, [mapping](void*) {}, options);
  }
  at::Tensor aligned = at::empty(shape, options);
  std::memcpy(aligned.mutable_data_ptr(), data, bytes.size());
  return aligned;
}

}  // namespace hone
