#include "tasks/classify/classify.h"

#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "tasks/averages.h"
#include "tasks/classify/aspect.h"
#include "tasks/classify/gold.h"
#include "tasks/classify/scorer.h"
#include "tasks/classify/turns.h"
#include "tasks/divergence.h"
#include "tasks/fields.h"
#include "tasks/heads.h"
#include "tasks/truncate.h"
#include "tasks/within.h"

namespace hone::classify {
namespace {

constexpr const char* kTarget = "labels";
constexpr const char *kThreshold = "threshold", *kTemperature = "temperature";
constexpr const char* kEce = "ece";  // metrics::add_calibration's
constexpr double kUsualThreshold = 0.5;

std::vector<double> sigmoid_of(const at::Tensor& logits) {
  const auto* x = logits.data_ptr<float>();
  std::vector<double> p(logits.numel());
  for (size_t i = 0; i < p.size(); ++i) p[i] = 1 / (1 + std::exp(-static_cast<double>(x[i])));
  return p;
}

Json scores_json(const Labels& labels, const std::vector<double>& p) {
  Json scores = Json::object();
  for (int64_t i = 0; i < labels.size(); ++i) scores[labels.name(i)] = probability(p[i]);
  return scores;
}

Json joined(const Json& labels, const std::string& separator) {
  std::string text;
  for (const Json& label : labels) text += (text.empty() ? "" : separator) + *label_text(label);
  return text;
}

// Every (sample, label) pair is a target, as in the mean of torch.nn.BCEWithLogitsLoss.
at::Tensor multi_loss(const at::Tensor& logits, const at::Tensor& targets, double smoothing,
                      double focal_gamma) {
  const at::Tensor wide = targets.view_as(logits);
  const at::Tensor has_target = wide.ne(kNoTarget);
  const at::Tensor smooth = wide * (1 - smoothing) + smoothing / 2;
  at::Tensor each =
      at::binary_cross_entropy_with_logits(logits, smooth, {}, {}, at::Reduction::None);
  if (focal_gamma > 0) each = each * focal_factors(logits, wide, focal_gamma);
  return at::where(has_target, each, 0).sum();
}

Loss regression_loss(const at::Tensor& logits, const at::Tensor& targets, double smoothing) {
  if (smoothing != 0)
    throw Error(ErrorKind::kUsage,
                "label_smoothing_factor has no meaning for a regression; leave it at 0.");
  return {at::mse_loss(logits.view(-1), targets, at::Reduction::Sum),
          static_cast<double>(targets.numel())};
}

}  // namespace

Classify::Classify(Options options)
    : options_(std::move(options)),
      type_(options_.type),
      labels_(options_.labels.empty() ? Labels()
                                      : Labels(options_.labels, options_.label_ids_from)) {}

Classify::Classify(Options options, Type type, Labels labels)
    : options_(std::move(options)), type_(type), labels_(std::move(labels)) {}

const TaskInfo& Classify::info() const { return kInfo; }

std::vector<std::string> Classify::text_fields() const {
  std::vector<std::string> fields = {options_.text};
  for (const std::string& more : {options_.text_pair, options_.aspect}) {
    if (!more.empty()) fields.push_back(more);
  }
  return fields;
}

std::vector<std::string> Classify::gold_fields() const {
  return options_.label_columns.empty() ? std::vector{options_.label} : options_.label_columns;
}

std::string Classify::label_of(const Record& gold) const {
  if (type_ == Type::kRegression ||
      (options_.label_columns.empty() && find_field(gold, options_.label) == nullptr))
    return "";
  const Json value = gold_value(gold, options_);
  const Type type = type_ == Type::kAuto ? type_of(value, options_, labels_) : type_;
  std::vector<std::string> names;
  for (const Json& label : labels_in(value, type, options_, labels_, gold).present) {
    const std::optional<int32_t> known = labels_.is_fixed() ? labels_.find(label) : std::nullopt;
    names.push_back(known ? labels_.name(*known) : *label_text(label));
  }
  std::sort(names.begin(), names.end());  // a set is the same in any order
  return fmt::format("{}", fmt::join(names, ", "));
}

void Classify::learn(const Record& gold) {
  const Json value = gold_value(gold, options_);
  if (type_ == Type::kAuto) {
    type_ = type_of(value, options_, labels_);
    first_label_ = gold.where();
  }
  if (type_ == Type::kRegression) {
    number_in(value, options_, gold);
  } else {
    learn_labels(value, gold);
  }
}

void Classify::learn_labels(const Json& value, const Record& gold) {
  if (options_.type == Type::kAuto && type_ != type_of(value, options_, labels_)) {
    const char* found = value.is_object()        ? "a mapping"
                        : type_ == Type::kSingle ? "a list"
                                                 : "a single value";
    throw field_error(
        gold, options_.label,
        fmt::format("is {}, but a {} at {}; labels are lists in every row or in none", found,
                    type_ == Type::kMulti ? "list" : "single value", first_label_.str()));
  }
  const GoldLabels labels = labels_in(value, type_, options_, labels_, gold);
  for (const Json& label : labels.present) check_label(label, gold);  // a bad row teaches nothing
  for (const Json& label : labels.present) learn_label(label);
  for (const Json& label : labels.absent) {
    if (!labels_.is_fixed()) labels_.add(label);
  }
  if (options_.label_format == Format::kAuto) options_.label_format = labels.format;
  ++rows_;
}

void Classify::check_label(const Json& label, const Record& gold) const {
  if (labels_.is_fixed() && labels_.find(label)) return;
  if (options_.type == Type::kAuto && is_decimal(label)) {
    throw field_error(gold, options_.label,
                      fmt::format("is the fractional number {}; say \"type: regression\" to "
                                  "predict numbers, or \"type: {}\" where each is a class",
                                  dump(label), type_name(type_)));
  }
  if (labels_.is_fixed())
    throw unknown_label(label, gold, "Add it to \"labels\", or take such rows out");
}

void Classify::learn_label(const Json& label) {
  ++rows_of_label_[*label_text(label)];
  if (labels_.is_fixed()) {
    seen_.insert(*labels_.find(label));
    return;
  }
  labels_.add(label);
  const auto [entry, is_new] = is_shared_.emplace(*label_text(label), false);
  if (!is_new) entry->second = true;
}

void Classify::finish_learning() {
  if (type_ == Type::kRegression) return;
  if (type_ == Type::kAuto) type_ = type_of(Json(), options_, labels_);
  if (!labels_.is_fixed()) finish_labels();
  refuse_one_class();
  tell_unseen();
  count_class_rows();
}

// A label may have been written as its name or as its number.
void Classify::count_class_rows() {
  class_rows_.assign(static_cast<size_t>(labels_.size()), 0);
  for (const auto& [label, rows] : rows_of_label_) {
    if (const auto known = labels_.find(label)) class_rows_[static_cast<size_t>(*known)] += rows;
  }
  if (options_.balance.counts_rows() && type_ != Type::kSingle)
    throw Error(ErrorKind::kUsage,
                "class_weights and logit_adjustment are for one label a row, and the training data "
                "has several");
}

void Classify::finish_labels() {
  labels_.fix();
  if (type_ == Type::kMulti && options_.label_format == Format::kAuto) {
    const std::vector<std::string>& names = labels_.names();
    if (names == std::vector<std::string>{"0", "1"} ||
        names == std::vector<std::string>{"false", "true"}) {
      throw Error(ErrorKind::kData,
                  fmt::format("the only labels are {}: if each row holds a zero or one for each "
                              "label, name them in that order, \"labels: [first, second, …]\"; if "
                              "not, say \"label_format: list\".",
                              labels_.list()));
    }
    options_.label_format = Format::kList;
  }
  for (const std::string& pair : labels_.look_alikes())
    log_warn("the labels {} are two classes, though they differ only in spelling", pair);
  const int64_t alone = labels_without_mates();
  if (type_ == Type::kSingle && labels_.size() > 2 && 2 * alone > rows_) {
    log_warn(
        "{} of {} training rows have a label that no other row has. Is \"{}\" the right "
        "field? To predict numbers say \"type: regression\"",
        alone, rows_, options_.label);
  }
}

int64_t Classify::labels_without_mates() const {
  return std::count_if(is_shared_.begin(), is_shared_.end(),
                       [](const auto& entry) { return !entry.second; });
}

void Classify::refuse_one_class() const {
  const int64_t classes =
      options_.labels.empty() ? labels_.size() : static_cast<int64_t>(seen_.size());
  if (classes >= (type_ == Type::kMulti ? 1 : 2)) return;
  if (classes == 0)
    throw Error(ErrorKind::kData,
                "the training data has no label at all: there is nothing to learn.");
  throw Error(
      ErrorKind::kData,
      fmt::format("all training rows have the label \"{}\": a classifier needs at least two "
                  "classes. Is \"{}\" the right "
                  "field, and is the file not a sorted part of a larger one?",
                  labels_.name(options_.labels.empty() ? 0 : *seen_.begin()), options_.label));
}

void Classify::tell_unseen() const {
  if (options_.labels.empty()) return;
  std::vector<std::string> unseen;
  for (int32_t label = 0; label < labels_.size(); ++label) {
    if (!seen_.contains(label)) unseen.push_back(labels_.name(label));
  }
  if (unseen.empty()) return;
  log_warn("no training row has {} of the {} labels, which cannot be learned: {}", unseen.size(),
           labels_.size(), Labels(unseen, 0).list());
}

std::vector<std::string> Classify::open_options() const {
  if (type_ == Type::kMulti && !options_.threshold) return {kThreshold};
  if (type_ == Type::kSingle && !options_.temperature) return {kTemperature};
  return {};
}

// The scorer has looked for it already, where some row can tell.
std::vector<ChosenOption> Classify::choose_options(const Report& validation) {
  const auto can_tell = [&](const char* name) {
    return std::any_of(validation.metrics.begin(), validation.metrics.end(),
                       [&](const Metric& m) { return m.name == name; });
  };
  if (open_options().empty()) return {};
  if (type_ == Type::kSingle)
    return can_tell(kBestTemperature) ? choose_temperature(validation)
                                      : std::vector<ChosenOption>{};
  if (!can_tell(kBestThreshold)) return {};
  options_.threshold = validation.value(kBestThreshold);
  return {{kThreshold, *options_.threshold, kMicroF1, validation.value(kBestMicroF1),
           validation.value(kMicroF1)}};
}

std::vector<ChosenOption> Classify::choose_temperature(const Report& validation) {
  options_.temperature = validation.value(kBestTemperature);
  return {{kTemperature, *options_.temperature, kNll, validation.value(kBestNll),
           validation.value(kNll)},
          {kTemperature, *options_.temperature, kEce, validation.value(kBestEce),
           validation.value(kEce)}};
}

std::vector<std::string> Classify::idle_options() const {
  const Options usual;
  std::vector<std::string> idle;
  if (type_ != Type::kMulti && options_.threshold != usual.threshold)
    idle.push_back(fmt::format("threshold does nothing where the type is {}", type_name(type_)));
  if (type_ != Type::kSingle && options_.temperature != usual.temperature)
    idle.push_back(fmt::format("temperature does nothing where the type is {}", type_name(type_)));
  if (options_.aspect.empty() && options_.aspect_as != usual.aspect_as)
    idle.emplace_back("aspect_as does nothing without an aspect");
  if (type_ == Type::kRegression && options_.unknown_labels != usual.unknown_labels)
    idle.emplace_back("unknown_labels does nothing where the type is regression");
  if (options_.label_ids_from != usual.label_ids_from && !labels_.accepts_ids())
    idle.emplace_back(
        "label_ids_from does nothing unless \"labels\" gives the names that the numbers stand for");
  return idle;
}

std::vector<Sample> Classify::encode(const Record& record, const Tokenizer& tokenizer,
                                     bool with_targets, bool* truncated) const {
  Sample sample;
  sample.streams.push_back(sequence_of(record, tokenizer, truncated));
  if (with_targets) sample.targets.push_back(target_of(record, sample.repair));
  if (with_targets && has_strata())
    sample.stratum = std::max(0, static_cast<int32_t>(sample.targets.front().values.front()) + 1);
  if (with_targets && sample.repair.empty() && !options_.aspect.empty())
    sample.repair = aspect_of(record, options_).repair;
  return {std::move(sample)};
}

Sequence Classify::sequence_of(const Record& record, const Tokenizer& tokenizer,
                               bool* truncated) const {
  const int64_t longest = length_limit(options_.max_seq_length, tokenizer);
  if (!options_.aspect.empty())
    return aspect_sequence(record, options_, tokenizer, longest, truncated);
  if (options_.history > 0) return turn_sequence(record, options_, tokenizer, longest, truncated);
  const bool is_pair = !options_.text_pair.empty();
  Encoding first = tokenizer.encode(need_text(record, options_.text)), second;
  if (is_pair) tokenizer.encode(need_text(record, options_.text_pair), second);
  const int64_t room = std::max<int64_t>(longest - tokenizer.special_tokens_added(is_pair), 0);
  const bool was_cut = truncate_longest_first(first, is_pair ? &second : nullptr, room);
  if (truncated != nullptr) *truncated = was_cut;
  return tokenizer.post_process(first, is_pair ? &second : nullptr);
}

Target Classify::target_of(const Record& record, std::string& repair) const {
  const Json value = gold_value(record, options_);
  Target target{kTarget, false, static_cast<int32_t>(outputs()), {}};
  if (type_ == Type::kRegression) {
    target.values = {static_cast<float>(number_in(value, options_, record))};
    return target;
  }
  const GoldLabels gold = labels_in(value, type_, options_, labels_, record);
  if (gold.was_trimmed)
    repair = "the label has blanks or line breaks around it, which are left out";
  const std::vector<Json>& labels = gold.present;
  if (type_ == Type::kSingle) {
    const std::optional<int32_t> known = class_of(labels.front(), record);
    target.width = 1;
    target.values = {known ? static_cast<float>(*known) : kNoTarget};
    return target;
  }
  target.values.assign(outputs(), 0.0F);
  for (const Json& label : labels) {
    if (const auto known = class_of(label, record)) target.values[*known] = 1;
  }
  return target;
}

std::optional<int32_t> Classify::class_of(const Json& label, const Record& record) const {
  const std::optional<int32_t> known = labels_.find(label);
  if (!known && options_.unknown_labels == "error")
    throw unknown_label(label, record,
                        "In validation and test data task.unknown_labels=count scores such rows as "
                        "wrong instead");
  return known;
}

Error Classify::unknown_label(const Json& label, const Record& record, const char* advice) const {
  const std::string text = *label_text(label), suggestion = did_you_mean(text, labels_.names());
  return field_error(record, options_.label,
                     fmt::format("has the label \"{}\", which {}; known: {}{} {}", text,
                                 options_.labels.empty() ? "the training data does not have"
                                                         : "is not in \"labels\"",
                                 labels_.list(), suggestion.empty() ? "." : suggestion, advice));
}

int64_t Classify::outputs() const { return type_ == Type::kRegression ? 1 : labels_.size(); }

std::shared_ptr<Head> Classify::make_head(const ModelConfig& config) const {
  return std::make_shared<SentenceHead>(config, outputs());
}

Loss Classify::loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const {
  const at::Tensor& targets = batch.targets.at(kTarget);
  if (type_ == Type::kSingle)
    return {class_loss(logits, targets, options_.balance, class_rows_, options), targets_in(batch)};
  if (type_ == Type::kMulti)
    return {multi_loss(logits, targets, options.label_smoothing,
                       options.trains ? options_.balance.focal_gamma : 0),
            targets_in(batch)};
  return regression_loss(logits, targets, options.label_smoothing);
}

double Classify::targets_in(const Batch& batch) const {
  const at::Tensor& targets = batch.targets.at(kTarget);
  return type_ == Type::kRegression ? static_cast<double>(targets.numel())
                                    : count_targets(batch, kTarget);
}

Average Classify::average() const {
  return type_ == Type::kRegression ? average_of_numbers
         : type_ == Type::kMulti    ? average_of_labels
                                    : average_of_classes;
}

Divergence Classify::divergence() const {
  const auto has_target = [](const at::Tensor& output, const Batch& batch) {
    return batch.targets.at(kTarget).ne(kNoTarget).view_as(output);
  };
  switch (type_) {
    case Type::kRegression:
      return [](const at::Tensor& a, const at::Tensor& b, const Batch&) {
        return squared_difference(a, b);
      };
    case Type::kMulti:
      return [has_target](const at::Tensor& a, const at::Tensor& b, const Batch& batch) {
        return label_divergence(a, b, has_target(a, batch));
      };
    default:
      return [has_target](const at::Tensor& a, const at::Tensor& b, const Batch& batch) {
        return class_divergence(a, b, has_target(a.select(1, 0), batch));
      };
  }
}

Json Classify::decode(const Record&, std::span<const Row> rows, const Tokenizer&) const {
  const at::Tensor& logits = rows.front().output;  // [C]
  Json result = Json::object();
  if (type_ == Type::kRegression) {
    result[options_.label] = number(logits.data_ptr<float>()[0]);
    return result;
  }
  const std::vector<double> p = type_ == Type::kMulti
                                    ? sigmoid_of(logits)
                                    : probabilities_of(logits / options_.temperature.value_or(1));
  if (type_ == Type::kSingle) {
    result[options_.label] = labels_.value(std::max_element(p.begin(), p.end()) - p.begin());
  } else {
    result[options_.label] = chosen_labels(p);
  }
  result["scores"] = scores_json(labels_, p);
  return result;
}

Json Classify::chosen_labels(const std::vector<double>& p) const {
  Json chosen = Json::array();
  for (int64_t i = 0; i < labels_.size(); ++i) {
    if (p[i] >= options_.threshold.value_or(kUsualThreshold)) chosen.push_back(labels_.value(i));
  }
  return options_.label_separator.empty() ? chosen : joined(chosen, options_.label_separator);
}

std::unique_ptr<Scorer> Classify::make_scorer() const {
  return classify::make_scorer(options_, type_, labels_);
}

Json Classify::state() const {
  return {
      {"options", options_json(options_)}, {"type", type_name(type_)}, {"labels", labels_.json()}};
}

void Classify::write_model_config(const ModelConfig& model, Json& config) const {
  config["architectures"] = Json::array({model.architecture_stem + "ForSequenceClassification"});
  write_label_maps(
      type_ == Type::kRegression ? std::vector<std::string>{"LABEL_0"} : labels_.names(), config);
  config["problem_type"] = type_ == Type::kRegression ? "regression"
                           : type_ == Type::kMulti    ? "multi_label_classification"
                                                      : "single_label_classification";
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<Classify>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  const Options options = options_from<Options>(state.at("options"));
  const Type learned = type_named(state.at("type").get<std::string>());
  if (options.type != Type::kAuto && options.type != learned)
    throw Error(ErrorKind::kUsage,
                fmt::format("the model was trained with type {}, which cannot become {}.",
                            type_name(learned), type_name(options.type)));
  return std::make_unique<Classify>(options, learned, Labels::from_json(state.at("labels")));
}

}  // namespace

const TaskInfo kInfo{kTaskName,
                     "text classification: one label, several, or a number; one text or a pair",
                     make, restore};

}  // namespace hone::classify
