// The data of a run: where its splits come from, and their records as streams from disk.
//
// Reading happens in passes, so that memory does not grow with texts: `scan` learns labels, cleans,
// counts and looks for leakage; afterwards `open` gives the records that scan kept, to be encoded.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/clean.h"
#include "data/reader.h"
#include "tasks/task.h"

namespace hone {

// The `data` section: train, validation and test with a path each, or one path and `split`; and
// further test sets.
struct DataOptions {
  std::map<std::string, SourceOptions> sources;  // by split
  std::vector<std::string> tests;                // splits of `tests`, in their order: "tests.NAME"
  std::optional<SplitOptions> split;             // all sources are then the same file
  CleanOptions clean;
  std::function<bool(const Record&)> only;  // rows that count; of others nothing is; empty: all
  std::string leakage = "warn";  // warn | error | off: texts of one split that stand in another

  static DataOptions read(Config& section);

  std::vector<std::string> splits() const;  // that there are, in the order in which they are shown
  // Those that a report is on: test, then the further ones; else validation.
  std::vector<std::string> tested() const;
  // Whether the split is a part of the one file that `split` divides.
  bool is_part(const std::string& of_split) const;
};

// Options of the section that change nothing, as sentences for the user.
std::vector<std::string> idle_options(const DataOptions& options);

// A stream of the records of one split.
class RecordStream {
 public:
  virtual ~RecordStream() = default;
  virtual std::optional<Record> next() = 0;
  virtual size_t row()
      const = 0;  // of the record last given, within its split before cleaning, from 0
};

class Dataset {
 public:
  Dataset(DataOptions options, std::vector<std::string> text_fields);
  ~Dataset();

  // Learns from the training split by way of `learner` (which may be null: a saved model's labels
  // stand). Error(kData) for a bad row unless its source says on_bad_row: skip.
  void scan(Task* learner, const Task& task, const Tokenizer& tokenizer);

  // In place of `scan`, for data that are read once (which standard input cannot be twice): the
  // records as scan keeps them, with a saved model's labels.
  std::unique_ptr<RecordStream> open_once(const std::string& split);

  bool has(const std::string& split) const { return options_.sources.contains(split); }
  std::unique_ptr<RecordStream> open(const std::string& split) const;  // REQUIRES: scan was called
  int64_t size(const std::string& split) const;                        // records kept

  // Error(kData) where the files of a split hold other rows than those that were read.
  void refuse_changed(const std::string& split);

  // A row that turned out bad: counted as left out where its source says so, and `open` does not
  // give it again; else `error` is thrown. `row` as RecordStream::row.
  void drop(const std::string& split, size_t row, const Error& error);

  // Whether what the reader passes over or repairs is told with this split: of parts, which have
  // one reader, with the first.
  bool has_reader(const std::string& split) const {
    return split == "train" || !options_.is_part(split);
  }
  std::map<std::string, SplitAudit>& audits() { return audits_; }
  const std::vector<Leak>& leaks() const { return leaks_; }

 private:
  class PartStream;
  class FirstPass;
  class KeptStream;
  // What a pass has read, to find files that change between two of them.
  struct ReadRows {
    size_t rows = 0;
    uint64_t hash = 0;
    bool operator==(const ReadRows&) const = default;
  };

  // What shows without reading that nobody wrote to a file.
  struct FileStamp {
    std::string path;
    uintmax_t bytes = 0;
    std::filesystem::file_time_type written;
    bool operator==(const FileStamp&) const = default;
  };

  std::vector<FileStamp> stamps_of(const std::string& split) const;
  void leave_out(const std::string& split, const Error& error);
  void assign_parts_of(const Task& task);
  void scan_split(const std::string& split, Task* learner, const Task& task,
                  const Tokenizer& tokenizer, LeakageFinder* leakage);
  void read_leaked_texts();                                 // into the examples of leaks_
  Error no_rows(const std::string& split) const;            // why a split is empty
  std::string other_split(const std::string& split) const;  // what would give it rows

  DataOptions options_;
  std::vector<std::string> text_fields_;
  std::map<std::string, SplitAudit> audits_;
  std::map<std::string, std::vector<bool>> kept_;  // by row of the split, before cleaning
  std::map<std::string, ReadRows> read_rows_;
  std::map<std::string, std::vector<FileStamp>> stamps_;
  std::vector<Part> parts_;  // by row of the one file, where there is `split`
  size_t units_ = 0;         // texts or groups that `split` deals out
  std::vector<Leak> leaks_;
};

}  // namespace hone
