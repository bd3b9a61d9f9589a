#include "tasks/classify/scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tasks/classify/gold.h"
#include "tasks/classify/temperature.h"
#include "tasks/classify/threshold.h"
#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/calibration.h"
#include "tasks/metrics/classes.h"
#include "tasks/metrics/confusion.h"
#include "tasks/metrics/regression.h"
#include "tasks/mistakes.h"

namespace hone::classify {
namespace {

constexpr size_t kShownText = 300;  // code points of a text in the list of mistakes

std::string shown_text(const Record& gold, const Options& options) {
  std::string text;
  for (const std::string& field : {options.text, options.text_pair}) {
    const Json* value = field.empty() ? nullptr : find_field(gold, field);
    if (value != nullptr && value->is_array() && !value->empty()) value = &value->back();  // a turn
    if (value != nullptr && value->is_string())
      text +=
          (text.empty() ? "" : " | ") + shortened(value->get_ref<const std::string&>(), kShownText);
  }
  const Json* aspect = options.aspect.empty() ? nullptr : find_field(gold, options.aspect);
  if (aspect != nullptr) text += " | " + dump(*aspect);
  return text;
}

// The probability of a label in a result, where it has one.
std::optional<double> score_of(const Json& result, const std::string& label) {
  const auto scores = result.find("scores");
  if (scores == result.end() || !scores->is_object()) return std::nullopt;
  const auto found = scores->find(label);
  return found == scores->end() || !found->is_number() ? std::nullopt
                                                       : std::optional(found->get<double>());
}

// What `read` makes of a result's label; a complaint is placed at the gold record and says that the
// result is meant.
template <typename Read>
auto from_result(const Record& gold, const Json& result, const Options& options, Read read) {
  const Json& value = need_result(gold, result, options.label);
  try {
    return read(value, Record{result, nullptr, 0});
  } catch (const Error& error) {
    throw Error(ErrorKind::kData, gold.where(), "in the result for this row, " + error.message());
  }
}

// Results name labels; where names are numbers, [0, 1] are two of them, whatever the gold rows
// hold.
GoldLabels result_labels(const Record& gold, const Json& result, Type type, Options options,
                         const Labels& known) {
  if (!known.accepts_ids()) options.label_format = Format::kList;
  return from_result(gold, result, options, [&](const Json& value, const Record& record) {
    return labels_in(value, type, options, known, record);
  });
}

// The class that is there most often, the first of equals; 0 where there is none.
size_t most_frequent(const std::vector<metrics::ClassCounts>& counts) {
  const auto most = std::max_element(counts.begin(), counts.end(),
                                     [](const auto& a, const auto& b) { return a.gold < b.gold; });
  return static_cast<size_t>(most - counts.begin());
}

GoldLabels gold_labels(const Record& gold, Type type, const Options& options, const Labels& known) {
  return labels_in(gold_value(gold, options), type, options, known, gold);
}

Report empty_report(const char* metric, int64_t n) {
  Report report;
  report.task = kTaskName;
  report.metric = metric;
  report.n = n;
  return report;
}

class SingleScorer : public Scorer {
 public:
  SingleScorer(const Options& options, const Labels& labels) : options_(options), labels_(labels) {}

  void check(const Record& gold) const override {
    gold_labels(gold, Type::kSingle, options_, labels_.known());
  }

  void add(const Record& gold, const Json& result) override {
    const Json gold_label =
        gold_labels(gold, Type::kSingle, options_, labels_.known()).present.front();
    const Json predicted_label =
        result_labels(gold, result, Type::kSingle, options_, labels_.known()).present.front();
    const int32_t is = labels_.index(gold_label), said = labels_.index(predicted_label);
    pairs_.push_back({is, said});
    const std::optional<double> confidence = score_of(result, labels_.name(said));
    if (confidence) calibration_.add(*confidence, is == said);
    if (!options_.temperature) add_to_search(result, is);
    if (is != said && mistakes_.wants(confidence.value_or(0))) {
      mistakes_.add({gold.where(), shown_text(gold, options_), labels_.name(is), labels_.name(said),
                     confidence.value_or(0)});
    }
  }

  Report report() const override {
    Report report = empty_report("accuracy", static_cast<int64_t>(pairs_.size()));
    const std::vector<int32_t> once(pairs_.size(), 1);
    const std::vector<metrics::ClassCounts> counts = count(once);
    fill_classes(counts, report);
    const size_t most = most_frequent(counts);
    if (report.n > 0)
      report.baseline = fmt::format("always {}", labels_.name(static_cast<int32_t>(most)));
    report.add(
        {"accuracy", "macro_f1", "weighted_f1", "macro_precision", "macro_recall", "mcc"},
        scores(counts),
        metrics::bootstrap(
            report.n, [&](std::span<const int32_t> weights) { return scores(count(weights)); }),
        report.n > 0 ? scores(always(most, counts)) : std::vector<double>());
    metrics::add_calibration(calibration_, report);
    if (!options_.temperature) search_.add_to(report);
    report.sections.push_back(mistakes_.section());
    return report;
  }

