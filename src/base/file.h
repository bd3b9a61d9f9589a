// Files: read whole, map, write atomically (temporary name, fsync, rename), checksum, free space.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hone {

// The whole file. Throws Error(kind) "no such file" with the nearest name in that folder, or the
// reason of the system. A model's folder may come from anybody: with kModel only regular files are
// read, here and below, texts of at most 256 MiB, and a Git LFS pointer or web page in place of one
// is named.
std::string read_file(const std::string& path, ErrorKind kind);

// A file written under a temporary name beside `path`; `commit` syncs it and renames it over
// `path`. Destroyed without commit, it leaves nothing behind. A full disk is an Error that names
// path and bytes; so is any other failure, that of closing and of syncing the folder included.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  void rewrite_beginning(
      std::string_view bytes);  // over as many that are written; once, at the end
  void commit();

 private:
  std::string path_, temporary_;
  std::FILE* file_ = nullptr;
  bool is_committed_ = false;
};

void write_file(const std::string& path, std::string_view bytes);  // AtomicFile in one call

// Makes the names in a folder last: what was created, renamed or removed there survives a loss of
// power. Error(kUsage) where the disk fails; a file system that syncs no folders is left in peace.
void sync_folder(const std::string& folder);
// Of a file or a folder. Error(kUsage) with both names.
void rename_path(const std::string& from, const std::string& to);

// Removes the temporary files of AtomicFile that processes which ended left in this folder.
void remove_leftovers(const std::string& folder);
// Removes those of this process. May be called by a signal handler.
void remove_temporaries() noexcept;
// SIGINT, SIGTERM and SIGHUP remove them before they end the program, and a file that grows past
// `ulimit -f` is an error of that file, not the program's death.
void clean_up_on_signals();

// A read-only mapping of a whole file.
class MappedFile {
 public:
  MappedFile(const std::string& path, ErrorKind kind);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

// " (looked for from /home/me, where hone runs)": where a relative path starts, which a user who
// wrote it beside a configuration elsewhere mistakes; "" of an absolute one.
std::string looked_from(const std::string& path);

std::string sha256(std::string_view bytes);            // 64 hexadecimal digits
std::string sha256_file(const std::string& path);      // the same of a file, read in pieces
std::string existing_folder(const std::string& path);  // this one or its nearest parent that exists
int64_t free_disk_bytes(const std::string& path);  // on the file system of existing_folder(path)

}  // namespace hone
