#include "run/score.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/log.h"
#include "data/fingerprint.h"
#include "run/audit.h"
#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"

namespace hone {
namespace {

// What tells one row from another: its id and its texts, as far as it has them.
struct Identity {
  std::map<std::string, Json> fields;
  Where where;
};

// The field that two rows both have and in which they differ; "" where there is none. Texts that
// differ in blanks, case or control characters only are the same.
std::string difference(const Identity& a, const Identity& b) {
  const auto normalised = [](const Json& value) {
    const Record record{Json{{"value", value}}, nullptr};
    std::string text = value.is_structured() || value.is_string()
                           ? text_of_fields(record, {"value"})
                           : value.dump();
    clean_text(text, {});
    return normalised_text(text);
  };
  for (const auto& [name, value] : a.fields) {
    const auto other = b.fields.find(name);
    if (other != b.fields.end() && other->second != value &&
        normalised(other->second) != normalised(value))
      return name;
  }
  return "";
}

bool is_same(const Identity& a, const Identity& b) {
  const bool can_tell = std::any_of(a.fields.begin(), a.fields.end(), [&](const auto& field) {
    return b.fields.contains(field.first);
  });
  return can_tell && difference(a, b).empty();
}

// Gold rows and predictions side by side. A prediction that is of another row is an error: scoring
// it would give a number that means nothing.
class Pairs {
 public:
  Pairs(const Task& task, const Predicted& files, const Scorer& scorer, SplitAudit& audit)
      : scorer_(scorer),
        skips_bad_rows_(files.gold.on_bad_row == "skip"),
        audit_(audit),
        text_fields_(task.text_fields()),
        names_(text_fields_),
        gold_path_(files.gold.path),
        predictions_path_(files.predictions.path),
        gold_(open_reader(files.gold)),
        predictions_(open_reader(files.predictions)),
        cleaner_(files.clean, text_fields_, audit),
        ahead_(predictions_->next()) {
    names_.insert(names_.begin(), "id");
  }

  // The next gold row that cleaning keeps, and what was predicted of it.
  std::optional<std::pair<Record, Record>> next() {
    while (std::optional<Record> record = gold_->next()) {
      before_ = std::move(here_);
      here_ = identity_of(*record);
      pass_over_unreadable();
      if (!cleaner_.accept(*record) || !is_scorable(*record)) {
        pass_over();
        continue;
      }
      if (!ahead_)
        throw Error(ErrorKind::kData, {predictions_path_},
                    fmt::format("ends after {} rows; the gold data goes on at {}.", taken_,
                                record->where().str()));
      refuse_another_row(identity_of(*ahead_));
      refuse_error(*ahead_);
      return std::pair{std::move(*record), take()};
    }
    here_ = {};
    pass_over_unreadable();
    if (ahead_)
      throw Error(ErrorKind::kData, ahead_->where(),
                  fmt::format("is one row more than the {} of {}.", taken_, gold_path_));
    return std::nullopt;
  }

  const RecordReader& gold() const { return *gold_; }

 private:
  Identity identity_of(const Record& record) const {
    Identity identity{{}, record.where()};
    for (const std::string& name : names_) {
      if (const Json* value = find_field(record, name)) identity.fields[name] = *value;
    }
    return identity;
  }

  Record take() {
    Record record = std::move(*ahead_);
    ahead_ = predictions_->next();
    ++taken_;
    return record;
  }

  // Rows that a run leaves out are left out here: those whose texts or labels are none, and those
  // that got an error for an answer.
  bool is_scorable(const Record& record) {
    try {
      if (skips_bad_rows_) refuse_odd_texts(record);
      scorer_.check(record);
      if (skips_bad_rows_ && ahead_ && difference(here_, identity_of(*ahead_)).empty())
        refuse_error(*ahead_);
      return true;
    } catch (const Error& error) {
      if (!skips_bad_rows_ || error.kind() != ErrorKind::kData) throw;
      --audit_.used;
      count_bad_row({error.where(), error.message()}, audit_);
      return false;
    }
  }

  void refuse_odd_texts(const Record& record) const {
    for (const std::string& name : text_fields_) {
      if (record.fields.contains(name) && !record.fields[name].is_structured())
        need_text(record, name);
    }
  }

  // What predict wrote in the places of rows that the reader of the gold file passed over.
  void pass_over_unreadable() {
    for (; unreadable_ < gold_->bad_count(); ++unreadable_) {
      if (ahead_ && error_in(*ahead_) && !is_same(here_, identity_of(*ahead_))) take();
    }
  }

  // What `hone predict` writes in the place of an answer; null where there is one.
  static const std::string* error_in(const Record& predicted) {
    const Json* error = find_field(predicted, "error");
    return error ? error->get_ptr<const std::string*>() : nullptr;
  }

