// A split that is encoded once and evaluated as often as asked for: records and samples, memory
// flat.
#pragma once

#include <string>
#include <vector>

#include "data/record_store.h"
#include "data/sample_store.h"
#include "tasks/encode.h"

namespace hone {

class KeptSplit {
 public:
  // What memory does not hold lies on the disk of `spill_dir`, which need not exist.
  explicit KeptSplit(const std::string& spill_dir);

  void add(const EncodedRecord& record);
  void seal();                // after the last record
  EncodedSource all() const;  // REQUIRES: seal was called, and this outlives it

 private:
  RecordStore records_;
  SampleStore samples_;
  std::vector<int64_t> ends_;  // of each record's samples
};

}  // namespace hone
