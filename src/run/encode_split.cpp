#include "run/encode_split.h"

#include "base/progress.h"
#include "run/audit.h"
#include "tasks/encode.h"

namespace hone {
namespace {

constexpr size_t kChunk = 2048;  // records encoded at a time: enough for all threads, little memory

struct Chunk {
  std::vector<Record> records;
  std::vector<size_t> rows;  // of the split
};

Chunk read_chunk(RecordStream& stream) {
  Chunk chunk;
  while (chunk.records.size() < kChunk) {
    std::optional<Record> record = stream.next();
    if (!record) break;
    chunk.records.push_back(std::move(*record));
    chunk.rows.push_back(stream.row());
  }
  return chunk;
}

}  // namespace

void encode_split(Dataset& dataset, const std::string& split, const Task& task,
                  const Tokenizer& tokenizer,
                  const std::function<void(const Record&, std::vector<Sample>&)>& take) {
  const auto stream = dataset.open(split);
  Progress progress("encoding " + split, dataset.size(split), "rows");
  EncodingAudit audit(dataset.audits()[split], task, tokenizer);
  int64_t done = 0;
  for (Chunk chunk = read_chunk(*stream); !chunk.records.empty(); chunk = read_chunk(*stream)) {
    std::vector<Encoded> encoded = encode_records(chunk.records, task, tokenizer, true);
    for (size_t i = 0; i < encoded.size(); ++i) {
      if (encoded[i].failure) {
        dataset.drop(split, chunk.rows[i], *encoded[i].failure);
        continue;
      }
      audit.add(chunk.records[i], encoded[i].samples, encoded[i].truncated);
      take(chunk.records[i], encoded[i].samples);
    }
    progress.advance_to(done += static_cast<int64_t>(chunk.records.size()));
  }
  audit.finish();
}

}  // namespace hone
