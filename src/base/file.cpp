#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "base/model_files.h"

namespace hone {
namespace fs = std::filesystem;
namespace {

// A model's weights are mapped; what is read whole of it are its JSON files and its vocabulary.
constexpr size_t kMostModelText = size_t{256} << 20;

std::string parent_of(const std::string& path) {
  const fs::path parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

std::string nearest_name(const std::string& path) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (fs::directory_iterator it(parent_of(path), ignored), end; it != end && names.size() < 10000;
       it.increment(ignored)) {
    names.push_back(it->path().filename().string());
  }
  return did_you_mean(fs::path(path).filename().string(), names);
}

[[noreturn]] void cannot_open(const std::string& path, ErrorKind kind, int reason) {
  if (reason != ENOENT)
    throw Error(kind, Where{path}, fmt::format("cannot be read: {}", std::strerror(reason)));
  std::error_code ignored;
  if (!fs::exists(parent_of(path), ignored)) {
    throw Error(kind, Where{path},
                fmt::format("no such file: there is no folder \"{}\"", parent_of(path)));
  }
  throw Error(kind, Where{path}, "no such file" + nearest_name(path));
}

// An open file descriptor that closes itself.
class Descriptor {
 public:
  // A model's folder may come from anybody: nothing in it but files is opened, as a pipe or a
  // device would be read for ever.
  Descriptor(const std::string& path, ErrorKind kind)
      : fd_(::open(path.c_str(),
                   O_RDONLY | O_CLOEXEC | (kind == ErrorKind::kModel ? O_NONBLOCK : 0))) {
    if (fd_ < 0) cannot_open(path, kind, errno);
    if (::fstat(fd_, &status_) != 0) fail(path, kind, std::strerror(errno));
    if (S_ISDIR(status_.st_mode)) fail(path, kind, std::strerror(EISDIR));
    if (kind == ErrorKind::kModel && !is_regular()) fail(path, kind, "it is no regular file");
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  bool is_regular() const { return S_ISREG(status_.st_mode); }
  size_t size() const { return static_cast<size_t>(status_.st_size); }

 private:
  [[noreturn]] void fail(const std::string& path, ErrorKind kind, const char* reason) {
    ::close(fd_);
    throw Error(kind, Where{path}, fmt::format("cannot be read: {}", reason));
  }

  int fd_;
  struct stat status_{};
};

size_t read_some(const Descriptor& file, char* to, size_t size, const std::string& path,
                 ErrorKind kind) {
  for (;;) {
    const ssize_t got = ::read(file.get(), to, size);
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR)
      throw Error(kind, Where{path}, fmt::format("cannot be read: {}", std::strerror(errno)));
  }
}

void sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);  // some file systems refuse this for folders; the rename itself has happened
  ::close(fd);
}

[[noreturn]] void cannot_write(const std::string& path, int reason) {
  std::string message = fmt::format("cannot be written: {}", std::strerror(reason));
  if (reason == ENOSPC || reason == EDQUOT) {
    message += fmt::format("; {} bytes are free there. Free some space or choose another folder",
                           free_disk_bytes(path));
  }
  throw Error(ErrorKind::kUsage, Where{path}, message);
}

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
  }
  void add(const char* data, size_t size) { EVP_DigestUpdate(context_.get(), data, size); }
  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_DigestFinal_ex(context_.get(), digest, &size);
    std::string out;
    for (unsigned int i = 0; i < size; ++i) out += fmt::format("{:02x}", digest[i]);
    return out;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string read_file(const std::string& path, ErrorKind kind) {
  const Descriptor file(path, kind);
  if (kind == ErrorKind::kModel && file.size() > kMostModelText) {
    throw Error(kind, Where{path},
                fmt::format("has {} bytes; a text of a model has at most {}.", file.size(),
                            kMostModelText));
  }
  std::string out;
  if (file.is_regular()) out.resize(file.size());
  size_t filled = 0;
  for (;;) {  // a file that grows, and a pipe that has no size, are read to their end too
    if (filled == out.size()) {
      char extra[4096];
      const size_t got = read_some(file, extra, sizeof extra, path, kind);
      if (got == 0) break;
      out.append(extra, got);
      filled += got;
      continue;
    }
    const size_t got = read_some(file, out.data() + filled, out.size() - filled, path, kind);
    if (got == 0) break;
    filled += got;
  }
  out.resize(filled);
  if (kind == ErrorKind::kModel) refuse_stand_in(out, path, kind);
  return out;
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  static std::atomic<int> serial{0};
  temporary_ = fmt::format("{}.tmp-{}-{}", path_, ::getpid(), serial.fetch_add(1));
  file_ = std::fopen(temporary_.c_str(), "wbe");
  if (file_ == nullptr) cannot_write(path_, errno);
  std::setvbuf(file_, nullptr, _IOFBF, size_t{1} << 20);
}

AtomicFile::~AtomicFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) cannot_write(path_, errno);
}

void AtomicFile::commit() {
  if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0) cannot_write(path_, errno);
  const int closed = std::fclose(file_);
  file_ = nullptr;
  if (closed != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary_.c_str());
    cannot_write(path_, reason);
  }
  sync_folder(parent_of(path_));
}

void write_file(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

MappedFile::MappedFile(const std::string& path, ErrorKind kind) {
  const Descriptor file(path, kind);
  size_ = file.size();
  if (size_ == 0) return;
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (mapped == MAP_FAILED)
    throw Error(kind, Where{path},
                fmt::format("cannot be mapped into memory: {}", std::strerror(errno)));
  data_ = static_cast<const char*>(mapped);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<char*>(data_), size_);
}

std::string sha256(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes.data(), bytes.size());
  return hash.hex();
}

std::string sha256_file(const std::string& path) {
  const Descriptor file(path, ErrorKind::kModel);
  std::vector<char> buffer(size_t{1} << 20);
  Sha256 hash;
  while (const size_t got = read_some(file, buffer.data(), buffer.size(), path, ErrorKind::kModel))
    hash.add(buffer.data(), got);
  return hash.hex();
}

std::string existing_folder(const std::string& path) {
  std::error_code ignored;
  fs::path folder = fs::absolute(path, ignored);
  while (!fs::is_directory(folder, ignored) && folder.has_relative_path())
    folder = folder.parent_path();
  return folder.string();
}

int64_t free_disk_bytes(const std::string& path) {
  struct statvfs status{};
  if (::statvfs(existing_folder(path).c_str(), &status) != 0) return 0;
  return static_cast<int64_t>(status.f_bavail) * static_cast<int64_t>(status.f_frsize);
}

}  // namespace hone
