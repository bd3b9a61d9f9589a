// A task's network begun from a pre-trained model: which weights it takes over, which start fresh
// and which nothing takes, all of it told.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tasks/network.h"
#include "tasks/peft.h"
#include "tasks/task.h"

namespace hone {

// A network begun as the base model of adapters.
struct BaseStart {
  const PeftOptions& peft;
  std::vector<std::string> fresh = {};  // the backbone's weights that no checkpoint brought
  WeightHashes hashes = {};             // of those that are kept in another form already
};

// The network of `task` as the model's configuration describes it. Its weights are not set.
// Error(kUsage) where the task needs a source beside its texts and the model reads none, or the
// other way round.
std::shared_ptr<Network> make_network(ModelConfig config, const Task& task);

// The same with random weights, a function of `seed`: BERT's rule for the family's
// initializer_range (Backbone::initialise).
std::shared_ptr<Network> random_network(const ModelConfig& config, const Task& task, uint64_t seed);

// The network with the weights of `folder`. The checkpoint's own head goes on where the task can
// continue it (Task::can_continue), else a fresh one takes its place, a function of `seed`. Missing
// weights of a head or a pooler start fresh; missing backbone weights are an Error(kModel) that
// names them. With `base` its linear layers may be kept in another form from the beginning.
// Error(kModel) for a head that would start fresh where it is needed as it is (`needs_head`).
std::shared_ptr<Network> network_from(const std::string& folder, const ModelConfig& config,
                                      const Task& task, uint64_t seed, BaseStart* base = nullptr,
                                      bool needs_head = false);

// What a checkpoint holds twice becomes one weight; see CausalLmStyle. Error(kModel) where the two
// differ.
void settle_copies(ModelConfig& config, StateDict& weights, const std::string& source);

// "a, b, c, d, e, …", and "3 weights are"
std::string first_names(const std::vector<std::string>& names);
std::string count_of(size_t count, const char* noun);

}  // namespace hone
