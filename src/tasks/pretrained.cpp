#include "tasks/pretrained.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/random.h"
#include "models/foreign_names.h"
#include "models/weights.h"

namespace hone {
namespace {

bool is_pooler(const std::string& name) { return name.find("pooler.") != std::string::npos; }

std::vector<std::string> head_names(const Network& network, const std::string& prefix) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : network.weights()) {
    if (!name.starts_with(prefix)) names.push_back(name);
  }
  return names;
}

// A head of other labels is no start for this one; taking it would fail on its shape, or worse, not
// fail.
std::vector<std::string> drop_head(const std::vector<std::string>& head, StateDict& weights) {
  std::vector<std::string> dropped;
  for (const std::string& name : head) {
    if (weights.erase(name) > 0) dropped.push_back(name);
  }
  return dropped;
}

// Fresh weights for what the checkpoint lacks of the backbone: that may be a pooler only.
void start_backbone(Backbone& backbone, const std::vector<std::string>& missing,
                    const std::vector<std::string>& unexpected, const std::string& source,
                    uint64_t seed) {
  std::vector<std::string> pooler, others;
  for (const std::string& name : missing) (is_pooler(name) ? pooler : others).push_back(name);
  if (!others.empty()) {
    throw Error(
        ErrorKind::kModel, {source},
        fmt::format("{} missing ({}); does config.json belong to these weights?{}",
                    count_of(others.size(), "weight"), first_names(others),
                    wrapper_advice(others, backbone.config().base_prefix + ".", unexpected)));
  }
  if (pooler.empty()) return;
  log_warn("{}: the checkpoint has no pooler ({}); it starts from random values", source,
           first_names(pooler));
  backbone.initialise(mix(seed, 1), pooler);
}

void tell_head(const std::vector<std::string>& head, const std::vector<std::string>& dropped,
               bool starts_fresh, const std::string& source) {
  if (!dropped.empty()) {
    log_info(
        "{}: the checkpoint's own head ({}) was trained for another task or other labels; a "
        "fresh one takes its place",
        source, first_names(dropped));
  } else if (starts_fresh) {
    log_info(
        "{}: the checkpoint has no head for this task; a fresh one ({}) starts from random "
        "values",
        source, first_names(head));
  } else {
    log_info("{}: the checkpoint's own head ({}) goes on: its task and labels are the same", source,
             first_names(head));
  }
}

// Weights that nothing took: heads of pre-training, a pooler, and what should not be there.
void tell_unused(const LoadReport& report, const std::string& source) {
  if (!report.unexpected.empty())
    log_info("{}: of the checkpoint, {} not used ({})", source,
             count_of(report.unexpected.size(), "weight"), first_names(report.unexpected));
}

}  // namespace

std::string first_names(const std::vector<std::string>& names) {
  const size_t most = std::min<size_t>(names.size(), 5);
  return fmt::format("{}{}", fmt::join(names.begin(), names.begin() + most, ", "),
                     most < names.size() ? ", …" : "");
}

std::string count_of(size_t count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? " is" : "s are");
}

std::shared_ptr<Network> make_network(ModelConfig config, const Task& task) {
  const std::shared_ptr<Head> head = task.make_head(config);
  config.sentence_head.uses_pooler = config.sentence_head.uses_pooler && head->uses_pooler();
  return std::make_shared<Network>(make_backbone(config), head);
}

std::shared_ptr<Network> network_from(const std::string& folder, const ModelConfig& config,
                                      const Task& task, uint64_t seed,
                                      std::vector<std::string>* fresh) {
  StateDict weights = load_state_dict(folder);
  ModelConfig checked = config;
  checked.compare_with(weights, folder);
  const std::shared_ptr<Network> network = make_network(checked, task);
  const std::string prefix = checked.base_prefix + ".";
  const std::vector<std::string> head = head_names(*network, prefix);
  const std::vector<std::string> dropped =
      task.can_continue(checked) ? std::vector<std::string>{} : drop_head(head, weights);
  const LoadReport report = load_into(network->weights(), weights, checked.base_prefix, folder);
  refuse_adapter(report.unexpected, folder);
  std::vector<std::string> of_backbone;
  for (const std::string& name : report.missing) {
    if (name.starts_with(prefix)) of_backbone.push_back(name.substr(prefix.size()));
  }
  start_backbone(network->backbone(), of_backbone, report.unexpected, folder, seed);
  if (fresh != nullptr) *fresh = of_backbone;
  const bool starts_fresh = of_backbone.size() < report.missing.size();
  if (starts_fresh) network->head().initialise(seed);  // all of it, where a part is missing
  tell_head(head, dropped, starts_fresh, folder);
  tell_unused(report, folder);
  return network;
}

}  // namespace hone
