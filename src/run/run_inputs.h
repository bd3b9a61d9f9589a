// Model and data of a run, read and encoded; and the same for several runs that read the same.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <utility>

#include "run/prepare.h"

namespace hone {

struct RunInputs {
  RunInputs(const RunConfig& config, const Translating& translating)
      : prepared(prepare(config)), data(encode_data(config, prepared, translating)) {}

  Prepared prepared;
  RunData data;
};

// For runs one after the other, which are not to change what they get: two that have task, data,
// augmentation, model folder and longest sample in common read and encode once.
class SharedInputs {
 public:
  // Of one that was interrupted while texts were translated nothing is kept.
  std::shared_ptr<RunInputs> of(const RunConfig& config, const Translating& translating);
  // They are no longer as they were read: the next run reads its own.
  void forget(const std::shared_ptr<RunInputs>& inputs);

 private:
  std::list<std::pair<std::string, std::shared_ptr<RunInputs>>> kept_;  // used last comes first
};

}  // namespace hone
