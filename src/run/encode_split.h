// The records of a split as samples, in order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "run/audit.h"
#include "run/dataset.h"
#include "tasks/encode.h"

namespace hone {

// Encodes with targets, some thousand records at a time, on all threads. What encoding shows is
// counted in the split's audit. Rows that cannot be encoded are errors, or dropped where their
// source says so.
class EncodingStream {
 public:
  // `records` are of `split`; the rest must outlive this.
  EncodingStream(Dataset& dataset, std::string split, std::unique_ptr<RecordStream> records,
                 const Task& task, const Tokenizer& tokenizer);

  std::vector<EncodedRecord> next();  // as EncodedSource

 private:
  std::vector<EncodedRecord> encode(std::vector<Record> records, const std::vector<size_t>& rows);

  Dataset& dataset_;
  std::string split_;
  std::unique_ptr<RecordStream> records_;
  const Task& task_;
  const Tokenizer& tokenizer_;
  EncodingAudit audit_;
  bool is_done_ = false;
};

}  // namespace hone