 private:
  // Of a row whose class the model knows, and whose result has all probabilities.
  void add_to_search(const Json& result, int32_t gold) {
    std::vector<double> p;
    for (const std::string& name : labels_.known().names()) {
      const std::optional<double> score = score_of(result, name);
      if (!score) return;
      p.push_back(*score);
    }
    if (static_cast<size_t>(gold) < p.size()) search_.add(p, static_cast<size_t>(gold));
  }

  struct Pair {
    int32_t gold, predicted;
  };

  std::vector<metrics::ClassCounts> count(std::span<const int32_t> weights) const {
    std::vector<metrics::ClassCounts> counts(labels_.size());
    for (size_t i = 0; i < pairs_.size(); ++i) {
      counts[pairs_[i].gold].gold += weights[i];
      counts[pairs_[i].predicted].predicted += weights[i];
      if (pairs_[i].gold == pairs_[i].predicted) counts[pairs_[i].gold].hits += weights[i];
    }
    return counts;
  }

  std::vector<double> scores(const std::vector<metrics::ClassCounts>& all) const {
    const std::vector<metrics::ClassCounts> counts = metrics::present(all);
    const metrics::Scores macro = metrics::macro_average(counts);
    return {metrics::micro_average(counts).f1,
            macro.f1,
            metrics::weighted_average(counts).f1,
            macro.precision,
            macro.recall,
            metrics::matthews(counts, static_cast<int64_t>(pairs_.size()))};
  }

  // The counts if each record were said to be of this class.
  static std::vector<metrics::ClassCounts> always(size_t label,
                                                  std::vector<metrics::ClassCounts> counts) {
    int64_t records = 0;
    for (metrics::ClassCounts& c : counts) {
      records += c.gold;
      c.hits = c.predicted = 0;
    }
    counts[label].hits = counts[label].gold;
    counts[label].predicted = records;
    return counts;
  }

  // The classes that gold or results have, in order: what scikit-learn takes for all classes.
  void fill_classes(const std::vector<metrics::ClassCounts>& counts, Report& report) const {
    std::vector<std::string> names;
    std::vector<metrics::ClassCounts> shown;
    std::vector<int32_t> row(counts.size(), -1);
    for (const int32_t label : labels_.order()) {
      if (counts[label].absent()) continue;
      row[label] = static_cast<int32_t>(names.size());
      names.push_back(labels_.name(label));
      shown.push_back(counts[label]);
    }
    ScoreTable table = metrics::class_table(names, shown, "accuracy");
    table.averages.front().is_total = true;  // of one label each the three micro averages are one
    metrics::add_classes(std::move(table), report);
    metrics::ConfusionCells cells;
    for (const Pair& pair : pairs_) ++cells[{row[pair.gold], row[pair.predicted]}];
    report.sections.push_back({"confusion", "confusion", metrics::confusion_table(names, cells)});
  }

  Options options_;
  LabelIndex labels_;
  std::vector<Pair> pairs_;
  metrics::Calibration calibration_;
  TemperatureSearch search_;
  MistakeList mistakes_;
};

// Several labels: scikit-learn's multilabel-indicator rules, one column for each label that is
// known or turned up.
class MultiScorer : public Scorer {
 public:
  MultiScorer(const Options& options, const Labels& labels) : options_(options), labels_(labels) {}

  void check(const Record& gold) const override {
    gold_labels(gold, Type::kMulti, options_, labels_.known());
  }

  void add(const Record& gold, const Json& result) override {
    const std::vector<int32_t> are =
        indices(gold_labels(gold, Type::kMulti, options_, labels_.known()));
    Row row({are, indices(result_labels(gold, result, Type::kMulti, options_, labels_.known()))});
    calibrate(row, result);
    if (row.sets.gold != row.sets.predicted) note_mistake(row, gold, result);
    rows_.push_back(std::move(row));
  }

  Report report() const override {
    Report report = empty_report(kMicroF1, static_cast<int64_t>(rows_.size()));
    const std::vector<int32_t> once(rows_.size(), 1);
    const std::vector<metrics::ClassCounts> counts = count(once);
    fill_classes(counts, report);
    const auto most = static_cast<int32_t>(most_frequent(counts));
    const bool has_baseline = report.n > 0 && !counts.empty();
    if (has_baseline) report.baseline = fmt::format("always {}", labels_.name(most));
    report.add({kMicroF1, "macro_f1", "weighted_f1", "samples_f1", "subset_accuracy",
                less_is_better("hamming_loss")},
               scores(once),
               metrics::bootstrap(
                   report.n, [&](std::span<const int32_t> weights) { return scores(weights); }),
               has_baseline ? always(most).scores(once) : std::vector<double>());
    if (!options_.threshold) search_.add_to(report);
    metrics::add_calibration(calibration_, report);
    report.sections.push_back(mistakes_.section());
    return report;
  }

