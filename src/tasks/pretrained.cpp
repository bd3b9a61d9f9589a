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

// What becomes of a checkpoint's own head.
struct HeadStart {
  std::vector<std::string> names;    // of the task's head, but those of pre-training
  std::vector<std::string> kept;     // of pre-training, which the checkpoint has
  std::vector<std::string> dropped;  // names that the checkpoint has for another task
  bool is_fresh = false;
};

HeadStart head_of(Network& network, const StateDict& weights) {
  const std::vector<std::string> pretrained = network.head().pretrained();
  const std::string prefix = network.backbone().config().base_prefix + ".";
  HeadStart head;
  for (const auto& [name, tensor] : network.weights()) {
    if (name.starts_with(prefix)) continue;
    if (std::find(pretrained.begin(), pretrained.end(), name) == pretrained.end())
      head.names.push_back(name);
    else if (weights.contains(name))
      head.kept.push_back(name);
  }
  return head;
}

// A head of other labels is no start for this one; taking it would fail on its shape, or worse, not
// fail. Where a part is missing, all of it starts fresh.
HeadStart start_head(Network& network, StateDict& weights, bool can_continue, uint64_t seed) {
  HeadStart head = head_of(network, weights);
  const auto is_there = [&](const std::string& name) { return weights.contains(name); };
  head.is_fresh = !can_continue || !std::all_of(head.names.begin(), head.names.end(), is_there);
  if (!head.is_fresh) return head;
  if (!can_continue)
    std::copy_if(head.names.begin(), head.names.end(), std::back_inserter(head.dropped), is_there);
  for (const std::string& name : head.names) weights.erase(name);
  network.head().initialise(seed);  // what the checkpoint keeps is read over it
  return head;
}

std::vector<std::string> without_pooler(std::vector<std::string> names) {
  std::erase_if(names, is_pooler);
  return names;
}

// A head and a network of as many streams as each other.
void check_streams(const ModelConfig& config, const Head& head) {
  const bool has_source = config.encoder_decoder.has_value(), reads_source = head.streams() == 2;
  if (has_source && !reads_source)
    throw Error(ErrorKind::kUsage,
                fmt::format("models of the family {} read a source and write a target: they are "
                            "for the task seq2seq",
                            config.model_type));
  if (!has_source && reads_source)
    throw Error(ErrorKind::kUsage,
                fmt::format("models of the family {} have no encoder beside a decoder; take one "
                            "that has (t5, bart, marian, mbart, pegasus)",
                            config.model_type));
}

// Fresh weights for what the checkpoint lacks of the backbone: that may be a pooler only.
void start_backbone(Backbone& backbone, const std::vector<std::string>& missing,
                    const std::vector<std::string>& unexpected, const std::string& source,
                    uint64_t seed) {
  const std::vector<std::string> others = without_pooler(missing);
  if (!others.empty()) {
    throw Error(
        ErrorKind::kModel, {source},
        fmt::format("{} missing ({}); does config.json belong to these weights?{}",
                    count_of(others.size(), "weight"), first_names(others),
                    wrapper_advice(others, backbone.config().base_prefix + ".", unexpected)));
  }
  if (missing.empty()) return;  // else a pooler's
  log_warn("{}: the checkpoint has no pooler ({}); it starts from random values", source,
           first_names(missing));
  backbone.initialise(mix(seed, 1), missing);
}

void tell_head(const HeadStart& head, const std::string& source) {
  if (head.names.empty() && head.kept.empty()) return;  // a head without weights
  const std::vector<std::string>& own = head.names.empty() ? head.kept : head.names;
  if (!head.dropped.empty()) {
    log_info(
        "{}: the checkpoint's own head ({}) was trained for another task or other labels; a "
        "fresh one takes its place",
        source, first_names(head.dropped));
  } else if (head.is_fresh) {
    log_info(
        "{}: the checkpoint has no head for this task; a fresh one ({}) starts from random "
        "values",
        source, first_names(head.names));
  } else {
    log_info("{}: the checkpoint's own head ({}) goes on: its task and labels are the same", source,
             first_names(own));
  }
  if (head.is_fresh && !head.kept.empty())
    log_info("{}: of the checkpoint's own head, {} goes on", source, first_names(head.kept));
}

// Weights that stand in the backbone's place and that it does not know.
std::vector<std::string> strange(const Backbone& backbone, const LoadReport& report) {
  const std::string prefix = backbone.config().base_prefix + ".";
  const auto parts = backbone.named_children();
  std::vector<std::string> names;
  for (const std::string& name : report.unexpected) {
    const std::string bare = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
    if (parts.contains(bare.substr(0, bare.find('.')))) names.push_back(name);
  }
  return names;
}

// Code of a checkpoint's own may compute anything. Where its weights are exactly the family's, the
// family's network is what they say; where not, it is another.
void judge_own_code(const Backbone& backbone, const std::vector<std::string>& missing,
                    const LoadReport& report, const std::string& source) {
  const ModelConfig& config = backbone.config();
  if (config.own_code.empty()) return;
  const std::vector<std::string> more = strange(backbone, report);
  const auto list = [](const char* what, const std::vector<std::string>& names) {
    return names.empty() ? "" : fmt::format(" {}: {}.", what, first_names(names));
  };
  if (!missing.empty() || !more.empty())
    throw Error(ErrorKind::kModel, {source},
                fmt::format("config.json names code of the checkpoint's own (auto_map: {}), which "
                            "is never run, and its weights are not those of \"{}\".{}{} It is a "
                            "network that hone does not have.",
                            config.own_code, config.model_type, list("Missing", missing),
                            list("Unknown", more)));
  log_warn(
      "{}: config.json names code of the checkpoint's own (auto_map: {}), which is never run; "
      "its weights are those of \"{}\", and it is taken for one",
      source, config.own_code, config.model_type);
}

