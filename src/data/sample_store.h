// All samples of a split, random access by index, memory flat: samples beyond `memory_limit` bytes
// live in an unlinked file on the disk of `spill_dir`, which need not exist. Writing is by one
// thread; reading is thread-safe once `seal` was called.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/sample.h"

namespace hone {

class SampleStore {
 public:
  explicit SampleStore(std::string spill_dir = "", int64_t memory_limit = int64_t{8} << 20);
  ~SampleStore();
  SampleStore(SampleStore&&) noexcept;

  void add(const Sample& sample);
  void seal();
  int64_t size() const;
  Sample get(int64_t index) const;
  const std::vector<int32_t>& lengths() const;  // Sample::size() of each
  const std::vector<int32_t>& tasks() const;    // Sample::task of each; empty where all are 0
  const std::vector<int32_t>& strata() const;   // Sample::stratum of each, likewise

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace hone
