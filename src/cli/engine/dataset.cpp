#include "cli/engine/dataset.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/random.h"
#include "data/files.h"
#include "data/fingerprint.h"
#include "tasks/fields.h"

namespace hone {
namespace {

constexpr size_t kShownText = 300;  // code points of a leaked text
constexpr size_t kExamples = 100;   // of bad rows, as many as SplitAudit holds

void count_bad_row(SplitAudit& audit, const BadRow& row) {
  ++audit.dropped;
  ++audit.reasons["bad row"];
  if (audit.examples.size() < kExamples) audit.examples.push_back(row);
}

std::string label_or_empty(const Task& task, const Record& record) {
  try {
    return task.label_of(record);
  } catch (const Error&) {
    return "";  // a bad row is told of when its split is scanned
  }
}

std::string text_in(const Record& record, const std::string& field) {
  const Json& value = need_field(record, field);
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// Throws where a field that decides on the part is absent.
void need_split_fields(const SplitOptions& split, const Record& record) {
  for (const std::string& field : {split.stratify, split.group}) {
    if (!field.empty()) need_field(record, field);
  }
}

bool lacks_split_field(const SplitOptions& split, const Record& record) {
  try {
    need_split_fields(split, record);
    return false;
  } catch (const Error&) {
    return true;
  }
}

// "12 empty text, 3 bad row; the first is train.jsonl:4: …"
std::string why_dropped(const SplitAudit& audit) {
  std::string text;
  for (const auto& [reason, count] : audit.reasons)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, reason);
  if (audit.examples.empty()) return text;
  return fmt::format("{}; the first is {}: {}", text, audit.examples.front().where.str(),
                     audit.examples.front().reason);
}

// The rows of a file that belong to one part of it.
class PartStream : public RecordStream {
 public:
  PartStream(std::unique_ptr<RecordReader> reader, const std::vector<Part>* parts, Part part)
      : reader_(std::move(reader)), parts_(parts), part_(part) {}

  std::optional<Record> next() override {
    while (std::optional<Record> record = reader_->next()) {
      const size_t row = read_++;
      if (parts_ != nullptr && (row >= parts_->size() || (*parts_)[row] != part_)) continue;
      ++given_;
      return record;
    }
    return std::nullopt;
  }
  size_t row() const override { return given_ - 1; }
  const RecordReader& reader() const { return *reader_; }

 private:
  std::unique_ptr<RecordReader> reader_;
  const std::vector<Part>* parts_;  // null: all rows
  Part part_;
  size_t read_ = 0, given_ = 0;
};

// The records that the scan kept, cleaned again in the same way.
class KeptStream : public RecordStream {
 public:
  KeptStream(std::unique_ptr<RecordStream> raw, const std::vector<bool>& kept, CleanOptions clean,
             const std::vector<std::string>& fields)
      : raw_(std::move(raw)), kept_(kept), cleaner_(everything(std::move(clean)), fields, audit_) {}

  std::optional<Record> next() override {
    while (std::optional<Record> record = raw_->next()) {
      if (row() >= kept_.size())
        throw Error(ErrorKind::kData, record->where(),
                    "was not there when the file was first read; it changed during the run.");
      if (!kept_[row()]) continue;
      cleaner_.accept(*record);
      return record;
    }
    return std::nullopt;
  }
  size_t row() const override { return raw_->row(); }

 private:
  // What is dropped was decided by the scan.
  static CleanOptions everything(CleanOptions clean) {
    clean.empty_texts = clean.duplicates = clean.near_duplicates = "keep";
    return clean;
  }

