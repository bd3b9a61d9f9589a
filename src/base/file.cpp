#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "base/mappings.h"
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
                fmt::format("no such file: there is no folder \"{}\"{}", parent_of(path),
                            looked_from(path)));
  }
  throw Error(kind, Where{path}, "no such file" + looked_from(path) + nearest_name(path));
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

[[noreturn]] void cannot_write(const std::string& path, int reason) {
  std::string message = fmt::format("cannot be written: {}", std::strerror(reason));
  if (reason == ENOSPC || reason == EDQUOT) {
    message += fmt::format("; {} bytes are free there. Free some space or choose another folder",
                           free_disk_bytes(path));
  }
  if (reason == EFBIG) message += "; \"ulimit -f\" or the file system allows no larger file";
  throw Error(ErrorKind::kUsage, Where{path}, message);
}

// The temporary files of this process: fixed memory, for a signal handler may do little more than
// read it and unlink.
class Temporaries {
 public:
  void add(const std::string& path) {
    if (path.size() >= PATH_MAX) return;
    for (Slot& slot : slots_) {
      int expected = kFree;
      if (!slot.state.compare_exchange_strong(expected, kFilling)) continue;
      std::memcpy(slot.path.data(), path.c_str(), path.size() + 1);
      slot.state = kInUse;
      return;
    }
  }
  void forget(const std::string& path) {
    for (Slot& slot : slots_) {
      if (slot.state == kInUse && path == slot.path.data()) slot.state = kFree;
    }
  }
  bool holds(const std::string& path) const {
    return std::any_of(slots_.begin(), slots_.end(), [&](const Slot& slot) {
      return slot.state == kInUse && path == slot.path.data();
    });
  }
  void remove_all() const noexcept {
    for (const Slot& slot : slots_) {
      if (slot.state == kInUse) ::unlink(slot.path.data());
    }
  }

 private:
  static constexpr int kFree = 0, kFilling = 1, kInUse = 2;
  static_assert(std::atomic<int>::is_always_lock_free);
  struct Slot {
    std::atomic<int> state{kFree};
    std::array<char, PATH_MAX> path{};
  };
  std::array<Slot, 16> slots_;  // files written at one time
};
constinit Temporaries temporaries;

void end_cleanly(int signal) {
  remove_temporaries();
  ::raise(signal);  // its own action stands again: SA_RESETHAND
}

constexpr std::string_view kTemporary = ".tmp-";

// The process in "report.json.tmp-<process>-<serial>"; 0 where the name is none of AtomicFile's.
pid_t writer_of(std::string_view name) {
  const size_t at = name.rfind(kTemporary);
  if (at == std::string_view::npos) return 0;
  name.remove_prefix(at + kTemporary.size());
  pid_t process = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), process);
  const std::string_view serial(end, static_cast<size_t>(name.data() + name.size() - end));
  const bool is_ours = error == std::errc() && process > 0 && serial.size() > 1 &&
                       serial.front() == '-' &&
                       serial.find_first_not_of("0123456789", 1) == std::string_view::npos;
  return is_ours ? process : 0;
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

// In a container most programs have the same few numbers: a file of this number may be another's.
bool has_ended(pid_t process) {
  return process == ::getpid() || (::kill(process, 0) != 0 && errno == ESRCH);
}

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
  temporary_ = fmt::format("{}{}{}-{}", path_, kTemporary, ::getpid(), serial.fetch_add(1));
  temporaries.add(temporary_);
  file_ = std::fopen(temporary_.c_str(), "wbe");
  if (file_ == nullptr) {
    const int reason = errno;
    temporaries.forget(temporary_);
    cannot_write(path_, reason);
  }
  std::setvbuf(file_, nullptr, _IOFBF, size_t{1} << 20);
}

AtomicFile::~AtomicFile() {
  if (file_ != nullptr) std::fclose(file_);
  if (!is_committed_) ::unlink(temporary_.c_str());
  temporaries.forget(temporary_);
}

void AtomicFile::write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) cannot_write(path_, errno);
}

void AtomicFile::rewrite_beginning(std::string_view bytes) {
  if (std::fseek(file_, 0, SEEK_SET) != 0) cannot_write(path_, errno);
  write(bytes);
}

void AtomicFile::commit() {
  if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0) cannot_write(path_, errno);
  const int closed = std::fclose(file_);
  file_ = nullptr;
  if (closed != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) cannot_write(path_, errno);
  is_committed_ = true;
  sync_folder(parent_of(path_));
}

void write_file(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void sync_folder(const std::string& folder) {
  const auto fail = [&](int reason) {
    throw Error(ErrorKind::kUsage, Where{folder},
                fmt::format("the folder cannot be synced: {}", std::strerror(reason)));
  };
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 && errno == EACCES) return;  // names may be made here, but not listed
  if (fd < 0) fail(errno);
  const int reason = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (reason != 0 && reason != EINVAL && reason != EOPNOTSUPP) fail(reason);
}

void rename_path(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return;
  throw Error(ErrorKind::kUsage, Where{to},
              fmt::format("cannot be renamed from \"{}\": {}", from, std::strerror(errno)));
}

void remove_leftovers(const std::string& folder) {
  std::error_code ignored;
  std::vector<fs::path> found;
  for (fs::directory_iterator it(folder, ignored), end; it != end; it.increment(ignored)) {
    const pid_t writer = writer_of(it->path().filename().string());
    if (writer != 0 && has_ended(writer) && !temporaries.holds(it->path().string()))
      found.push_back(it->path());
  }
  for (const fs::path& path : found) fs::remove(path, ignored);
}

void remove_temporaries() noexcept { temporaries.remove_all(); }

void clean_up_on_signals() {
  ::signal(SIGXFSZ, SIG_IGN);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action = {};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action.sa_handler = end_cleanly;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(signal, &action, nullptr);
  }
}

MappedFile::MappedFile(const std::string& path, ErrorKind kind) {
  const Descriptor file(path, kind);
  size_ = file.size();
  if (size_ == 0) return;
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (mapped == MAP_FAILED && errno == ENOMEM) throw std::bad_alloc();
  if (mapped == MAP_FAILED)
    throw Error(kind, Where{path},
                fmt::format("cannot be mapped into memory: {}", std::strerror(errno)));
  data_ = static_cast<const char*>(mapped);
  note_mapping(data_, size_, path);
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  forget_mapping(data_);
  ::munmap(const_cast<char*>(data_), size_);
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

std::string looked_from(const std::string& path) {
  std::error_code ignored;
  return fs::path(path).is_absolute() ? ""
                                      : fmt::format(" (looked for from {}, where hone runs)",
                                                    fs::current_path(ignored).string());
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