// Weights that nothing took: heads of pre-training, a pooler, and what should not be there.
void tell_unused(const LoadReport& report, const std::string& source) {
  if (!report.unexpected.empty())
    log_info("{}: of the checkpoint, {} not used ({})", source,
             count_of(report.unexpected.size(), "weight"), first_names(report.unexpected));
}

bool is_equal(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && a.equal(b);
}

// The table of words under the name that a checkpoint has for it.
std::string table_name(const ModelConfig& config, const StateDict& weights) {
  const std::string table = config.causal_lm->table + ".weight",
                    prefixed = config.base_prefix + "." + table;
  return weights.contains(prefixed) ? prefixed : table;
}

// Whether the output is the table of words where a checkpoint tells, not config.json.
bool has_tied_output(const ModelConfig& config, const StateDict& weights) {
  const auto out = weights.find(config.causal_lm->out + ".weight"),
             table = weights.find(table_name(config, weights));
  return out == weights.end() || (table != weights.end() && is_equal(out->second, table->second));
}

// The table of words may stand in a checkpoint as `copy` once more, or there alone. `wanted` says
// in an error why the two are one.
void settle_copy(const ModelConfig& config, const std::string& copy, const std::string& wanted,
                 StateDict& weights, const std::string& source) {
  const auto found = weights.find(copy);
  if (found == weights.end()) return;
  const std::string prefixed = config.base_prefix + "." + config.causal_lm->table + ".weight",
                    name = table_name(config, weights);
  if (!weights.contains(name)) {
    weights.emplace(prefixed, found->second);
  } else if (!is_equal(weights.at(name), found->second)) {
    throw Error(ErrorKind::kModel, {source}, fmt::format(fmt::runtime(wanted), found->first, name));
  }
  weights.erase(found);
}

}  // namespace

void settle_copies(ModelConfig& config, StateDict& weights, const std::string& source) {
  if (!config.causal_lm) return;
  CausalLmStyle& style = *config.causal_lm;
  if (style.ties_where_missing) style.is_tied = has_tied_output(config, weights);
  if (style.is_tied)
    settle_copy(config, style.out + ".weight",
                "config.json says that the output is the table of words (tie_word_embeddings), but "
                "\"{}\" and \"{}\" differ; where the model has both, set \"tie_word_embeddings\" "
                "to false.",
                weights, source);
  for (const std::string& copy : style.copies) {
    for (const std::string& prefix : {std::string(), config.base_prefix + "."})
      settle_copy(config, prefix + copy + ".weight",
                  "\"{}\" and \"{}\" differ, but both sides of this family read one table of "
                  "words.",
                  weights, source);
  }
}

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
  check_streams(config, *head);
  config.sentence_head.uses_pooler = head->uses_pooler();
  return std::make_shared<Network>(make_backbone(config), head);
}

std::shared_ptr<Network> random_network(const ModelConfig& config, const Task& task,
                                        uint64_t seed) {
  const std::shared_ptr<Network> network = make_network(config, task);
  network->backbone().initialise(mix(seed, 1));
  network->head().initialise(seed);
  log_info("all weights begin at random, as seed {} has them", seed);
  return network;
}

std::shared_ptr<Network> network_from(const std::string& folder, const ModelConfig& config,
                                      const Task& task, uint64_t seed, BaseStart* base,
                                      bool needs_head) {
  StateDict weights = load_state_dict(folder);
  ModelConfig checked = config;
  settle_copies(checked, weights, folder);
  checked.compare_with(weights, folder);
  const std::shared_ptr<Network> network = make_network(checked, task);
  network->head().rename(weights);
  const std::string prefix = checked.base_prefix + ".";
  const HeadStart head = start_head(*network, weights, task.can_continue(checked), seed);
  if (needs_head && head.is_fresh)
    throw Error(
        ErrorKind::kModel, {folder},
        fmt::format("has no head for task {} ({}), and one at random would answer anything.",
                    task.info().name, first_names(head.names)));
  const LoadReport report = load_into(
      network->stored_weights(), weights, checked.base_prefix, folder,
      base == nullptr ? nullptr : keep_base_while_loading(*network, base->peft, base->hashes));
  refuse_adapter(report.unexpected, folder);
  std::vector<std::string> of_backbone;
  for (const std::string& name : report.missing) {
    if (name.starts_with(prefix) && !checked.is_computed(name))
      of_backbone.push_back(name.substr(prefix.size()));
  }
  judge_own_code(network->backbone(), without_pooler(of_backbone), report, folder);
  start_backbone(network->backbone(), of_backbone, report.unexpected, folder, seed);
  if (base != nullptr) base->fresh = of_backbone;
  tell_head(head, folder);
  tell_unused(report, folder);
  return network;
}

}  // namespace hone
