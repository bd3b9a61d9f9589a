#include "tune/train_options.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "tune/machine.h"
#include "tune/optim/optimizer.h"

namespace hone {
namespace {

constexpr double kMostEpochs = 1e9;
constexpr int64_t kMostSteps = 1'000'000'000'000'000, kMostPlannedEpochs = 1'000'000;

// What a key with a closed list of values allows; empty for the others.
std::vector<std::string> choices(const std::string& key) {
  if (key == "optim") return optimizers().names();
  if (key == "lr_scheduler_type") return schedules().names();
  if (key == "optim_moments") return {"fp32", "bf16", "int8"};
  if (key == "precision") return {"auto", "fp32", "bf16"};
  if (key == "class_sampling") return {"size", "sqrt", "equal"};
  if (key == "task_sampling") return {"size", "equal", "temperature"};
  if (key == "eval_strategy" || key == "save_strategy") return {"no", "steps", "epoch"};
  return {};
}

// Refuses values of one key that cannot mean anything, at the key's own place.
class Checker {
 public:
  explicit Checker(const Config& section) : section_(section) {}

  void at_least(const char* key, int64_t value, int64_t low) const {
    if (value < low)
      throw section_.error(key,
                           fmt::format("\"{}\" is {}; it must be at least {}", key, value, low));
  }
  // (low, high] or [low, high)
  void inside(const char* key, double value, double low, double high, bool low_is_allowed) const {
    const bool good =
        std::isfinite(value) && (low_is_allowed ? value >= low : value > low) && value < high;
    if (good) return;
    const std::string range =
        high == kNoLimit ? fmt::format("{} {}", low_is_allowed ? "at least" : "more than", low)
                         : fmt::format("{} {} and less than {}",
                                       low_is_allowed ? "at least" : "more than", low, high);
    throw section_.error(key, fmt::format("\"{}\" is {}; it must be {}", key, value, range));
  }
  void refuse(bool wrong, const char* key, const std::string& message) const {
    if (wrong) throw section_.error(key, message);
  }

  static constexpr double kNoLimit = std::numeric_limits<double>::max();

