#include "run/kept_split.h"

#include <algorithm>

namespace hone {
namespace {

constexpr int64_t kMemory = int64_t{4} << 20;  // bytes, of records and of samples

}  // namespace

KeptSplit::KeptSplit(const std::string& spill_dir)
    : records_(spill_dir, kMemory), samples_(spill_dir, kMemory) {}

void KeptSplit::add(const EncodedRecord& record) {
  records_.add(record.record);
  for (const Sample& sample : record.samples) samples_.add(sample);
  ends_.push_back(samples_.size());
}

void KeptSplit::seal() {
  records_.seal();
  samples_.seal();
}

EncodedSource KeptSplit::all() const {
  return [this, at = size_t{0}]() mutable {
    std::vector<EncodedRecord> part;
    for (const size_t end = std::min(at + kRecordsAtOnce, ends_.size()); at < end; ++at) {
      part.push_back({records_.get(static_cast<int64_t>(at)), {}});
      for (int64_t s = at == 0 ? 0 : ends_[at - 1]; s < ends_[at]; ++s)
        part.back().samples.push_back(samples_.get(s));
    }
    return part;
  };
}

}  // namespace hone
