// Further training rows from those that are there: the same texts with some words written
// otherwise. Labelled spans stay as they are, and keep their places (perturb/record_words.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/config.h"
#include "run/perturb/perturbation.h"
#include "run/perturb/record_words.h"
#include "tasks/task.h"

namespace hone {

// The section `augment`.
struct AugmentOptions {
  int64_t copies = 1;           // of each training row, beside it
  double words = 0.1;           // share of a row's words that are changed, one at least
  std::vector<std::string> by;  // delete, swap, insert, and the perturbations' names
  PerturbationFiles files;
  int64_t seed = 42;

  // Error(kUsage) at its place for what cannot be.
  static AugmentOptions read(Config& section);
};

// Changes words of a text: by one way of `by` each, drawn (delete, swap and insert as in Wei and
// Zou 2019, "EDA", https://arxiv.org/abs/1901.11196; insert puts a synonym of a word, else the word
// itself, behind it). Of tokens only words are replaced: none is deleted, moved or added.
class Augmenter {
 public:
  Augmenter(const AugmentOptions& options, const Task& task);

  int64_t copies() const { return options_.copies; }
  // Copy number `copy` of a row: a function of seed, row and copy. The row itself where nothing can
  // be changed.
  Record changed(const Record& record, int64_t row, int64_t copy) const;

 private:
  void change(const RecordWords& words, size_t place, RandomStream& random,
              OtherWords& others) const;
  bool swap(const RecordWords& words, size_t place, OtherWords& others) const;
  std::string other_of(const RecordWords& words, size_t place, const std::string& way,
                       RandomStream& random) const;

  AugmentOptions options_;
  std::vector<NamedPerturbation> perturbations_;
  std::vector<std::string> text_fields_, gold_fields_;
};

}  // namespace hone