 private:
  struct Row {
    explicit Row(metrics::LabelSets both) : sets(std::move(both)) {
      std::set_intersection(sets.gold.begin(), sets.gold.end(), sets.predicted.begin(),
                            sets.predicted.end(), std::back_inserter(hits));
      f1 = metrics::sample_scores(sets).f1;
    }
    metrics::LabelSets sets;    // both sorted
    std::vector<int32_t> hits;  // in both
    double f1 = 0;
    int64_t wrong_cells() const {
      return static_cast<int64_t>(sets.gold.size() + sets.predicted.size() - 2 * hits.size());
    }
  };

  std::vector<int32_t> indices(const GoldLabels& labels) {
    std::vector<int32_t> result;
    for (const Json& label : labels.present) result.push_back(labels_.index(label));
    if (!labels_.known().is_fixed()) {
      for (const Json& label : labels.absent) labels_.index(label);  // a column too
    }
    std::sort(result.begin(), result.end());
    result.erase(std::unique(result.begin(), result.end()), result.end());
    return result;
  }

  // The same records, each said to have this label alone.
  MultiScorer always(int32_t label) const {
    MultiScorer other(options_, {});
    other.labels_ = labels_;
    for (const Row& row : rows_)
      other.rows_.emplace_back(metrics::LabelSets{row.sets.gold, {label}});
    return other;
  }

  // Every (record, label) pair: how often is a label there that was given probability p?
  void calibrate(const Row& row, const Json& result) {
    if (!result.contains("scores")) return;
    for (size_t label = 0; label < labels_.size(); ++label) {
      const std::optional<double> p = score_of(result, labels_.name(static_cast<int32_t>(label)));
      const bool is_there = std::binary_search(row.sets.gold.begin(), row.sets.gold.end(),
                                               static_cast<int32_t>(label));
      if (p) calibration_.add(*p, is_there);
      if (!options_.threshold) search_.add(p.value_or(0), is_there);
    }
  }

  // As sure as the surest of its wrong labels: p of one that was given, 1 - p of one that was
  // missed.
  void note_mistake(const Row& row, const Record& gold, const Json& result) {
    double confidence = 0;
    for (const int32_t label : row.sets.predicted) {
      if (!std::binary_search(row.hits.begin(), row.hits.end(), label))
        confidence = std::max(confidence, score_of(result, labels_.name(label)).value_or(0));
    }
    for (const int32_t label : row.sets.gold) {
      if (!std::binary_search(row.hits.begin(), row.hits.end(), label))
        confidence = std::max(confidence, 1 - score_of(result, labels_.name(label)).value_or(1));
    }
    if (mistakes_.wants(confidence))
      mistakes_.add({gold.where(), shown_text(gold, options_), list(row.sets.gold),
                     list(row.sets.predicted), confidence});
  }

  std::string list(const std::vector<int32_t>& labels) const {
    std::vector<std::string> names;
    for (const int32_t label : labels) names.push_back(labels_.name(label));
    return names.empty() ? "(none)" : fmt::format("{}", fmt::join(names, ", "));
  }

  std::vector<metrics::ClassCounts> count(std::span<const int32_t> weights) const {
    std::vector<metrics::ClassCounts> counts(labels_.size());
    for (size_t i = 0; i < rows_.size(); ++i) {
      if (weights[i] == 0) continue;
      for (const int32_t label : rows_[i].sets.gold) counts[label].gold += weights[i];
      for (const int32_t label : rows_[i].sets.predicted) counts[label].predicted += weights[i];
      for (const int32_t label : rows_[i].hits) counts[label].hits += weights[i];
    }
    return counts;
  }

  std::vector<double> scores(std::span<const int32_t> weights) const {
    const std::vector<metrics::ClassCounts> counts = count(weights);
    double samples_f1 = 0, right = 0, wrong_cells = 0;
    for (size_t i = 0; i < rows_.size(); ++i) {
      samples_f1 += weights[i] * rows_[i].f1;
      right += rows_[i].wrong_cells() == 0 ? weights[i] : 0;
      wrong_cells += static_cast<double>(weights[i] * rows_[i].wrong_cells());
    }
    const double n = std::max<double>(1, static_cast<double>(rows_.size())),
                 cells = n * std::max<double>(1, static_cast<double>(labels_.size()));
    return {metrics::micro_average(counts).f1,
            metrics::macro_average(counts).f1,
            metrics::weighted_average(counts).f1,
            samples_f1 / n,
            right / n,
            wrong_cells / cells};
  }

