#include "tune/run_identity.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/random.h"
#include "tasks/weights_fingerprint.h"
#include "tune/identity.h"
#include "tune/parameters.h"

namespace hone {
namespace {

using Warn = std::function<void(const std::string&)>;

[[noreturn]] void refuse_change(const Where& where, const std::string& change) {
  throw Error(ErrorKind::kUsage, where,
              fmt::format("this run cannot go on: {}. Set it back, or begin anew with --overwrite",
                          change));
}

std::string hash_of(const std::vector<int32_t>& lengths) {
  uint64_t hash = lengths.size();
  for (int32_t length : lengths) hash = mix(hash, static_cast<uint64_t>(length));
  return fmt::format("{:016x}", hash);
}

void compare_origin(const Json& before, const Json& now, const TrainerInputs& inputs,
                    const Where& where) {
  if (before.at("task") != now["task"])
    refuse_change(where, fmt::format("its task was {}, now it is {}", before.at("task").dump(),
                                     now["task"].dump()));
  const auto changes = task_differences(before.at("state"), now["state"]);
  if (!changes.empty())
    refuse_change(where, fmt::format("the task changed: {}", fmt::join(changes, "; ")));
  for (const auto& [name, rows] :
       {std::pair("train", &inputs.train_rows), std::pair("validation", &inputs.validation_rows)}) {
    const std::string difference = rows->difference(before.at(name));
    if (!difference.empty())
      refuse_change(where, fmt::format("the {} data changed: {} (its text, its label or the "
                                       "tokenizer)",
                                       name, difference));
  }
}

// Samples of a step are the same however many of them are computed at a time; not so by tokens, or
// of several tasks, of which a micro-batch holds one.
bool splits_same_steps(const Json& before, const Json& now) {
  const auto samples = [](const Json& plan) {
    return plan.value("per_device_train_batch_size", int64_t{0}) *
           plan.value("gradient_accumulation_steps", int64_t{0});
  };
  return samples(before) == samples(now) && now.at("max_tokens_per_batch") == 0 &&
         !now.contains("task_sampling");
}

void compare_plan(const Json& before, const Json& now, const Where& where) {
  const Json usual = options_json(TrainOptions{});  // of keys that came later
  const bool is_split_alone = splits_same_steps(before, now);
  for (const auto& [key, value] : now.items()) {
    const Json old = before.value(key, usual.value(key, Json()));
    const bool is_split =
        key == "per_device_train_batch_size" || key == "gradient_accumulation_steps";
    if (old == value || (is_split && is_split_alone)) continue;
    refuse_change(where,
                  key == "lengths"
                      ? "the training rows have other lengths than before"
                      : fmt::format("it was made with {} {}, now it is {}: the place in the data "
                                    "would be another one",
                                    key, old.dump(), value.dump()));
  }
}

// After the plan: the seed, which that compares, decides on the weights of a fresh head.
void compare_model(const Json& before, const Json& now, const Where& where) {
  const auto changes = task_differences(before.value("config", now["config"]), now["config"]);
  if (!changes.empty())
    refuse_change(where,
                  fmt::format("the model's config.json changed: {}", fmt::join(changes, "; ")));
  if (before.at("model") != now["model"])
    refuse_change(where,
                  "the base model changed: its weights are not those that the run began with");
}

// What is trained beside a frozen model.
void compare_adapters(const Json& before, const Json& now, const Where& where) {
  const auto changes = task_differences(before.value("peft", Json::object()), now["peft"]);
  if (!changes.empty())
    refuse_change(where, fmt::format("its section peft changed: {}", fmt::join(changes, "; ")));
}

// The optimizer's state is that of its weights; the regularisers' that of a set of them.
void compare_trained(const Json& before, const Json& now, const Where& where) {
  const TrainOptions usual;
  for (const auto& [key, fallback] : {std::pair("optim", Json(usual.optim)),
                                      std::pair("optim_moments", Json(usual.optim_moments)),
                                      std::pair("freeze", Json(Json::array()))}) {
    const Json old = before.at("options").value(key, fallback);
    if (old == now["options"][key]) continue;
    refuse_change(where, fmt::format("{} was {}, now it is {}: the optimizer's state is of other "
                                     "weights, of another rule or of another type",
                                     key, old.dump(), now["options"][key].dump()));
  }
  const auto names = [](const Json& all) {
    std::vector<std::string> list;
    for (const auto& [name, options] : all.items()) list.push_back(name);
    std::sort(list.begin(), list.end());
    return list.empty() ? "none" : fmt::format("{}", fmt::join(list, ", "));
  };
  const std::string old = names(before.value("regularisers", Json::object())),
                    given = names(now["regularisers"]);
  if (old != given)
    refuse_change(where, fmt::format("its regularisers were {}, now they would be {}", old, given));
  const Json trained = before.value("trained", now["trained"]);
  if (trained != now["trained"])
    refuse_change(where, fmt::format("it trained {} parameters, now it would train {}",
                                     trained.dump(), now["trained"].dump()));
}

void warn_of_change(const Warn& warn, const std::string& key, const Json& before, const Json& now) {
  if (before == now) return;
  warn(fmt::format(
      "{} was {} before and is {} now: the run will not equal the one without interruption", key,
      before.dump(), now.dump()));
}

void warn_of_changes(const Warn& warn, const Json& saved, const Json& now) {
  const Json usual = options_json(TrainOptions{});  // of keys that came later
  for (const auto& [key, value] : now["options"].items()) {
    const bool is_resolved = now.contains(key), is_refused = now["data"].contains(key);
    if (!is_resolved && !is_refused)
      warn_of_change(warn, key, saved.at("options").value(key, usual.at(key)), value);
  }
  for (const auto& [name, options] : now["regularisers"].items())
    warn_of_change(warn, "regularise." + name, saved.at("regularisers").at(name), options);
  warn_of_change(warn, "precision", saved.at("precision"), now["precision"]);
  warn_of_change(warn, "device", saved.value("device", "cpu"), now["device"]);
  warn_of_change(warn, "threads", saved.at("threads"), now["threads"]);
}

}  // namespace

RunIdentity::RunIdentity(const TrainerInputs& inputs, const TrainOptions& options,
                         std::string metric, Machine machine)
    : inputs_(inputs),
      options_(options),
      metric_(std::move(metric)),
      machine_(std::move(machine)),
      base_model_(weights_fingerprint(weights_of(inputs.pipeline->network()))) {}

Json RunIdentity::begun_with() const {
  return {{"task", inputs_.pipeline->info().name},
          {"state", inputs_.pipeline->task().state()},
          {"model", base_model_},
          {"config", inputs_.pipeline->config().raw},
          {"train", inputs_.train_rows.json()},
          {"validation", inputs_.validation_rows.json()}};
}

// What decides which samples form a step.
Json RunIdentity::plan() const {
  Json plan = {{"samples", inputs_.train->size()},
               {"lengths", hash_of(inputs_.train->lengths())},
               {"seed", options_.seed},
               {"per_device_train_batch_size", options_.per_device_train_batch_size},
               {"max_tokens_per_batch", options_.max_tokens_per_batch},
               {"gradient_accumulation_steps", options_.gradient_accumulation_steps},
               {"group_by_length", options_.group_by_length}};
  if (!inputs_.train->strata().empty()) plan["class_sampling"] = options_.class_sampling;
  if (inputs_.train->tasks().empty()) return plan;
  plan["task_sampling"] = options_.task_sampling;
  plan["task_temperature"] = options_.task_temperature;
  return plan;
}

Json RunIdentity::json() const {
  Json regularisers = Json::object();
  for (const ChosenRegulariser& one : inputs_.regularisers) regularisers[one.name] = one.options;
  const auto& adapted = inputs_.pipeline->adapted();
  return {{"metric", metric_},
          {"peft", adapted ? adapted->json() : Json::object()},
          {"trained", count_weights(inputs_.pipeline->network()).trained},
          {"precision", machine_.precision},
          {"device", machine_.device},
          {"threads", machine_.threads},
          {"data", plan()},
          {"begun_with", begun_with()},
          {"options", options_json(options_)},
          {"regularisers", regularisers}};
}

std::string RunIdentity::in_full(const std::string& metric) const {
  return metric.empty() ? inputs_.pipeline->task().make_scorer()->report().metric : metric;
}

void RunIdentity::compare_with(const Json& saved, const Where& where, const Warn& warn) const {
  const Json now = json(), before = saved.value("begun_with", Json());
  if (before.is_null())
    warn(
        "the checkpoint was made by an earlier version, which kept no fingerprints: whether "
        "labels, rows or the model changed since is not known");
  if (!before.is_null()) compare_origin(before, now["begun_with"], inputs_, where);
  compare_plan(saved.at("data"), now["data"], where);
  const std::string metric = in_full(saved.at("metric").get<std::string>());
  if (metric != in_full(metric_))
    refuse_change(where,
                  fmt::format("its best was chosen by \"{}\", now it would be by \"{}\"; the "
                              "two cannot be compared",
                              metric, in_full(metric_)));
  compare_adapters(saved, now, where);
  if (!before.is_null()) compare_model(before, now["begun_with"], where);
  compare_trained(saved, now, where);
  warn_of_changes(warn, saved, now);
}

}  // namespace hone