 private:
  const Config& section_;
};

void read_train_option(Config& section, const char* key, std::string& value) {
  const auto allowed = choices(key);
  value = allowed.empty() ? section.get(key, value) : section.choice(key, value, allowed);
}

template <typename Number>
void read_train_option(Config& section, const char* key, Number& value) {
  value = section.get(key, value);
}

void read_train_option(Config& section, const char* key, Patterns& value) {
  value = {section.get(key, value.globs), section.where(key)};
}

void read_train_option(Config&, const char*, Json&) {
}  // optim_args: what is in it depends on `optim`

Json read_optim_args(Config& section, const OptimizerInfo& optimizer) {
  if (optimizer.read == nullptr && section.has("optim_args"))
    throw section.error("optim_args",
                        fmt::format("optimizer {} has no options of its own", optimizer.name));
  if (optimizer.read == nullptr) return Json::object();
  Config own = section.section("optim_args");
  return optimizer.read(own);
}

ParameterGroup read_group(Config& section) {
  ParameterGroup group;
  read_train_option(section, "parameters", group.parameters);
  if (group.parameters.globs.empty())
    throw section.error("parameters", "a group needs \"parameters\": patterns of weight names");
  if (section.has("learning_rate") && section.has("factor"))
    throw section.error("factor", "a group has a \"learning_rate\" or a \"factor\" of the run's");
  const Checker check(section);
  if (section.has("learning_rate")) {
    read_train_option(section, "learning_rate", group.learning_rate);
    check.inside("learning_rate", group.learning_rate, 0, Checker::kNoLimit, false);
  }
  if (section.has("factor")) {
    read_train_option(section, "factor", group.factor);
    check.inside("factor", group.factor, 0, Checker::kNoLimit, false);
  }
  if (section.has("weight_decay")) {
    group.weight_decay = section.get("weight_decay", 0.0);
    check.inside("weight_decay", *group.weight_decay, 0, Checker::kNoLimit, true);
  }
  return group;
}

void read_train_option(Config& section, const char* key, std::vector<ParameterGroup>& value) {
  for (Config& group : section.sections(key)) value.push_back(read_group(group));
}

// A group's learning_rate becomes a factor of the run's, which relative steps do not look at.
void check_groups(const TrainOptions& o) {
  if (!o.has_relative_steps()) return;
  for (const ParameterGroup& group : o.groups) {
    if (group.learning_rate > 0)
      throw Error(ErrorKind::kUsage, group.parameters.where,
                  "this group has a \"learning_rate\", and optim_args.relative_step sets the rate "
                  "of each step itself; give the group a \"factor\" of that one");
  }
}

void check_amounts(const Checker& check, const TrainOptions& o) {
  check.refuse(o.max_steps == 0 || o.max_steps < -1, "max_steps",
               fmt::format("\"max_steps\" is {}; give a number of steps, or -1 to count epochs",
                           o.max_steps));
  check.inside("num_train_epochs", o.num_train_epochs, 0, kMostEpochs, false);
  check.refuse(
      o.max_steps > kMostSteps, "max_steps",
      fmt::format("\"max_steps\" is {}; at most {} can be counted", o.max_steps, kMostSteps));
  check.refuse(
      o.max_tokens_per_batch > 0 && o.max_steps < 0 && o.num_train_epochs > kMostPlannedEpochs,
      "num_train_epochs",
      fmt::format("\"num_train_epochs\" is {}; with \"max_tokens_per_batch\" each epoch "
                  "is planned before the first, and {} is the most. Give \"max_steps\"",
                  o.num_train_epochs, kMostPlannedEpochs));
  check.at_least("per_device_train_batch_size", o.per_device_train_batch_size, 1);
  check.at_least("max_tokens_per_batch", o.max_tokens_per_batch, 0);
  check.at_least("gradient_accumulation_steps", o.gradient_accumulation_steps, 1);
  check.at_least("per_device_eval_batch_tokens", o.per_device_eval_batch_tokens, 0);
  check.at_least("max_seq_length", o.max_seq_length, 0);
  check.refuse(o.max_seq_length > 0 && o.max_seq_length < 4, "max_seq_length",
               fmt::format("\"max_seq_length\" is {}, which leaves no room for text between the "
                           "special tokens; 0 is the model's limit",
                           o.max_seq_length));
  check.refuse(!is_device_name(o.device), "device",
               fmt::format("\"device\" is \"{}\"; it must be auto, cpu, cuda or cuda:N", o.device));
  check.inside("cache_frozen", o.cache_frozen, 0, 1e6, true);
  check.at_least("threads", o.threads, 0);
  check.at_least("logging_steps", o.logging_steps, 1);
  check.at_least("eval_steps", o.eval_steps, 1);
  check.at_least("save_steps", o.save_steps, 1);
}

void check_numbers(const Checker& check, const TrainOptions& o) {
  check.inside("learning_rate", o.learning_rate, 0, Checker::kNoLimit, false);
  check.inside("weight_decay", o.weight_decay, 0, Checker::kNoLimit, true);
  check.inside("adam_beta1", o.adam_beta1, 0, 1, true);
  check.inside("adam_beta2", o.adam_beta2, 0, 1, true);
  check.inside("adam_epsilon", o.adam_epsilon, 0, Checker::kNoLimit, false);
  check.inside("max_grad_norm", o.max_grad_norm, 0, Checker::kNoLimit, true);
  check.refuse(!(o.layerwise_lr_decay > 0 && o.layerwise_lr_decay <= 1), "layerwise_lr_decay",
               fmt::format("\"layerwise_lr_decay\" is {}; it must be more than 0 and at most 1",
                           o.layerwise_lr_decay));
  check.inside("warmup_ratio", o.warmup_ratio, 0, 1, true);
  check.at_least("warmup_steps", o.warmup_steps, 0);
  check.inside("lr_end", o.lr_end, 0, Checker::kNoLimit, true);
  check.inside("lr_power", o.lr_power, 0, Checker::kNoLimit, false);
  check.inside("lr_num_cycles", o.lr_num_cycles, 0, Checker::kNoLimit, false);
  check.inside("lr_decay_ratio", o.lr_decay_ratio, 0, 1, true);
  check.inside("lr_plateau_factor", o.lr_plateau_factor, 0, 1, false);
  check.at_least("lr_plateau_patience", o.lr_plateau_patience, 0);
  check.refuse(o.lr_scheduler_type == kReduceOnPlateau && o.eval_strategy == "no",
               "lr_scheduler_type",
               "reduce_lr_on_plateau needs evaluations to go by: validation data, and an "
               "eval_strategy other than \"no\"");
  check.refuse(o.lr_scheduler_type == "polynomial" && o.lr_end >= o.learning_rate, "lr_end",
               fmt::format("\"lr_end\" is {}; it must be smaller than \"learning_rate\", {}",
                           o.lr_end, o.learning_rate));
  check.inside("task_temperature", o.task_temperature, 1, Checker::kNoLimit, true);
  check.inside("label_smoothing_factor", o.label_smoothing_factor, 0, 1, true);
}

void check_stopping(const Checker& check, const TrainOptions& o, bool has_validation) {
  check.at_least("early_stopping_patience", o.early_stopping_patience, 0);
  check.inside("early_stopping_threshold", o.early_stopping_threshold, 0, Checker::kNoLimit, true);
  check.refuse(o.early_stopping_patience > 0 && o.eval_strategy == "no", "early_stopping_patience",
               "early stopping needs evaluations; set \"eval_strategy\" to \"epoch\" or \"steps\"");
  check.refuse(!o.metric_for_best_model.empty() && o.eval_strategy == "no", "metric_for_best_model",
               "\"metric_for_best_model\" chooses among evaluations; set \"eval_strategy\" to "
               "\"epoch\" or \"steps\"");
  const auto needs_validation = [&](bool is_asked_for, const char* key) {
    check.refuse(is_asked_for && !has_validation, key,
                 fmt::format("\"{}\" needs validation data, and there are none; give "
                             "data.validation, or one data.path with data.split",
                             key));
  };
  needs_validation(o.early_stopping_patience > 0, "early_stopping_patience");
  needs_validation(!o.metric_for_best_model.empty(), "metric_for_best_model");
}

}  // namespace

TrainOptions TrainOptions::read(Config& section, bool has_validation, double learning_rate) {
  TrainOptions o;
  o.learning_rate = learning_rate;
  for_each_option(o, [&](const char* key, auto& value) { read_train_option(section, key, value); });
  o.optim_args = read_optim_args(section, optimizers().named(o.optim));
  const Checker check(section);
  check.refuse(o.optim_moments != "fp32" && !optimizers().named(o.optim).has_narrow_moments,
               "optim_moments",
               fmt::format("optimizer {} keeps what it keeps in fp32; optim: adamw can have "
                           "moments in {}",
                           o.optim, o.optim_moments));
  check_groups(o);
  check_amounts(check, o);
  check_numbers(check, o);
  check_stopping(check, o, has_validation);
  return o;
}

void to_json(Json& json, const Patterns& patterns) { json = patterns.globs; }

void to_json(Json& json, const ParameterGroup& group) {
  json = {{"parameters", group.parameters}};
  if (group.learning_rate != 0) json["learning_rate"] = group.learning_rate;
  if (group.factor != 1) json["factor"] = group.factor;
  if (group.weight_decay) json["weight_decay"] = *group.weight_decay;
}

bool TrainOptions::has_relative_steps() const { return optim_args.value("relative_step", false); }

Json options_json(const TrainOptions& options) {
  Json json = Json::object();
  for_each_option(options, [&](const char* key, const auto& value) { json[key] = value; });
  return json;
}

std::vector<std::string> idle_options(const TrainOptions& o, bool has_validation) {
  const TrainOptions usual;
  const bool has_warmup = o.warmup_ratio > 0 || o.warmup_steps > 0,
             has_end = o.lr_end != usual.lr_end || o.lr_power != usual.lr_power,
             has_adam_options = o.adam_beta1 != usual.adam_beta1 ||
                                o.adam_beta2 != usual.adam_beta2 ||
                                o.adam_epsilon != usual.adam_epsilon;
  std::vector<std::string> idle;
  const auto tell = [&](bool is_idle, const std::string& sentence) {
    if (is_idle) idle.push_back(sentence);
  };
  tell(
      !has_validation && o.eval_strategy != "no",
      "there are no validation data: nothing is evaluated during training (eval_strategy), and the "
      "last weights are kept (load_best_model_at_end). Give data.validation, or set eval_strategy "
      "to no");
  tell(!has_validation && o.lr_scheduler_type == kReduceOnPlateau,
       "reduce_lr_on_plateau never lowers the rate without validation data");
  tell(has_validation && o.eval_strategy == "no" && o.load_best_model_at_end,
       "eval_strategy is no: the last weights are kept, not the best (load_best_model_at_end)");
  tell(o.eval_steps != usual.eval_steps && o.eval_strategy != "steps",
       "eval_steps does nothing unless eval_strategy is steps");
  tell(o.save_steps != usual.save_steps && o.save_strategy != "steps",
       "save_steps does nothing unless save_strategy is steps");
  tell(o.early_stopping_threshold > 0 && o.early_stopping_patience == 0,
       "early_stopping_threshold does nothing unless early_stopping_patience is more than 0");
  tell(o.max_steps > 0 && o.num_train_epochs != usual.num_train_epochs,
       "num_train_epochs does nothing beside max_steps");
  tell(o.max_tokens_per_batch > 0 &&
           o.per_device_train_batch_size != usual.per_device_train_batch_size,
       "per_device_train_batch_size does nothing beside max_tokens_per_batch");
  tell(o.warmup_ratio > 0 && o.warmup_steps > 0, "warmup_ratio does nothing beside warmup_steps");
  tell(has_warmup && !schedules().named(o.lr_scheduler_type).has_warmup,
       fmt::format(
           "warmup_ratio and warmup_steps do nothing: lr_scheduler_type {} {}", o.lr_scheduler_type,
           o.lr_scheduler_type == "one_cycle" ? "rises by itself in its first part"
                                              : "has no warm-up; constant_with_warmup has"));
  tell(has_end && o.lr_scheduler_type != "polynomial",
       "lr_end and lr_power do nothing unless lr_scheduler_type is polynomial");
  tell(o.lr_num_cycles != usual.lr_num_cycles && o.lr_scheduler_type != "cosine_with_restarts",
       "lr_num_cycles does nothing unless lr_scheduler_type is cosine_with_restarts");
  tell(o.lr_decay_ratio != usual.lr_decay_ratio && o.lr_scheduler_type != "warmup_stable_decay",
       "lr_decay_ratio does nothing unless lr_scheduler_type is warmup_stable_decay");
  tell((o.lr_plateau_factor != usual.lr_plateau_factor ||
        o.lr_plateau_patience != usual.lr_plateau_patience) &&
           o.lr_scheduler_type != kReduceOnPlateau,
       "lr_plateau_factor and lr_plateau_patience do nothing unless lr_scheduler_type is "
       "reduce_lr_on_plateau");
  tell(o.task_temperature != usual.task_temperature && o.task_sampling != "temperature",
       "task_temperature does nothing unless task_sampling is temperature");
  tell(o.has_relative_steps() && (o.learning_rate != usual.learning_rate ||
                                  o.lr_scheduler_type != usual.lr_scheduler_type || has_warmup),
       "learning_rate, its schedule and warm-up do nothing beside optim_args.relative_step, which "
       "sets the rate of each step itself");
  tell(has_adam_options && !optimizers().named(o.optim).has_adam_options,
       "adam_beta1, adam_beta2 and adam_epsilon do nothing unless optim is adamw or adam; others "
       "have options of their own in optim_args");
  return idle;
}

PlanOptions plan_options(const TrainOptions& o) {
  PlanOptions plan;
  plan.batch_size = o.per_device_train_batch_size;
  plan.max_tokens = o.max_tokens_per_batch;
  plan.accumulation = o.gradient_accumulation_steps;
  plan.group_by_length = o.group_by_length;
  plan.seed = static_cast<uint64_t>(o.seed);
  return plan;
}

PlanOptions plan_options(const TrainOptions& o, const SampleStore& samples, bool pairs) {
  constexpr double kEqual = std::numeric_limits<double>::infinity();
  PlanOptions plan = plan_options(o);
  plan.tasks = &samples.tasks();
  plan.temperature = o.task_sampling == "size"    ? 1
                     : o.task_sampling == "equal" ? kEqual
                                                  : o.task_temperature;
  plan.strata = &samples.strata();
  plan.strata_temperature = o.class_sampling == "size"   ? 1
                            : o.class_sampling == "sqrt" ? 2
                                                         : kEqual;
  plan.pairs = pairs;
  return plan;
}

ScheduleOptions schedule_options(const TrainOptions& o, int64_t total_steps) {
  ScheduleOptions schedule;
  schedule.type = o.lr_scheduler_type;
  schedule.total_steps = total_steps;
  schedule.warmup_steps =
      o.warmup_steps > 0
          ? o.warmup_steps
          : static_cast<int64_t>(std::ceil(static_cast<double>(total_steps) * o.warmup_ratio));
  schedule.power = o.lr_power;
  schedule.end_factor = o.lr_end / o.learning_rate;
  schedule.restarts = o.lr_num_cycles;
  schedule.decay_share = o.lr_decay_ratio;
  return schedule;
}

}  // namespace hone
