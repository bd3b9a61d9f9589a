#include "run/encode_split.h"

namespace hone {

EncodingStream::EncodingStream(Dataset& dataset, std::string split,
                               std::unique_ptr<RecordStream> records, const Task& task,
                               const Tokenizer& tokenizer)
    : dataset_(dataset),
      split_(std::move(split)),
      records_(std::move(records)),
      task_(task),
      tokenizer_(tokenizer),
      audit_(dataset.audits()[split_], dataset.has_reader(split_), task, tokenizer) {}

std::vector<EncodedRecord> EncodingStream::next() {
  std::vector<EncodedRecord> encoded;
  while (encoded.empty() && !is_done_) {
    std::vector<Record> records;
    std::vector<size_t> rows;  // of the split
    while (records.size() < kRecordsAtOnce) {
      std::optional<Record> record = records_->next();
      is_done_ = !record;
      if (is_done_) break;
      records.push_back(std::move(*record));
      rows.push_back(records_->row());
    }
    encoded = encode(std::move(records), rows);
    if (is_done_) audit_.finish();
  }
  return encoded;
}

std::vector<EncodedRecord> EncodingStream::encode(std::vector<Record> records,
                                                  const std::vector<size_t>& rows) {
  std::vector<EncodedRecord> good;
  std::vector<EncodeOutcome> all =
      encode_records(records, task_, tokenizer_, /*with_targets=*/true);
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].failure) {
      dataset_.drop(split_, rows[i], *all[i].failure);
      continue;
    }
    audit_.add(records[i], all[i].samples, all[i].truncated);
    good.push_back({std::move(records[i]), std::move(all[i].samples)});
  }
  return good;
}

}  // namespace hone
