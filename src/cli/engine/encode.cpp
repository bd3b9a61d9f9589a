#include "cli/engine/encode.h"

#include <ATen/Parallel.h>

#include <exception>

#include "base/progress.h"

namespace hone {
namespace {

constexpr size_t kChunk = 2048;  // records encoded at a time: enough for all threads, little memory

struct Outcome {
  Encoded encoded;
  size_t row;  // of the split
  std::exception_ptr failure = nullptr;
};

std::vector<Outcome> read_chunk(RecordStream& stream) {
  std::vector<Outcome> chunk;
  while (chunk.size() < kChunk) {
    std::optional<Record> record = stream.next();
    if (!record) break;
    chunk.push_back({{std::move(*record), {}, false}, stream.row()});
  }
  return chunk;
}

// Failures are kept beside their record: the first one in the data's order is told of, whichever
// thread met one first.
void encode_chunk(std::vector<Outcome>& chunk, const Task& task, const Tokenizer& tokenizer) {
  at::parallel_for(0, static_cast<int64_t>(chunk.size()), 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      auto& [encoded, row, failure] = chunk[static_cast<size_t>(i)];
      try {
        encoded.samples = task.encode(encoded.record, tokenizer, true, &encoded.truncated);
      } catch (...) {
        failure = std::current_exception();
      }
    }
  });
}

void count(const Encoded& encoded, SplitAudit& audit) {
  audit.truncated += encoded.truncated;
  audit.repaired += !encoded.samples.empty() && !encoded.samples.front().repair.empty();
  for (const Sample& sample : encoded.samples) {
    const auto length = static_cast<size_t>(sample.size());
    if (audit.lengths.size() <= length) audit.lengths.resize(length + 1);
    ++audit.lengths[length];
  }
}

}  // namespace

void encode_split(Dataset& dataset, const std::string& split, const Task& task,
                  const Tokenizer& tokenizer, const std::function<void(Encoded&)>& take) {
  const auto stream = dataset.open(split);
  Progress progress("encoding " + split, dataset.size(split), "rows");
  int64_t done = 0;
  for (std::vector<Outcome> chunk = read_chunk(*stream); !chunk.empty();
       chunk = read_chunk(*stream)) {
    encode_chunk(chunk, task, tokenizer);
    for (auto& [encoded, row, failure] : chunk) {
      try {
        if (failure) std::rethrow_exception(failure);
      } catch (const Error& error) {
        dataset.drop(split, row, error);
        continue;
      }
      count(encoded, dataset.audits()[split]);
      take(encoded);
    }
    progress.advance_to(done += static_cast<int64_t>(chunk.size()));
  }
}

}  // namespace hone
