#include "tasks/encode.h"

#include <ATen/Parallel.h>

namespace hone {
namespace {

// A tokenizer that adds no tokens of its own (GPT-2's) makes nothing of an empty text.
void refuse_empty(const Sample& sample, const Record& record) {
  for (const Sequence& stream : sample.streams) {
    if (stream.ids.empty())
      throw Error(ErrorKind::kData, record.where(),
                  "has no tokens: the text is empty, and this model's tokenizer adds none of its "
                  "own. Leave the row out, or give it a text.");
  }
}

}  // namespace

EncodeOutcome encode_record(const Record& record, const Task& task, const Tokenizer& tokenizer,
                            bool with_targets) {
  EncodeOutcome encoded;
  try {
    encoded.samples = task.encode(record, tokenizer, with_targets, &encoded.truncated);
    for (const Sample& sample : encoded.samples) refuse_empty(sample, record);
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
