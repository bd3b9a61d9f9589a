#include "run/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/folder_name.h"
#include "base/log.h"
#include "base/random.h"
#include "data/field_path.h"
#include "data/files.h"
#include "data/fingerprint.h"
#include "data/idle_options.h"
#include "run/audit.h"
#include "tasks/fields.h"

namespace hone {
namespace {

constexpr size_t kShownText = 300;                                 // code points of a leaked text
constexpr const char* kGiven[] = {"train", "validation", "test"};  // each a key of its own

std::string label_or_empty(const Task& task, const Record& record) {
  try {
    return task.label_of(record);
  } catch (const Error&) {
    return "";  // a bad row is told of when its split is scanned
  }
}

uint64_t labels_fingerprint(const Task& task, const Record& record) {
  uint64_t hash = 0;
  try {
    for (const std::string& label : task.labels_of(record)) hash = mix(hash, hash_bytes(label));
  } catch (const Error&) {  // as above
  }
  return hash;
}

// A field that decides on the part. Throws where the row lacks it.
const Json& split_field(const Record& record, const std::string& name) {
  const Json* value = value_at(record.fields, name);
  return value == nullptr || value->is_null() ? need_field(record, name) : *value;
}

std::string text_in(const Record& record, const std::string& field) {
  const Json& value = split_field(record, field);
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// Throws where a field that decides on the part is absent.
void need_split_fields(const SplitOptions& split, const Record& record) {
  for (const std::string& field : {split.stratify, split.group}) {
    if (!field.empty()) split_field(record, field);
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

[[noreturn]] void refuse_change(const std::string& path) {
  throw Error(ErrorKind::kData, {path},
              "its rows are not those that were first read: the file changed during the run. Keep "
              "data files as they are while a run reads them, and start it again.");
}

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

// The rows of a file that belong to one part of it.
class Dataset::PartStream : public RecordStream {
 public:
  PartStream(const Dataset& data, const std::string& split)
      : path_(data.options_.sources.at(split).path),
        reader_(open_reader(data.options_.sources.at(split))),
        parts_(data.options_.is_part(split) ? &data.parts_ : nullptr),
        part_(part_named(split)) {}

  std::optional<Record> next() override {
    while (std::optional<Record> record = reader_->next()) {
      const size_t row = read_++;
      if (parts_ != nullptr && row >= parts_->size()) refuse_change(path_);
      if (parts_ != nullptr && (*parts_)[row] != part_) continue;
      ++read_part_.rows;
      read_part_.hash = mix(read_part_.hash, std::hash<Json>()(record->fields));
      return record;
    }
    if (parts_ != nullptr && read_ < parts_->size()) refuse_change(path_);
    return std::nullopt;
  }
  size_t row() const override { return read_part_.rows - 1; }
  const RecordReader& reader() const { return *reader_; }
  const ReadRows& read_rows() const { return read_part_; }

 private:
  std::string path_;
  std::unique_ptr<RecordReader> reader_;
  const std::vector<Part>* parts_;  // null: all rows
  Part part_;
  size_t read_ = 0;
  ReadRows read_part_;
};

// The first reading of a split: records are learned from, cleaned, and counted.
class Dataset::FirstPass : public RecordStream {
 public:
  FirstPass(Dataset& data, std::string split, Task* learner, const Tokenizer* tokenizer)
      : data_(data),
        split_(std::move(split)),
        learner_(learner),
        tokenizer_(tokenizer),
        audit_(data.audits_[split_]),
        kept_(data.kept_[split_]),
        cleaner_(data.options_.clean, data.text_fields_, audit_),
        raw_(data, split_) {}

  std::optional<Record> next() override {
    while (std::optional<Record> record = is_done_ ? std::nullopt : raw_.next()) {
      kept_.push_back(true);
      if (is_used(*record)) return record;
      kept_.back() = false;
    }
    if (!is_done_) finish();
    is_done_ = true;
    return std::nullopt;
  }
  size_t row() const override { return raw_.row(); }

 private:
  bool is_used(Record& record) {
    const int64_t used_before = audit_.used;
    try {
      if (data_.options_.only && !data_.options_.only(record)) return false;
      if (!cleaner_.accept(record)) return false;
      if (data_.options_.is_part(split_)) need_split_fields(*data_.options_.split, record);
      if (learner_) {
        learner_->learn(record);
        learner_->learn_tokens(record, *tokenizer_);
      }
      return true;
    } catch (const Error& error) {
      audit_.used = used_before + 1;  // which leave_out takes back
      data_.leave_out(split_, error);
      return false;
    }
  }

  void finish() {
    data_.read_rows_[split_] = raw_.read_rows();
    if (data_.has_reader(split_)) {
      count_reader(raw_.reader(), audit_);
      for (const std::string& text : raw_.reader().advice()) log_warn("{}", text);
    }
    if (data_.size(split_) == 0) throw data_.no_rows(split_);
  }

  Dataset& data_;
  std::string split_;
  Task* learner_;  // may be null, then the tokenizer too
  const Tokenizer* tokenizer_;
  SplitAudit& audit_;
  std::vector<bool>& kept_;
  Cleaner cleaner_;
  PartStream raw_;
  bool is_done_ = false;
};

// The records that the first pass kept, cleaned again in the same way.
class Dataset::KeptStream : public RecordStream {
 public:
  KeptStream(const Dataset& data, const std::string& split)
      : path_(data.options_.sources.at(split).path),
        kept_(data.kept_.at(split)),
        read_before_(data.read_rows_.at(split)),
        cleaner_(data.options_.clean.keeping_all(), data.text_fields_, audit_),
        raw_(data, split) {}

  std::optional<Record> next() override {
    while (std::optional<Record> record = raw_.next()) {
      if (row() >= kept_.size()) refuse_change(path_);
      if (!kept_[row()]) continue;
      cleaner_.accept(*record);
      return record;
    }
    if (raw_.read_rows() != read_before_) refuse_change(path_);
    return std::nullopt;
  }
  size_t row() const override { return raw_.row(); }

 private:
  std::string path_;
  const std::vector<bool>& kept_;
  ReadRows read_before_;
  SplitAudit audit_;
  Cleaner cleaner_;
  PartStream raw_;
};

namespace {

void check_test_name(const Config& tests, const std::string& name) {
  if (!is_folder_name(name))
    throw tests.error(name, fmt::format("\"{}\" is the name of a test set, and of a folder: {}",
                                        name, kFolderNameRule));
}

void read_tests(Config& section, DataOptions& options) {
  if (!section.has("tests")) return;
  Config tests = section.section("tests");
  for (const std::string& name : tests.keys()) {
    check_test_name(tests, name);
    options.tests.push_back("tests." + name);
    options.sources[options.tests.back()] = SourceOptions::read_split(tests, name);
  }
}

}  // namespace

DataOptions DataOptions::read(Config& section) {
  DataOptions options;
  if (section.has("path")) {
    const SourceOptions source = SourceOptions::read(section);
    Config split = section.section("split");
    options.split = SplitOptions::read(split);
    const bool is_fixed = options.split->rule != "random";
    options.sources["train"] = source;
    if (is_fixed || options.split->validation > 0) options.sources["validation"] = source;
    if (is_fixed || options.split->test > 0 || options.split->folds > 0)
      options.sources["test"] = source;
  }
  if (!options.split && section.has("train") && section.has("split"))
    throw section.error("split",
                        "\"split\" divides the one file of \"path\"; beside \"train\" it divides "
                        "nothing. Give \"path\" in place of \"train\", or a path for each split.");
  for (const std::string split : kGiven) {
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
  read_tests(section, options);
  Config clean = section.section("clean");
  options.clean = CleanOptions::read(clean);
  options.leakage = section.choice("leakage", "warn", {"warn", "error", "off"});
  return options;
}

std::vector<std::string> DataOptions::splits() const {
  std::vector<std::string> names;
  for (const char* split : kGiven) {
    if (sources.contains(split)) names.emplace_back(split);
  }
  names.insert(names.end(), tests.begin(), tests.end());
  return names;
}

std::vector<std::string> DataOptions::tested() const {
  std::vector<std::string> names = tests;
  if (sources.contains("test")) names.insert(names.begin(), "test");
  if (names.empty() && sources.contains("validation")) names.emplace_back("validation");
  return names;
}

bool DataOptions::is_part(const std::string& of_split) const {
  return split && std::find(tests.begin(), tests.end(), of_split) == tests.end();
}

std::vector<std::string> idle_options(const DataOptions& options) {
  std::vector<std::string> sentences = idle_options(options.clean);
  const auto append = [&](const std::string& split, const std::vector<std::string>& more) {
    for (const std::string& sentence : more) sentences.push_back(split + sentence);
  };
  if (options.split) append("", idle_options(*options.split));
  for (const std::string& split : options.splits()) {
    const bool is_part = options.is_part(split);
    if (is_part && split != "train") continue;
    append(is_part ? "" : split + ": ", idle_options(options.sources.at(split)));
  }
  if (options.leakage == "error" && options.sources.size() == 1)
    sentences.emplace_back("leakage does nothing without a second split");
  return sentences;
}

Dataset::Dataset(DataOptions options, std::vector<std::string> text_fields)
    : options_(std::move(options)), text_fields_(std::move(text_fields)) {}
Dataset::~Dataset() = default;

void Dataset::scan(Task* learner, const Task& task, const Tokenizer& tokenizer) {
  for (const auto& [split, source] : options_.sources) refuse_pipes(source);
  if (options_.split) assign_parts_of(task);
  std::optional<LeakageFinder> leakage;
  if (options_.leakage != "off" && options_.sources.size() > 1) leakage.emplace();
  for (const std::string& split : options_.splits())
    scan_split(split, split == "train" ? learner : nullptr, task, tokenizer,
               leakage ? &*leakage : nullptr);
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
  units_ = std::set<uint64_t>(keys.begin(), keys.end()).size();
}

std::vector<Dataset::FileStamp> Dataset::stamps_of(const std::string& split) const {
  std::vector<FileStamp> stamps;
  for (const SourceFile& file : files_of(options_.sources.at(split))) {
    std::error_code unknown;
    stamps.push_back({file.path, std::filesystem::file_size(file.path, unknown),
                      std::filesystem::last_write_time(file.path, unknown)});
  }
  return stamps;
}

// Reading again is only needed where somebody touched a file.
void Dataset::refuse_changed(const std::string& split) {
  std::vector<FileStamp> now = stamps_of(split);
  if (now == stamps_.at(split)) return;
  PartStream rows(*this, split);
  while (rows.next()) {
  }
  if (rows.read_rows() != read_rows_.at(split)) refuse_change(options_.sources.at(split).path);
  stamps_.at(split) = std::move(now);
}

void Dataset::scan_split(const std::string& split, Task* learner, const Task& task,
                         const Tokenizer& tokenizer, LeakageFinder* leakage) {
  stamps_[split] = stamps_of(split);
  FirstPass records(*this, split, learner, &tokenizer);
  while (const std::optional<Record> record = records.next()) {
    if (leakage) leakage->add(split, *record, text_fields_, labels_fingerprint(task, *record));
  }
}

std::string Dataset::other_split(const std::string& split) const {
  if (options_.split->rule == "mod10") return "\"rule: random\" takes shares of any file";
  if (units_ < options_.sources.size() - options_.tests.size()) {
    const std::string& group = options_.split->group;
    return fmt::format("rows of one {} stay together, and there {} only {} of them",
                       group.empty() ? "text" : "\"" + group + "\"", units_ == 1 ? "is" : "are",
                       units_);
  }
  if (split == "train") return "give smaller shares to validation and test";
  return fmt::format("give \"{}\" a larger share, or 0", split);
}

Error Dataset::no_rows(const std::string& split) const {
  const SplitAudit& audit = audits_.at(split);
  std::string why = fmt::format("holds no rows; {} data needs some.", split);
  if (audit.dropped > 0) why = fmt::format("leaves no row for {} data{}", split, why_none(audit));
  if (audit.dropped == 0 && options_.is_part(split))
    why = fmt::format("\"split\" leaves no row for {} data, of {} in the file; {}.", split,
                      parts_.size(), other_split(split));
  return Error(ErrorKind::kData, {options_.sources.at(split).path}, why);
}

void Dataset::leave_out(const std::string& split, const Error& error) {
  if (options_.sources.at(split).on_bad_row != "skip" || error.kind() != ErrorKind::kData)
    throw error;
  SplitAudit& audit = audits_[split];
  --audit.used;
  count_bad_row({error.where(), error.message()}, audit);
}

void Dataset::drop(const std::string& split, size_t row, const Error& error) {
  leave_out(split, error);
  kept_.at(split).at(row) = false;
}

std::unique_ptr<RecordStream> Dataset::open_once(const std::string& split) {
  return std::make_unique<FirstPass>(*this, split, nullptr, nullptr);
}

std::unique_ptr<RecordStream> Dataset::open(const std::string& split) const {
  return std::make_unique<KeptStream>(*this, split);
}

int64_t Dataset::size(const std::string& split) const {
  return std::count(kept_.at(split).begin(), kept_.at(split).end(), true);
}

}  // namespace hone
