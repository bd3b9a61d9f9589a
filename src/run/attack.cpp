#include "run/attack.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>

#include "base/file.h"
#include "base/progress.h"
#include "run/audit.h"
#include "run/encode_split.h"
#include "run/environment.h"
#include "run/right.h"
#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"
#include "tune/machine.h"

namespace hone {
namespace {

constexpr size_t kShownRows = 100, kShownAttacked = 240;
constexpr const char* kAttackedSplit = "test";
constexpr const char* kAway = "-";  // stands for a token whose importance is looked for

void refuse_unfit(const Task& task) {
  const auto refuse = [&](const std::string& why) {
    throw Error(ErrorKind::kUsage,
                fmt::format("a model of task {} cannot be attacked: {}", task.info().name, why));
  };
  if (!task.parts().empty())
    refuse("it has several tasks; name the one that the rows are of with --task NAME");
  if (task.generation() != nullptr) refuse("it writes its answers");
  if (task.has_step_loss()) refuse("its loss is one of many rows together");
}

// Changes of a text so far, and what the model says of it.
struct Position {
  OtherWords others;
  Judged judged;
};

// The records that `rows` draws of those of the stream, with their numbers, in the data's order.
std::vector<std::pair<int64_t, Record>> drawn_records(EncodingStream& stream,
                                                      const AttackOptions& options) {
  std::vector<Record> all;
  for (auto part = stream.next(); !part.empty(); part = stream.next()) {
    for (EncodedRecord& one : part) all.push_back(std::move(one.record));
  }
  const auto size = static_cast<int64_t>(all.size());
  std::vector<int64_t> chosen = permutation(size, mix(options.seed, 0x726f7773));
  if (options.rows > 0 && options.rows < size) chosen.resize(static_cast<size_t>(options.rows));
  std::sort(chosen.begin(), chosen.end());
  std::vector<std::pair<int64_t, Record>> drawn;
  for (const int64_t row : chosen)
    drawn.emplace_back(row, std::move(all[static_cast<size_t>(row)]));
  return drawn;
}

// The texts that have such words, with others in place.
std::string shown_texts(const RecordWords& words, const OtherWords& others) {
  std::vector<std::string> texts, fields;
  for (const RecordWord& word : words.all()) {
    if (std::find(fields.begin(), fields.end(), word.field) != fields.end()) continue;
    fields.push_back(word.field);
    texts.push_back(words.text_with(word.field, others));
  }
  return fmt::format("{}", fmt::join(texts, " / "));
}

std::string sentence_of(const std::vector<WordChange>& changes) {
  std::string text;
  for (const WordChange& change : changes) {
    if (!text.empty()) text += ", ";
    text += change.from + " → " + change.to;
  }
  return text;
}

// Sums over rows drawn so often: what the metrics are made of.
struct AttackSums {
  double rows = 0, right = 0, held = 0, broken = 0, changed = 0, words = 0, queries = 0;

