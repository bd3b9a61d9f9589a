// To be preloaded (LD_PRELOAD): makes the n-th operation that changes (or reads) files below a
// folder fail, or kills the process there. tests/attack drives it.
//
//   FAULT_FOLDER  an absolute path; operations elsewhere are neither counted nor touched
//   FAULT_POINT   the number of the operation, from 1; absent: none
//   FAULT_KIND    kill   SIGKILL before the operation
//                 torn   a write puts half of its bytes, then SIGKILL; others as kill
//                 short  a write puts half of its bytes and says so; others are left alone
//                 EIO, ENOSPC   the operation fails so, once
//                 full   this and every later operation that needs room fails with ENOSPC
//                 unreadable   counts reads in place of changes: the read fails with EIO
//                 cut    counts mappings in place of changes: the mapped file loses its bytes at
//                 once
//   FAULT_LOG     a file that gets a line for each operation: number, name, path
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

enum class Kind { kNone, kKill, kTorn, kShort, kError, kFull, kUnreadable, kCut };
enum class Needs { kRoom, kNoRoom };  // whether a full disk refuses the operation

constexpr int kDescriptors = 1 << 16;
std::array<std::atomic<bool>, kDescriptors> watched;    // descriptors of files below the folder
std::array<std::atomic<bool>, kDescriptors> read_only;  // the same, opened to be read
std::atomic<long> count{0};

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}
#define REAL(name) (*real<decltype(::name)>(#name))

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

struct Settings {
  std::string folder = setting("FAULT_FOLDER"), log = setting("FAULT_LOG");
  long point = std::atol(setting("FAULT_POINT").c_str());
  Kind kind = Kind::kNone;
  int error = EIO;

  Settings() {
    const std::string name = setting("FAULT_KIND");
    if (name == "kill") kind = Kind::kKill;
    if (name == "torn") kind = Kind::kTorn;
    if (name == "short") kind = Kind::kShort;
    if (name == "EIO" || name == "ENOSPC") kind = Kind::kError;
    if (name == "full") kind = Kind::kFull;
    if (name == "unreadable") kind = Kind::kUnreadable;
    if (name == "cut") kind = Kind::kCut;
    if (name == "ENOSPC" || name == "full") error = ENOSPC;
  }
};

const Settings& settings() {
  static const Settings once;
  return once;
}

bool is_below(const char* path) {
  if (path == nullptr || settings().folder.empty()) return false;
  std::string full = path;
  std::array<char, PATH_MAX> here;
  if (full.front() != '/' && ::getcwd(here.data(), here.size()) != nullptr)
    full = std::string(here.data()) + "/" + full;
  return full == settings().folder || full.starts_with(settings().folder + "/");
}

bool is_watched(int fd) { return fd >= 0 && fd < kDescriptors && watched[fd]; }
void watch(int fd, bool on) {
  if (fd >= 0 && fd < kDescriptors) watched[fd] = on;
}

bool counts_reads() {
  return settings().kind == Kind::kUnreadable || settings().kind == Kind::kCut;
}
// Descriptors that were opened to be read are of interest where reads are counted, others else.
bool is_read_only(int fd) { return fd >= 0 && fd < kDescriptors && read_only[fd]; }
void watch_reads(int fd, bool on) {
  if (fd >= 0 && fd < kDescriptors) read_only[fd] = on && counts_reads();
}

std::string path_of(int fd) {
  std::array<char, PATH_MAX> path;
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
  return size < 0 ? "?" : std::string(path.data(), static_cast<size_t>(size));
}

bool is_below_at(int folder, const char* name) {
  if (name == nullptr) return false;
  if (name[0] == '/' || folder == AT_FDCWD) return is_below(name);
  return is_below(path_of(folder).c_str());
}

