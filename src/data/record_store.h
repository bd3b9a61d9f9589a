// All records of a split, memory flat, as SampleStore keeps samples; what comes back is what was
// added, cleaning's edits and the row's place included.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/byte_store.h"
#include "data/record.h"

namespace hone {

class RecordStore {
 public:
  explicit RecordStore(std::string spill_dir = "", int64_t memory_limit = int64_t{4} << 20)
      : encoded_(std::move(spill_dir), memory_limit) {}

  void add(const Record& record);
  void seal() { encoded_.seal(); }
  int64_t size() const { return encoded_.size(); }
  Record get(int64_t index) const;

 private:
  ByteStore encoded_;
  std::vector<std::shared_ptr<const std::string>> files_;
  std::map<std::string, size_t> index_of_;  // of each of files_
};

}  // namespace hone