  void fill_classes(const std::vector<metrics::ClassCounts>& counts, Report& report) const {
    std::vector<std::string> names;
    std::vector<metrics::ClassCounts> ordered;
    for (const int32_t label : labels_.order()) {
      names.push_back(labels_.name(label));
      ordered.push_back(counts[label]);
    }
    ScoreTable table = metrics::class_table(names, ordered, "micro avg");
    metrics::Scores mean;
    for (const Row& row : rows_) {
      const metrics::Scores one = metrics::sample_scores(row.sets);
      mean.precision += one.precision / static_cast<double>(rows_.size());
      mean.recall += one.recall / static_cast<double>(rows_.size());
      mean.f1 += one.f1 / static_cast<double>(rows_.size());
    }
    table.averages.push_back(
        metrics::average_row("samples avg", mean, metrics::total_support(counts)));
    metrics::add_classes(std::move(table), report);
  }

  Options options_;
  LabelIndex labels_;
  std::vector<Row> rows_;
  ThresholdSearch search_;
  metrics::Calibration calibration_;
  MistakeList mistakes_;
};

class NumberScorer : public Scorer {
 public:
  explicit NumberScorer(const Options& options) : options_(options) {}

  void check(const Record& gold) const override { gold_number(gold); }

  void add(const Record& gold, const Json& result) override {
    const double is = gold_number(gold);
    const double said =
        from_result(gold, result, options_, [&](const Json& value, const Record& record) {
          return number_in(value, options_, record);
        });
    gold_.push_back(is);
    predicted_.push_back(said);
    const double error = std::abs(is - said);
    if (error > 0 && mistakes_.wants(error)) {
      mistakes_.add({gold.where(), shown_text(gold, options_), fmt::format("{:g}", is),
                     fmt::format("{:g}", said), error});
    }
  }

  Report report() const override {
    Report report = empty_report("pearson", static_cast<int64_t>(gold_.size()));
    const metrics::Spearman spearman(gold_, predicted_);
    const auto scores = [&](std::span<const int32_t> weights) -> std::vector<double> {
      return {metrics::pearson(gold_, predicted_, weights), spearman(weights),
              metrics::mean_squared_error(gold_, predicted_, weights),
              metrics::mean_absolute_error(gold_, predicted_, weights)};
    };
    const std::vector<int32_t> once(gold_.size(), 1);
    report.add({"pearson", "spearman", less_is_better("mse"), less_is_better("mae")}, scores(once),
               metrics::bootstrap(report.n, scores), constant_scores(once));
    if (report.n > 0) report.baseline = "always the mean; for mae the median";
    report.sections.push_back(mistakes_.section("largest errors", "error"));
    return report;
  }

 private:
  double gold_number(const Record& gold) const {
    return number_in(gold_value(gold, options_), options_, gold);
  }

  // Of the best constants: nothing correlates with them.
  std::vector<double> constant_scores(std::span<const int32_t> once) const {
    if (gold_.empty()) return {};
    const double mean =
        std::accumulate(gold_.begin(), gold_.end(), 0.0) / static_cast<double>(gold_.size());
    const auto constant = [&](double value) { return std::vector<double>(gold_.size(), value); };
    return {0, 0, metrics::mean_squared_error(gold_, constant(mean), once),
            metrics::mean_absolute_error(gold_, constant(metrics::percentile(gold_, 0.5)), once)};
  }

  Options options_;
  std::vector<double> gold_, predicted_;
  MistakeList mistakes_;  // by absolute error
};

// Waits for the first pair to say which of the above is meant.
class AutoScorer : public Scorer {
 public:
  AutoScorer(const Options& options, const Labels& labels) : options_(options), labels_(labels) {}

  void check(const Record& gold) const override {
    scorer_ ? scorer_->check(gold) : scorer_for(gold)->check(gold);
  }

  void add(const Record& gold, const Json& result) override {
    if (!scorer_) scorer_ = scorer_for(gold);
    scorer_->add(gold, result);
  }
  Report report() const override {
    return scorer_ ? scorer_->report() : SingleScorer(options_, labels_).report();
  }

 private:
  std::unique_ptr<Scorer> scorer_for(const Record& gold) const {
    return make_scorer(options_, type_of(gold_value(gold, options_), options_, labels_), labels_);
  }

  Options options_;
  Labels labels_;
  std::unique_ptr<Scorer> scorer_;
};

}  // namespace

std::unique_ptr<Scorer> make_scorer(const Options& options, Type type, const Labels& labels) {
  if (type == Type::kSingle) return std::make_unique<SingleScorer>(options, labels);
  if (type == Type::kMulti) return std::make_unique<MultiScorer>(options, labels);
  if (type == Type::kRegression) return std::make_unique<NumberScorer>(options);
  return std::make_unique<AutoScorer>(options, labels);
}

}  // namespace hone::classify
