// What tests of readers share: a folder, all records of a reader, the message of an error.
#pragma once

#include <optional>
#include <vector>

#include "data/reader.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

namespace hone {

using testing_support::error_of;
using testing_support::TemporaryFolder;

inline std::vector<Record> read_all(RecordReader& reader) {
  std::vector<Record> records;
  while (std::optional<Record> record = reader.next()) records.push_back(std::move(*record));
  return records;
}

}  // namespace hone
