// Rows of one split that have the same text and other targets: a model cannot learn both.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "data/record.h"

namespace hone {

struct Conflicts {
  int64_t texts = 0;  // different texts that stand with more than one target
  int64_t rows = 0;   // rows that hold these texts
  std::vector<std::pair<Where, Where>> examples;  // two rows of a text, of the first 20 texts

  Json json() const;
};

class ConflictFinder {
 public:
  // Keeps 40 bytes a row. `text` and `targets` are fingerprints.
  void add(const Record& record, uint64_t text, uint64_t targets);
  Conflicts find();

 private:
  struct Row {
    uint64_t text, targets;
    std::shared_ptr<const std::string> file;
    int64_t line;
  };
  std::vector<Row> rows_;
};

}  // namespace hone
