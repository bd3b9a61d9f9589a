// Cleaning, splitting, leakage: what happens to records between the reader and the encoder, all of
// it counted.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/config.h"
#include "data/conflicts.h"
#include "data/reader.h"
#include "data/record.h"
#include "data/text_edits.h"

namespace hone {

struct CleanOptions {
  bool trim = true;                  // white space at both ends of text fields
  bool remove_control = true;        // control characters other than tab and line feed; those that
                                     // are white space become a space
  std::string empty_texts = "drop";  // drop | keep | error
  std::string duplicates =
      "keep";  // keep | drop: texts equal after normalising (NFKC, case, white space)
  std::string near_duplicates =
      "keep";  // keep | drop: Jaccard similarity of character shingles >= near_threshold (MinHash)
  double near_threshold = 0.9;

  // data.clean; what it does not name is as in `defaults`.
  static CleanOptions read(Config& section, const CleanOptions& defaults);
  static CleanOptions read(Config& section) { return read(section, CleanOptions()); }
  Json json() const;  // as `read` takes it
  // The same without leaving rows out: each row has its answer, or was chosen before.
  CleanOptions keeping_all() const;
};

// Cleans a text in place; nothing where it is clean already.
std::optional<TextEdits> clean_text(std::string& text, const CleanOptions& options);

// Counts of one split, and the first places of each kind: becomes report.json's data.<split>.
struct SplitAudit {
  int64_t rows = 0, used = 0, dropped = 0, truncated = 0;
  int64_t repaired = 0;  // rows used after a repair
  std::map<std::string, int64_t>
      reasons;                   // reason -> count ("empty text", "duplicate", "bad row: …")
  std::vector<BadRow> examples;  // of the rows left out, the first 100
  std::vector<BadRow> repairs;   // of the repaired rows, the first 100
  std::map<std::string, int64_t> labels;  // filled by the task
  std::vector<int64_t> lengths;           // histogram: lengths[i] = samples with i tokens
  int64_t text_tokens = 0;                // of the samples, without special tokens
  int64_t unknown_tokens = 0;             // of these: what the vocabulary has no token for
  Conflicts conflicts;                    // equal texts with other targets

  double unknown_share() const;  // unknown_tokens / text_tokens; 0 where there are none

  Json json() const;
};

// A stateful filter over one split's records. `fields` are the text fields of the task.
class Cleaner {
 public:
  Cleaner(CleanOptions options, std::vector<std::string> text_fields, SplitAudit& audit);
  // Cleans the text fields that are strings in place, noting in Record::edits what went (arrays of
  // tokens stay as they are), and counts the row as used or dropped; false where it is dropped.
  // Error(kData) at the record's place for an empty text with empty_texts: error.
  bool accept(Record& record);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// 64-bit fingerprint of a text after normalising; equal texts have equal fingerprints in every
// split.
uint64_t text_fingerprint(std::string_view text);

// A row of one split whose text stands in another.
struct LeakExample {
  Where here, there;
  double similarity = 1;         // near ones: Jaccard of character shingles, estimated
  std::string text, other_text;  // the beginnings, filled by who can read the rows again
};

// Texts of one split that stand in another, exactly or nearly.
struct Leak {
  std::string split, other;
  int64_t exact = 0, near = 0;
  int64_t relabelled = 0;             // of the exact ones: rows that have other labels there
  std::vector<LeakExample> examples;  // the first 20

  Json json() const;
};
class LeakageFinder {
 public:
  // Keeps about 170 bytes a row, no text. `labels`: a fingerprint of the row's.
  void add(const std::string& split, const Record& record,
           const std::vector<std::string>& text_fields, uint64_t labels);
  std::vector<Leak> find() const;  // of each pair of splits that share texts; `other` is train, or
                                   // validation, before test
  LeakageFinder();
  ~LeakageFinder();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// One path and `split`: which part a row falls into; deterministic in seed and texts (or groups),
// stratified by label where given. parts: fractions of validation and test, e.g. {0.1, 0.1}. rule
// "mod10": row number mod 10: 0 test, 1 validation, else train.
struct SplitOptions {
  std::string rule = "random";  // random | mod10
  double validation = 0.1, test = 0.1;
  std::string stratify;  // a field name, or ""
  std::string group;     // a field whose value keeps rows in one part, or "": equal texts do
  int64_t seed = 42;
  // Cross-validation: the rows are dealt out to so many folds, and fold number `fold` (from 1) is
  // the test part; `validation` is then a share of the others, `test` none. 0: no folds.
  int64_t folds = 0, fold = 0;
  static SplitOptions read(Config& section);  // data.split
};
enum class Part { kTrain, kValidation, kTest };
// One part for each row; `strata` is each row's label ("" for none). Rows of equal `keys` stay
// together: fingerprints of their texts, or of the values of `options.group`. Each row is in the
// test part of one fold, and all folds hold as much of each stratum as can be, but for the only
// rows of a stratum that stay together: nothing could be trained to find them, and they are always
// in train.
std::vector<Part> assign_parts(const SplitOptions& options, const std::vector<std::string>& strata,
                               const std::vector<uint64_t>& keys);

}  // namespace hone