  void add(const AttackedRow& row, double times) {
    rows += times;
    if (!row.is_right) return;
    right += times;
    queries += times * static_cast<double>(row.queries);
    (row.is_broken ? broken : held) += times;
    if (!row.is_broken) return;
    changed += times * static_cast<double>(row.changes.size());
    words += times * static_cast<double>(row.words);
  }
  // NaN where nothing is divided by.
  std::vector<double> metrics() const {
    return {held / rows, right / rows, broken / right, changed / words, queries / right};
  }
};

void add_metrics(const std::vector<AttackedRow>& rows, Report& report) {
  const auto scores = [&](std::span<const int32_t> weights) {
    AttackSums sums;
    for (size_t i = 0; i < rows.size(); ++i) sums.add(rows[i], weights[i]);
    return sums.metrics();
  };
  const std::vector<int32_t> once(rows.size(), 1);
  report.metric = "accuracy_under_attack";
  report.add({"accuracy_under_attack", "accuracy", less_is_better("attack_success"),
              "words_changed", "queries"},
             scores(once), metrics::bootstrap(report.n, scores));
}

// How often each perturbation's words were in the texts that broke.
PlainTable changes_by_kind(const std::vector<AttackedRow>& rows) {
  std::map<std::string, std::pair<int64_t, int64_t>> counts;  // words, rows
  for (const AttackedRow& row : rows) {
    if (!row.is_broken) continue;
    std::map<std::string, int64_t> own;
    for (const WordChange& change : row.changes) ++own[change.by];
    for (const auto& [by, words] : own) {
      counts[by].first += words;
      ++counts[by].second;
    }
  }
  PlainTable table{.note = "of the rows whose answer became wrong",
                   .columns = {{"by", "perturbation"}, {"words", "words"}, {"rows", "rows"}}};
  for (const auto& [by, count] : counts) table.rows.push_back({by, count.first, count.second});
  return table;
}

// Those that changed least come first. Whether they still deserve the old label is for people to
// see: one that does not is the attack's mistake, not the model's.
Examples broken_rows(const std::vector<AttackedRow>& rows) {
  Examples examples{
      {}, "share of words changed", "broken_measure", "answer before → answer under attack"};
  for (const AttackedRow& row : rows) {
    if (!row.is_broken) continue;
    examples.items.push_back(
        {row.record.where(),
         fmt::format("{} [{}]", shortened(row.attacked, kShownAttacked),
                     shortened(sentence_of(row.changes), kShownAttacked)),
         shown_answer(row.before), shown_answer(row.after),
         static_cast<double>(row.changes.size()) / static_cast<double>(row.words)});
  }
  std::stable_sort(examples.items.begin(), examples.items.end(),
                   [](const Example& a, const Example& b) { return a.confidence < b.confidence; });
  examples.items.resize(std::min(examples.items.size(), kShownRows));
  return examples;
}

}  // namespace

struct Attacker::Candidate {
  std::string other, by;
};

struct Attacker::Search {
  const RecordWords& words;
  int64_t row;
  AttackedRow& found;
  Position now;
};

Json AttackedRow::json() const {
  Json list = Json::array();
  for (const WordChange& change : changes)
    list.push_back({{"from", change.from}, {"to", change.to}, {"by", change.by}});
  return {{"text", text},
          {"attacked", attacked},
          {"right", is_right},
          {"broken", is_broken},
          {"words", words},
          {"changed", changes.size()},
          {"queries", queries},
          {"changes", list},
          {"before", before},
          {"after", after},
          {"file", record.where().file},
          {"line", record.line}};
}

Attacker::Attacker(const Pipeline& pipeline, const std::vector<NamedPerturbation>& perturbations,
                   const AttackOptions& options)
    : pipeline_(pipeline), perturbations_(perturbations), options_(options) {
  refuse_unfit(pipeline.task());
  text_fields_ = pipeline.task().text_fields();
  gold_fields_ = pipeline.task().gold_fields();
}

bool Attacker::is_right(const Record& gold, const Json& result) const {
  if (const std::optional<bool> right = hone::is_right(pipeline_.task(), gold, result))
    return *right;
  throw Error(
      ErrorKind::kUsage,
      fmt::format("a model of task {} cannot be attacked: its answers are neither right nor "
                  "wrong",
                  pipeline_.task().info().name));
}

std::vector<Judged> Attacker::ask(const std::vector<Record>& records, Search& search) const {
  search.found.queries += static_cast<int64_t>(records.size());
  return pipeline_.judge(records, options_.max_tokens);
}

// A word's importance: how far the loss rises without it.
std::vector<size_t> Attacker::order_of(Search& search) const {
  const std::vector<RecordWord>& words = search.words.all();
  if (!options_.by_importance || words.size() < 2) {
    const std::vector<int64_t> drawn = permutation(
        static_cast<int64_t>(words.size()), mix(options_.seed, static_cast<uint64_t>(search.row)));
    return {drawn.begin(), drawn.end()};
  }
  std::vector<Record> without;
  for (size_t i = 0; i < words.size(); ++i)
    without.push_back(search.words.with({{i, words[i].token < 0 ? "" : kAway}}));
  const std::vector<Judged> judged = ask(without, search);
  std::vector<double> importance;
  for (const Judged& one : judged) {
    const bool is_known = !one.failure && std::isfinite(one.loss);
    importance.push_back(is_known ? one.loss : -std::numeric_limits<double>::infinity());
  }
  std::vector<size_t> order(words.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return importance[a] > importance[b]; });
  return order;
}

std::vector<Attacker::Candidate> Attacker::candidates_for(const Search& search, size_t word) const {
  const RecordWord& place = search.words.all()[word];
  const uint64_t key = mix(mix(options_.seed, static_cast<uint64_t>(search.row)), word);
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < perturbations_.size(); ++i) {
    RandomStream random(mix(key, i));
    int64_t taken = 0;
    for (std::string& other :
         perturbations_[i].perturbation->others(search.words.text_of(place), place.bytes, random)) {
      if (taken == options_.candidates) break;
      if (!RecordWords::fits(place, other)) continue;
      candidates.push_back({std::move(other), perturbations_[i].name});
      ++taken;
    }
  }
  return candidates;
}