void note(long number, const char* name, const std::string& path) {
  if (settings().log.empty()) return;
  const int fd =
      REAL(open)(settings().log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const std::string line = std::to_string(number) + " " + name + " " + path + "\n";
  if (REAL(write)(fd, line.data(), line.size()) < 0) std::abort();
  REAL(close)(fd);
}

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

// What becomes of an operation: to be done, to be done by half, or to fail with an error.
struct Fate {
  int error = 0;
  bool half = false;
  bool then_die = false;
};

Fate fate_of(const char* name, const std::string& path, Needs needs, bool is_write = false) {
  if (counts_reads()) return {};
  const long number = ++count;
  note(number, name, path);
  const Settings& s = settings();
  if (s.kind == Kind::kFull && s.point > 0 && number >= s.point && needs == Needs::kRoom)
    return {.error = ENOSPC};
  if (number != s.point) return {};
  switch (s.kind) {
    case Kind::kKill:
      die();
    case Kind::kTorn:
      if (!is_write) die();
      return {.half = true, .then_die = true};
    case Kind::kShort:
      return {.half = is_write};
    case Kind::kError:
      return {.error = s.error};
    default:
      return {};
  }
}

// Fails with the error that fate has for the operation, else does it.
template <typename Result, typename Act>
Result unless_struck(const char* name, const std::string& path, Needs needs, Result failure,
                     Act act) {
  const Fate fate = fate_of(name, path, needs);
  if (fate.error == 0) return act();
  errno = fate.error;
  return failure;
}

// A write of `size` bytes by `put`, which is given how many.
template <typename Put>
ssize_t write_by(const char* name, int fd, size_t size, Put put) {
  if (!is_watched(fd)) return put(size);
  const Fate fate = fate_of(name, path_of(fd), Needs::kRoom, /*is_write=*/true);
  if (fate.error != 0) {
    errno = fate.error;
    return -1;
  }
  const ssize_t done = put(fate.half && size > 1 ? size / 2 : size);
  if (fate.then_die) die();
  return done;
}

bool changes_files(int flags) {
  return (flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_DIRECTORY)) != 0;
}

template <typename Act>
int open_by(const char* name, bool is_ours, const char* path, int flags, Act act) {
  if (!is_ours || !changes_files(flags) || counts_reads()) {
    const int fd = act();
    watch_reads(fd, is_ours && !changes_files(flags));
    return fd;
  }
  const Needs needs = (flags & O_CREAT) != 0 ? Needs::kRoom : Needs::kNoRoom;
  const int fd = unless_struck(name, path, needs, -1, act);
  watch(fd, fd >= 0);
  return fd;
}

std::FILE* fopen_by(const char* name, const char* path, const char* mode,
                    std::FILE* (*act)(const char*, const char*)) {
  if (!is_below(path) || mode[0] == 'r' || counts_reads()) return act(path, mode);
  std::FILE* file = unless_struck(name, path, Needs::kRoom, static_cast<std::FILE*>(nullptr),
                                  [&] { return act(path, mode); });
  if (file != nullptr) watch(::fileno(file), true);
  return file;
}

// A read by `get`, which fails where its number comes up.
template <typename Get>
ssize_t read_by(const char* name, int fd, Get get) {
  if (!is_read_only(fd) || settings().kind != Kind::kUnreadable) return get();
  const std::string path = path_of(fd);
  const long number = ++count;
  note(number, name, path);
  if (number != settings().point) return get();
  errno = EIO;
  return -1;
}

// A mapping of `fd` by `map`; its file loses its bytes where its number comes up.
template <typename Map>
void* map_by(int fd, Map map) {
  void* mapped = map();
  if (!is_read_only(fd) || settings().kind != Kind::kCut) return mapped;
  const std::string path = path_of(fd);
  const long number = ++count;
  note(number, "mmap", path);
  if (number == settings().point && ::truncate(path.c_str(), 0) != 0) std::abort();
  return mapped;
}

mode_t mode_from(int flags, va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_from(flags, arguments);
  va_end(arguments);
  return open_by("open", is_below(path), path, flags,
                 [&] { return REAL(open)(path, flags, mode); });
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_from(flags, arguments);
  va_end(arguments);
  return open_by("open", is_below(path), path, flags,
                 [&] { return REAL(open64)(path, flags, mode); });
}

int openat(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_from(flags, arguments);
  va_end(arguments);
  return open_by("openat", is_below_at(folder, path), path, flags,
                 [&] { return REAL(openat)(folder, path, flags, mode); });
}

int mkostemp(char* path, int flags) {
  return open_by("mkostemp", is_below(path), path, flags | O_CREAT,
                 [&] { return REAL(mkostemp)(path, flags); });
}

std::FILE* fopen(const char* path, const char* mode) {
  return fopen_by("fopen", path, mode, &REAL(fopen));
}
std::FILE* fopen64(const char* path, const char* mode) {
  return fopen_by("fopen", path, mode, &REAL(fopen64));
}

ssize_t read(int fd, void* bytes, size_t size) {
  return read_by("read", fd, [&] { return REAL(read)(fd, bytes, size); });
}
ssize_t pread(int fd, void* bytes, size_t size, off_t at) {
  return read_by("pread", fd, [&] { return REAL(pread)(fd, bytes, size, at); });
}
ssize_t pread64(int fd, void* bytes, size_t size, off64_t at) {
  return read_by("pread", fd, [&] { return REAL(pread64)(fd, bytes, size, at); });
}
void* mmap(void* at, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  return map_by(fd, [&] { return REAL(mmap)(at, size, protection, flags, fd, offset); });
}
void* mmap64(void* at, size_t size, int protection, int flags, int fd, off64_t offset) noexcept {
  return map_by(fd, [&] { return REAL(mmap64)(at, size, protection, flags, fd, offset); });
}

