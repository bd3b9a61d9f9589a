// A folder for one test, removed at its end, and files in it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/reader.h"

namespace hone {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int serial = 0;
    // Thousands of small files are written; in memory they cost nothing.
    const std::filesystem::path base = std::filesystem::exists("/dev/shm") ? "/dev/shm" : testing::TempDir();
    path_ = base / ("hone-data-" + std::to_string(::getpid()) + "-" + std::to_string(serial++));
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string path() const { return path_.string(); }
  std::string write(const std::string& name, std::string_view bytes) const {
    const std::string file = (path_ / name).string();
    std::ofstream(file, std::ios::binary) << bytes;
    return file;
  }

 private:
  std::filesystem::path path_;
};

inline std::vector<Record> read_all(RecordReader& reader) {
  std::vector<Record> records;
  while (std::optional<Record> record = reader.next()) records.push_back(std::move(*record));
  return records;
}

// The message of the Error that `action` throws, the folder of its file taken out; "no error" where it throws none.
template <typename Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    std::string text = error.what();
    const std::string file = error.where().file;
    const size_t slash = file.rfind('/');
    if (slash != std::string::npos && text.starts_with(file)) text.erase(0, slash + 1);
    return text;
  }
  return "no error";
}

}  // namespace hone
