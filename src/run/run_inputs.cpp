#include "run/run_inputs.h"

#include <algorithm>

#include "base/log.h"

namespace hone {
namespace {

constexpr size_t kMostKept = 4;

// All that decides what is read and encoded.
std::string key_of(const RunConfig& config) {
  const Config all = Config::parse(config.resolved, config.path);
  Json key = {config.model, config.train.max_seq_length,
              config.peft ? config.peft->positions_taken() : 0};
  for (const char* section : {"task", "tasks", "data", "augment"}) {
    for (const Config& value : all.items(section)) key.push_back({section, value.plain()});
  }
  return to_text(key);
}

}  // namespace

std::shared_ptr<RunInputs> SharedInputs::of(const RunConfig& config,
                                            const Translating& translating) {
  const std::string key = key_of(config);
  const auto known =
      std::find_if(kept_.begin(), kept_.end(), [&](const auto& one) { return one.first == key; });
  if (known != kept_.end()) {
    kept_.splice(kept_.begin(), kept_, known);
    check_run(config, kept_.front().second->prepared);
    log_info("the data are those of a run before, and are not read again");
    return kept_.front().second;
  }
  if (kept_.size() == kMostKept) kept_.pop_back();  // before the next are read
  const auto read = std::make_shared<RunInputs>(config, translating);
  if (!read->data.is_interrupted) kept_.emplace_front(key, read);
  return read;
}

void SharedInputs::forget(const std::shared_ptr<RunInputs>& inputs) {
  kept_.remove_if([&](const auto& one) { return one.second == inputs; });
}

}  // namespace hone