// Takes the candidate that makes the answer wrong, or else the one with the greatest loss, where
// that is more than it was.
bool Attacker::replace(Search& search, size_t word) const {
  const std::vector<Candidate> candidates = candidates_for(search, word);
  if (candidates.empty()) return false;
  std::vector<Record> tried;
  for (const Candidate& candidate : candidates) {
    OtherWords others = search.now.others;
    others[word] = candidate.other;
    tried.push_back(search.words.with(others));
  }
  std::vector<Judged> judged = ask(tried, search);
  std::optional<size_t> best;
  bool breaks = false;
  for (size_t i = 0; i < judged.size(); ++i) {
    if (judged[i].failure) continue;  // the task cannot read such a text
    const bool is_wrong = !is_right(search.words.record(), judged[i].result);
    const double least = best ? judged[*best].loss : search.now.judged.loss;
    if (is_wrong < breaks || (is_wrong == breaks && !(judged[i].loss > least))) continue;
    best = i;
    breaks = is_wrong;
  }
  if (!best) return false;
  const std::string from(
      bytes_of(search.words.text_of(search.words.all()[word]), search.words.all()[word].bytes));
  search.found.changes.push_back({from, candidates[*best].other, candidates[*best].by});
  search.now.others[word] = candidates[*best].other;
  search.now.judged = std::move(judged[*best]);
  return breaks;
}

void Attacker::rewrite(Search& search) const {
  AttackedRow& found = search.found;
  const double share = options_.most_words * static_cast<double>(found.words);
  const auto most = static_cast<size_t>(std::ceil(share - 1e-9));  // 0.2 of 15 words are 3
  for (const size_t word : order_of(search)) {
    if (found.is_broken || found.changes.size() >= most) break;
    found.is_broken = replace(search, word);
  }
}

AttackedRow Attacker::attack(const Record& record, int64_t row) const {
  const RecordWords words(record, text_fields_, gold_fields_);
  AttackedRow found;
  found.record = record;
  found.words = static_cast<int64_t>(words.all().size());
  Search search{words, row, found, {}};
  std::vector<Judged> plain = pipeline_.judge(std::vector<Record>{record}, options_.max_tokens);
  if (plain.front().failure) throw *plain.front().failure;
  search.now.judged = std::move(plain.front());
  found.before = answer_of(pipeline_.task(), search.now.judged.result);
  found.is_right = is_right(record, search.now.judged.result);
  if (found.is_right) rewrite(search);
  found.after = answer_of(pipeline_.task(), search.now.judged.result);
  found.text = shown_texts(words, {});
  found.attacked = shown_texts(words, search.now.others);
  return found;
}

Report attack_report(const std::vector<AttackedRow>& rows, const std::string& task) {
  Report report;
  report.task = task;
  report.n = static_cast<int64_t>(rows.size());
  add_metrics(rows, report);
  report.sections.push_back({"changes", "changed words", changes_by_kind(rows)});
  report.sections.push_back({"broken", "rows that broke", broken_rows(rows)});
  return report;
}

namespace {

std::vector<AttackedRow> attack_all(const Attacker& attacker,
                                    const std::vector<std::pair<int64_t, Record>>& records,
                                    const AttackOptions& options, const std::string& folder) {
  std::optional<AtomicFile> file;
  if (!folder.empty()) file.emplace(folder + "/attacked.jsonl");
  Progress progress("attacking", static_cast<int64_t>(records.size()), "rows");
  std::vector<AttackedRow> rows;
  for (const auto& [row, record] : records) {
    if (options.is_stopped && options.is_stopped()) break;
    rows.push_back(attacker.attack(record, row));
    if (file) file->write(to_text(rows.back().json()) + "\n");
    progress.advance_to(static_cast<int64_t>(rows.size()));
  }
  if (file) file->commit();
  return rows;
}

}  // namespace

Tested attack_on(const Pipeline& pipeline, const Reading& reading,
                 const std::vector<NamedPerturbation>& perturbations, const AttackOptions& options,
                 const std::string& report_folder) {
  const Attacker attacker(pipeline, perturbations, options);
  Dataset data = test_data(reading, pipeline.task());
  EncodingStream stream(data, kAttackedSplit, data.open_once(kAttackedSplit), pipeline.task(),
                        pipeline.tokenizer());
  const std::vector<std::pair<int64_t, Record>> records = drawn_records(stream, options);
  if (records.empty())
    throw Error(ErrorKind::kData, {reading.source.path},
                "leaves no row to attack" + why_none(data.audits()[kAttackedSplit]));
  tell_audit(reading.source.path, data.audits()[kAttackedSplit], "hone eval");
  const auto start = std::chrono::steady_clock::now();
  const std::vector<AttackedRow> rows = attack_all(attacker, records, options, report_folder);
  Tested tested{attack_report(rows, pipeline.task().info().name), {}};
  if (rows.size() < records.size())
    tested.report.found.push_back(
        {fmt::format("the attack was stopped after {} of {} rows", rows.size(), records.size()),
         {},
         {}});
  tested.summary.data = data.audits();
  tested.summary.timing = {
      {"attack_seconds",
       std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()},
      {"peak_memory_bytes", peak_memory_bytes()}};
  tested.summary.environment = environment_json(pipeline.device());
  tested.summary.environment["precision"] = precision_name(pipeline.precision());
  tested.summary.environment["threads"] = at::get_num_threads();
  return tested;
}

}  // namespace hone
