#include "tasks/encode.h"

#include <ATen/Parallel.h>

namespace hone {

EncodeOutcome encode_record(const Record& record, const Task& task, const Tokenizer& tokenizer,
                            bool with_targets) {
  EncodeOutcome encoded;
  try {
    encoded.samples = task.encode(record, tokenizer, with_targets, &encoded.truncated);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kData) throw;
    encoded.failure = error;
  }
  return encoded;
}

std::vector<EncodeOutcome> encode_records(std::span<const Record> records, const Task& task,
                                          const Tokenizer& tokenizer, bool with_targets) {
  std::vector<EncodeOutcome> encoded(records.size());
  at::parallel_for(0, static_cast<int64_t>(records.size()), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      encoded[i] = encode_record(records[i], task, tokenizer, with_targets);
  });
  return encoded;
}

}  // namespace hone