  // A row that cleaning leaves out has a prediction if it was predicted before it was left out.
  void pass_over() {
    if (!ahead_) return;
    const Identity predicted = identity_of(*ahead_);
    if (predicted.fields.empty() || is_same(here_, predicted)) take();
  }

  void refuse_another_row(const Identity& predicted) {
    const std::string field = difference(here_, predicted);
    if (field.empty()) return;
    throw Error(ErrorKind::kData, predicted.where,
                fmt::format("is of another row than {}: its \"{}\" is {}, there it is {}. "
                            "Predictions stand in the order of the rows that they are of; {}",
                            here_.where.str(), field, dump(predicted.fields.at(field)),
                            dump(here_.fields.at(field)), likely_cause(predicted)));
  }

  static void refuse_error(const Record& predicted) {
    const std::string* error = error_in(predicted);
    if (error == nullptr) return;
    throw Error(ErrorKind::kData, predicted.where(),
                fmt::format("holds an error and no answer ({}). Leave this row out of both files, "
                            "mend it and predict again, or leave out such rows with "
                            "data.on_bad_row=skip.",
                            shortened(*error, 200)));
  }

  std::string likely_cause(const Identity& predicted) {
    if (is_same(before_, predicted))
      return fmt::format("this one is of {}, the row before: is a line of {} doubled?",
                         before_.where.str(), predictions_path_);
    const std::optional<Record> after = gold_->next();
    if (after && is_same(identity_of(*after), predicted))
      return fmt::format("this one is of {}, the next row: is a line missing in {}?",
                         after->where().str(), predictions_path_);
    return fmt::format("were they made of {}?", gold_path_);
  }

  const Scorer& scorer_;
  bool skips_bad_rows_;
  SplitAudit& audit_;
  std::vector<std::string> text_fields_, names_;  // names_: what tells rows apart
  std::string gold_path_, predictions_path_;
  std::unique_ptr<RecordReader> gold_, predictions_;
  Cleaner cleaner_;
  std::optional<Record> ahead_;  // the next prediction
  Identity before_, here_;       // the last gold rows
  int64_t taken_ = 0, unreadable_ = 0;
};

// The gold record is known to be good: what is wrong now is the prediction.
void add(const Record& gold, const Record& predicted, Scorer& scorer) {
  try {
    scorer.add(gold, predicted.fields);
  } catch (const Error& error) {
    throw Error(ErrorKind::kData, predicted.where(),
                fmt::format("of {}: {}", gold.where().str(), error.message()));
  }
}

Error no_rows(const std::string& path, const SplitAudit& audit) {
  if (audit.dropped == 0)
    return {ErrorKind::kData, {path}, "holds no rows; there is nothing to score."};
  return {ErrorKind::kData, {path}, "leaves no row to score" + why_none(audit)};
}

void tell_left_out(const std::string& path, const SplitAudit& audit) {
  if (audit.dropped == 0) return;
  log_warn("{}: {} of {} rows are left out of the score, the first: {}: {}", path, audit.dropped,
           audit.rows, audit.examples.front().where.str(), audit.examples.front().reason);
}

}  // namespace

PlainTable differences_of(const Report& report, const Report& other, const std::string& name) {
  PlainTable table{
      .note = fmt::format("other: {}. From low to high: 95 % of the differences, paired bootstrap "
                          "over records; p: how often chance alone makes one as large",
                          name),
      .columns = {{"metric", "metric"},
                  {"value", "this"},
                  {"other", "other"},
                  {"difference", "difference"},
                  {"low", "low"},
                  {"high", "high"},
                  {"p", "p"}}};
  for (const Metric& metric : report.metrics) {
    for (const Metric& beside : other.metrics) {
      if (beside.name != metric.name) continue;
      const auto paired = metrics::paired_difference(metric, beside);
      if (!paired) continue;
      table.rows.push_back({metric.name, finite(metric.value), finite(beside.value),
                            finite(paired->value), finite(paired->interval.low),
                            finite(paired->interval.high), finite(paired->p)});
    }
  }
  return table;
}

Report score(const Task& task, const Predicted& files, SplitAudit& audit) {
  const auto scorer = task.make_scorer();
  Pairs pairs(task, files, *scorer, audit);
  while (const auto pair = pairs.next()) add(pair->first, pair->second, *scorer);
  count_reader(pairs.gold(), audit);
  if (audit.used == 0) throw no_rows(files.gold.path, audit);
  tell_left_out(files.gold.path, audit);
  return scorer->report();
}

Report score_against(const Task& task, const Predicted& files, const SourceOptions& others,
                     SplitAudit& audit) {
  SplitAudit same;
  const Report other = score(task, {files.gold, files.clean, others}, same);
  Report report = score(task, files, audit);
  report.sections.push_back(
      {"against", "against other predictions", differences_of(report, other, others.path)});
  return report;
}

}  // namespace hone
