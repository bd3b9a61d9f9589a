// What tests of readers share: a folder, all records of a reader, the message of an error.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/reader.h"
#include "support/temporary_folder.h"

namespace hone {

using testing_support::TemporaryFolder;

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