ssize_t write(int fd, const void* bytes, size_t size) {
  return write_by("write", fd, size, [&](size_t part) { return REAL(write)(fd, bytes, part); });
}

ssize_t writev(int fd, const struct iovec* parts, int number) {
  if (!is_watched(fd)) return REAL(writev)(fd, parts, number);
  std::string bytes;
  for (int i = 0; i < number; ++i)
    bytes.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  return write_by("writev", fd, bytes.size(),
                  [&](size_t part) { return REAL(write)(fd, bytes.data(), part); });
}

size_t fwrite(const void* bytes, size_t size, size_t number, std::FILE* file) {
  const auto put = [&](size_t part) {
    const size_t done = REAL(fwrite)(bytes, 1, part, file);
    if (part < size * number) REAL(fflush)(file);  // half of it is on its way, then comes the end
    return static_cast<ssize_t>(done);
  };
  const ssize_t done = write_by("fwrite", ::fileno(file), size * number, put);
  return done < 0 || size == 0 ? 0 : static_cast<size_t>(done) / size;
}

int fflush(std::FILE* file) {
  if (file == nullptr || !is_watched(::fileno(file))) return REAL(fflush)(file);
  return unless_struck("fflush", path_of(::fileno(file)), Needs::kRoom, EOF,
                       [&] { return REAL(fflush)(file); });
}

int fclose(std::FILE* file) {
  const int fd = ::fileno(file);
  if (!is_watched(fd)) return REAL(fclose)(file);
  const Fate fate = fate_of("fclose", path_of(fd), Needs::kNoRoom);
  watch(fd, false);
  const int done = REAL(fclose)(file);
  if (fate.error != 0) errno = fate.error;
  return fate.error != 0 ? EOF : done;
}

int close(int fd) {
  watch_reads(fd, false);
  if (!is_watched(fd)) return REAL(close)(fd);
  const Fate fate = fate_of("close", path_of(fd), Needs::kNoRoom);
  watch(fd, false);
  const int done = REAL(close)(fd);
  if (fate.error != 0) errno = fate.error;
  return fate.error != 0 ? -1 : done;
}

int fsync(int fd) {
  if (!is_watched(fd)) return REAL(fsync)(fd);
  return unless_struck("fsync", path_of(fd), Needs::kRoom, -1, [&] { return REAL(fsync)(fd); });
}

int ftruncate(int fd, off_t size) noexcept {
  if (!is_watched(fd)) return REAL(ftruncate)(fd, size);
  return unless_struck("ftruncate", path_of(fd), Needs::kRoom, -1,
                       [&] { return REAL(ftruncate)(fd, size); });
}

int rename(const char* from, const char* to) noexcept {
  if (!is_below(from) && !is_below(to)) return REAL(rename)(from, to);
  return unless_struck("rename", to, Needs::kNoRoom, -1, [&] { return REAL(rename)(from, to); });
}

int link(const char* from, const char* to) noexcept {
  if (!is_below(to)) return REAL(link)(from, to);
  return unless_struck("link", to, Needs::kRoom, -1, [&] { return REAL(link)(from, to); });
}

int symlink(const char* target, const char* path) noexcept {
  if (!is_below(path)) return REAL(symlink)(target, path);
  return unless_struck("symlink", path, Needs::kRoom, -1,
                       [&] { return REAL(symlink)(target, path); });
}

int mkdir(const char* path, mode_t mode) noexcept {
  if (!is_below(path)) return REAL(mkdir)(path, mode);
  return unless_struck("mkdir", path, Needs::kRoom, -1, [&] { return REAL(mkdir)(path, mode); });
}

int unlink(const char* path) noexcept {
  if (!is_below(path)) return REAL(unlink)(path);
  return unless_struck("unlink", path, Needs::kNoRoom, -1, [&] { return REAL(unlink)(path); });
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  if (!is_below_at(folder, path)) return REAL(unlinkat)(folder, path, flags);
  return unless_struck("unlinkat", path, Needs::kNoRoom, -1,
                       [&] { return REAL(unlinkat)(folder, path, flags); });
}

int rmdir(const char* path) noexcept {
  if (!is_below(path)) return REAL(rmdir)(path);
  return unless_struck("rmdir", path, Needs::kNoRoom, -1, [&] { return REAL(rmdir)(path); });
}

int remove(const char* path) noexcept {
  if (!is_below(path)) return REAL(remove)(path);
  return unless_struck("remove", path, Needs::kNoRoom, -1, [&] { return REAL(remove)(path); });
}

}  // extern "C"