  std::unique_ptr<RecordStream> raw_;
  const std::vector<bool>& kept_;
  SplitAudit audit_;
  Cleaner cleaner_;
};

// A run reads its data several times.
void refuse_pipes(const SourceOptions& source) {
  for (const SourceFile& file : files_of(source)) {
    if (comes_once(file.path))
      throw Error(ErrorKind::kUsage, {file.path == "-" ? "standard input" : file.path},
                  "can be read only once, and a run reads its data several times; write them to a "
                  "file.");
  }
}

Part part_named(const std::string& split) {
  return split == "train" ? Part::kTrain : split == "validation" ? Part::kValidation : Part::kTest;
}

}  // namespace

void count_reader(const RecordReader& reader, SplitAudit& audit) {
  audit.rows += reader.bad_count();
  for (const BadRow& row : reader.bad_rows()) count_bad_row(audit, row);
  if (const int64_t more = reader.bad_count() - static_cast<int64_t>(reader.bad_rows().size());
      more > 0) {
    audit.dropped += more;
    audit.reasons["bad row"] += more;
  }
  audit.repaired += reader.repaired_count();
  for (const std::string& text : reader.advice()) log_warn("{}", text);
}

DataOptions DataOptions::read(Config& section) {
  DataOptions options;
  if (section.has("path")) {
    const SourceOptions source = SourceOptions::read(section);
    Config split = section.section("split");
    options.split = SplitOptions::read(split);
    const bool is_fixed = options.split->rule != "random";
    options.sources["train"] = source;
    if (is_fixed || options.split->validation > 0) options.sources["validation"] = source;
    if (is_fixed || options.split->test > 0) options.sources["test"] = source;
  }
  for (const std::string split : kSplits) {
    if (!section.has(split)) continue;
    if (options.split)
      throw section.error(split, fmt::format("\"{}\" stands beside \"path\"; give one path and "
                                             "\"split\", or a path for each split.",
                                             split));
    options.sources[split] = SourceOptions::read_split(section, split);
  }
  if (!options.sources.contains("train")) {
    const std::string advice = section.misnamed("train");
    throw section.error(
        "train", "has no training data; give \"train: {path: …}\", or \"path\" and \"split\"" +
                     (advice.empty() ? "." : advice));
  }
  Config clean = section.section("clean");
  options.clean = CleanOptions::read(clean);
  options.leakage = section.choice("leakage", "warn", {"warn", "error", "off"});
  return options;
}

Dataset::Dataset(DataOptions options, std::vector<std::string> text_fields)
    : options_(std::move(options)), text_fields_(std::move(text_fields)) {
  for (const auto& [split, source] : options_.sources) refuse_pipes(source);
}
Dataset::~Dataset() = default;

void Dataset::scan(Task* learner, const Task& task, const Tokenizer& tokenizer) {
  if (options_.split) assign_parts_of(task);
  std::optional<LeakageFinder> leakage;
  if (options_.leakage != "off" && options_.sources.size() > 1) leakage.emplace();
  for (const std::string split : kSplits) {
    if (has(split))
      scan_split(split, split == "train" ? learner : nullptr, task, tokenizer,
                 leakage ? &*leakage : nullptr);
  }
  if (leakage) {
    leaks_ = leakage->find();
    read_leaked_texts();
  }
  if (learner) learner->finish_learning();
}

void Dataset::read_leaked_texts() {
  std::map<std::string, std::map<std::string, std::vector<std::string*>>> wanted;  // split, place
  for (Leak& leak : leaks_) {
    for (LeakExample& e : leak.examples) {
      wanted[leak.split][e.here.str()].push_back(&e.text);
      wanted[leak.other][e.there.str()].push_back(&e.other_text);
    }
  }
  for (auto& [split, places] : wanted) {
    const auto stream = open(split);
    while (const std::optional<Record> record = places.empty() ? std::nullopt : stream->next()) {
      const auto found = places.find(record->where().str());
      if (found == places.end()) continue;
      for (std::string* text : found->second)
        *text = shortened(text_of_fields(*record, text_fields_), kShownText);
      places.erase(found);
    }
  }
}

void Dataset::assign_parts_of(const Task& task) {
  const SplitOptions& split = *options_.split;
  const SourceOptions& source = options_.sources.at("train");
  std::vector<std::string> strata;
  std::vector<uint64_t> keys;
  const auto reader = open_reader(source);
  while (const std::optional<Record> record = reader->next()) {
    const bool has_fields = source.on_bad_row != "skip" || !lacks_split_field(split, *record);
    if (!has_fields) {  // the scan drops and counts it
      strata.emplace_back();
      keys.push_back(mix(keys.size(), 0));
      continue;
    }
    strata.push_back(split.stratify.empty() ? label_or_empty(task, *record)
                                            : text_in(*record, split.stratify));
    keys.push_back(split.group.empty() ? text_fingerprint(text_of_fields(*record, text_fields_))
                                       : hash_bytes(text_in(*record, split.group)));
  }
  parts_ = assign_parts(split, strata, keys);
}

void Dataset::scan_split(const std::string& split, Task* learner, const Task& task,
                         const Tokenizer& tokenizer, LeakageFinder* leakage) {
  SplitAudit& audit = audits_[split];
  std::vector<bool>& kept = kept_[split];
  Cleaner cleaner(options_.clean, text_fields_, audit);
  const auto stream = open_raw(split);
  while (std::optional<Record> record = stream->next()) {
    kept.push_back(cleaner.accept(*record));
    if (!kept.back()) continue;
    try {
      if (options_.split) need_split_fields(*options_.split, *record);
      if (learner) {
        learner->learn(*record);
        learner->learn_tokens(*record, tokenizer);
      }
      if (const std::string label = task.label_of(*record); !label.empty()) ++audit.labels[label];
    } catch (const Error& error) {
      drop(split, kept.size() - 1, error);
      continue;
    }
    if (leakage) leakage->add(split, *record, text_fields_);
  }
  // Rows that the reader passed over belong to no part of the one file; they are counted once.
  if (split == "train" || !options_.split)
    count_reader(static_cast<const PartStream&>(*stream).reader(), audit);
  if (size(split) == 0) throw no_rows(split);
}

std::string Dataset::other_split(const std::string& split) const {
  if (options_.split->rule == "mod10") return "\"rule: random\" takes shares of any file";
  if (split == "train") return "give smaller shares to validation and test";
  return fmt::format("give \"{}\" a larger share, or 0", split);
}

Error Dataset::no_rows(const std::string& split) const {
  const SplitAudit& audit = audits_.at(split);
  std::string why = fmt::format("holds no rows; {} data needs some.", split);
  if (audit.dropped > 0)
    why =
        fmt::format("leaves no row for {} data, of {}: {}.", split, audit.rows, why_dropped(audit));
  if (audit.dropped == 0 && !parts_.empty())
    why = fmt::format("\"split\" leaves no row for {} data, of {} in the file; {}.", split,
                      parts_.size(), other_split(split));
  return Error(ErrorKind::kData, {options_.sources.at(split).path}, why);
}

void Dataset::drop(const std::string& split, size_t row, const Error& error) {
  if (options_.sources.at(split).on_bad_row != "skip" || error.kind() != ErrorKind::kData)
    throw error;
  SplitAudit& audit = audits_[split];
  kept_.at(split).at(row) = false;
  --audit.used;
  count_bad_row(audit, {error.where(), error.message()});
}

std::unique_ptr<RecordStream> Dataset::open_raw(const std::string& split) const {
  return std::make_unique<PartStream>(open_reader(options_.sources.at(split)),
                                      options_.split ? &parts_ : nullptr, part_named(split));
}

std::unique_ptr<RecordStream> Dataset::open(const std::string& split) const {
  return std::make_unique<KeptStream>(open_raw(split), kept_.at(split), options_.clean,
                                      text_fields_);
}

int64_t Dataset::size(const std::string& split) const {
  return std::count(kept_.at(split).begin(), kept_.at(split).end(), true);
}

}  // namespace hone
