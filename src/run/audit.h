// What reading and encoding show of a split: counted into its audit, and told.
#pragma once

#include <string>
#include <vector>

#include "data/clean.h"
#include "data/conflicts.h"
#include "tasks/task.h"

namespace hone {

// Counts what encoded records show.
class EncodingAudit {
 public:
  // `has_reader`: count_reader() names the rows of this split that were repaired as they were read.
  EncodingAudit(SplitAudit& audit, bool has_reader, const Task& task, const Tokenizer& tokenizer)
      : audit_(audit),
        has_reader_(has_reader),
        task_(task),
        text_fields_(task.text_fields()),
        unknown_(tokenizer.unk_id()) {}

  // `samples` have targets; `truncated`: tokens were lost.
  void add(const Record& record, const std::vector<Sample>& samples, bool truncated);
  void finish();  // after the last record

 private:
  void count_tokens(const Sample& sample);

  SplitAudit& audit_;
  bool has_reader_;
  const Task& task_;
  std::vector<std::string> text_fields_;
  int32_t unknown_;
  ConflictFinder conflicts_;
};

// Adds what the reader passed over, and names what it repaired, once it has come to its end. Those
// of the repaired rows that are used are counted as they are encoded.
void count_reader(const RecordReader& reader, SplitAudit& audit);
void count_bad_row(const BadRow& row, SplitAudit& audit);

// ", of 15: 12 empty text, 3 bad row; the first is train.jsonl:4: …": of data of which nothing is
// left.
std::string why_none(const SplitAudit& audit);

// Warns of options that change nothing. `section`: where they stand.
void tell_idle(const std::string& section, const std::vector<std::string>& sentences);

// Warns of what the audit holds. `lister` is what shows the rows in full: "hone check".
void tell_audit(const std::string& split, const SplitAudit& audit, const std::string& lister);

}  // namespace hone
