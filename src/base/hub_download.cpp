#include "base/hub_download.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/hub_cache.h"
#include "base/log.h"
#include "base/progress.h"

namespace hone {
namespace {

namespace fs = std::filesystem;

// The partial file of a download. Locked, so that two processes do not write it at once.
class PartialFile {
 public:
  explicit PartialFile(const std::string& path) : path_(path) {
    do {
      if (descriptor_ >= 0) close(descriptor_);
      descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
      if (descriptor_ < 0) fail("written", "");
      flock(descriptor_, LOCK_EX);
    } while (!is_still_here());
  }
  ~PartialFile() { close(descriptor_); }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  int64_t size() const { return lseek(descriptor_, 0, SEEK_END); }
  void clear() {
    if (ftruncate(descriptor_, 0) != 0) fail("emptied", "");
  }
  void append(std::string_view bytes) {
    lseek(descriptor_, 0, SEEK_END);
    while (!bytes.empty()) {
      const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) fail("written", " Is the disk full?");
      bytes.remove_prefix(static_cast<size_t>(written));
    }
  }
  void commit(const std::string& target) {
    if (fsync(descriptor_) != 0) fail("written", " Is the disk full?");
    if (rename(path_.c_str(), target.c_str()) != 0) fail("renamed", "");
  }
  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void fail(const char* what, const char* hint) const {
    throw Error(ErrorKind::kModel, {path_},
                fmt::format("cannot be {}: {}.{}", what, std::strerror(errno), hint));
  }
  // False where another process renamed or removed the file while this one waited for the lock.
  bool is_still_here() const {
    struct stat mine{}, named{};
    return fstat(descriptor_, &mine) == 0 && stat(path_.c_str(), &named) == 0 &&
           mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
  }

  std::string path_;
  int descriptor_ = -1;
};

void check_space(const RemoteFile& file, int64_t have, const std::string& folder) {
  const int64_t needed = std::max<int64_t>(0, file.size - have), free = free_disk_bytes(folder);
  if (needed > free) {
    throw Error(
        ErrorKind::kModel, {folder},
        fmt::format("{} needs {:.0f} MB but {:.0f} MB are free; set HF_HOME to a larger disk.",
                    file.name, needed / 1e6, free / 1e6));
  }
}

// Takes one answer's bytes into the partial file, and no more of them than were announced.
class Download {
 public:
  Download(const RemoteFile& file, PartialFile& partial, Progress& progress)
      : file_(file), partial_(partial), progress_(progress) {}

  void take(const HttpResponse& response, std::string_view bytes) {
    if (std::exchange(is_first_, false)) begin(response);
    if (have_ + static_cast<int64_t>(bytes.size()) > announced_) {
      throw Error(ErrorKind::kModel,
                  fmt::format("{}: {} sends more than the {} bytes that it announced.", file_.name,
                              hub_endpoint(), announced_));
    }
    partial_.append(bytes);
    have_ += static_cast<int64_t>(bytes.size());
    progress_.advance_to(have_ / 1'000'000);
  }

 private:
  void begin(const HttpResponse& response) {
    if (response.status != 206) partial_.clear();  // the server starts over
    have_ = partial_.size();
    announced_ = file_.size;
    if (announced_ >= 0) return;
    const int64_t rest = stated_size(response.header("content-length"), file_.name);
    if (rest < 0)
      throw Error(ErrorKind::kModel,
                  fmt::format("{}: {} does not say how long it is.", file_.name, hub_endpoint()));
    announced_ = have_ + rest;
  }

  const RemoteFile& file_;
  PartialFile& partial_;
  Progress& progress_;
  bool is_first_ = true;
  int64_t have_ = 0, announced_ = 0;
};

// Fetches what the partial file lacks, resuming after each break.
void fetch_rest(const Repository& repository, const RemoteFile& file, PartialFile& partial) {
  Progress progress(file.name, file.size > 0 ? file.size / 1'000'000 : 0, "MB");
  for (int attempt = 0;; ++attempt) {
    if (file.size >= 0 && partial.size() > file.size) partial.clear();
    if (file.size >= 0 && partial.size() == file.size) return;
    Download download(file, partial, progress);
    HttpRequest request{.url = file.url, .from = partial.size()};
    if (http_same_origin(file.url, hub_endpoint())) request.token = hub_token();
    request.sink = [&](const HttpResponse& response, std::string_view bytes) {
      download.take(response, bytes);
    };
    const HttpResponse response = http_perform(request);
    const bool is_whole = response.is_success();
    if (is_whole && (file.size < 0 || partial.size() == file.size)) return;
    if (attempt + 1 >= kHubTries && is_whole)
      throw Error(ErrorKind::kModel,
                  fmt::format("{}: {} sends {} bytes, not the {} that it announced.", file.name,
                              hub_endpoint(), partial.size(), file.size));
    if (attempt + 1 >= kHubTries || !(is_whole || response.is_passing))
      refuse_answer(repository, file.name, response);
    wait_before_retry(attempt, response, file.name);
  }
}

}  // namespace

std::string fetch_blob(const Repository& repository, const RemoteFile& file) {
  const std::string folder = repository.folder() + "/blobs", blob = folder + "/" + file.etag;
  fs::create_directories(folder);
  for (bool is_retry : {false, true}) {
    if (is_whole_blob(blob)) return blob;
    PartialFile partial(blob + ".incomplete");
    if (is_whole_blob(blob)) {  // another process was faster
      fs::remove(partial.path());
      return blob;
    }
    check_space(file, partial.size(), folder);
    fetch_rest(repository, file, partial);
    const std::string found = checksum_like(file.etag, partial.path());
    if (found == file.etag) {
      partial.commit(blob);
      return blob;
    }
    fs::remove(partial.path());
    const std::string message = fmt::format("{}: checksum {} expected, {} found after {} bytes",
                                            file.name, file.etag, found, partial.size());
    if (is_retry)
      throw Error(ErrorKind::kModel,
                  message + "; fetched twice. The connection or the hub's copy is damaged.");
    log_warn("{}; fetching it again", message);
  }
  return blob;
}

void link_file(const std::string& blob, const std::string& snapshot, const std::string& name) {
  const fs::path path = fs::path(snapshot) / name;
  const fs::path target = fs::path("../../blobs") / fs::path(blob).filename();
  std::error_code error;
  if (fs::read_symlink(path, error) == target) return;
  const fs::path temporary = fmt::format("{}.tmp-{}", path.string(), getpid());
  fs::remove(temporary, error);
  fs::create_symlink(target, temporary, error);
  if (error)  // a file system without links
    fs::copy_file(blob, temporary, fs::copy_options::overwrite_existing);
  fs::rename(temporary, path);
}

}  // namespace hone
