// Records to samples, on all threads.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "tasks/task.h"

namespace hone {

constexpr size_t kRecordsAtOnce = 2048;  // enough for all threads; more are never held together

// What a task made of one record.
struct EncodeOutcome {
  std::vector<Sample> samples;
  bool truncated = false;        // tokens were lost
  std::optional<Error> failure;  // kData: the record cannot be encoded, and has no samples
};

EncodeOutcome encode_record(const Record& record, const Task& task, const Tokenizer& tokenizer,
                            bool with_targets);

// In the order of the records: one that fails does not fail its neighbours.
std::vector<EncodeOutcome> encode_records(std::span<const Record> records, const Task& task,
                                          const Tokenizer& tokenizer, bool with_targets);

struct EncodedRecord {
  Record record;
  std::vector<Sample> samples;  // with targets
};

// Labelled records in the order of the data, at most kRecordsAtOnce in each call; none at the end.
using EncodedSource = std::function<std::vector<EncodedRecord>()>;

}  // namespace hone
