// Further training rows from those that are there: the same texts translated there and back, and
// with some words written otherwise. Labelled spans stay as they are, and keep their places
// (perturb/record_words.h); a translation is refused where there are any.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "run/perturb/perturbation.h"
#include "run/perturb/record_words.h"
#include "run/translation_file.h"
#include "run/translation_options.h"
#include "tasks/task.h"

namespace hone {

// The section `augment`.
struct AugmentOptions {
  int64_t copies = 1;           // of each training row, beside it
  double words = 0.1;           // share of a row's words that are changed, one at least
  std::vector<std::string> by;  // delete, swap, insert, and the perturbations' names
  std::optional<TranslationOptions> translation;  // of the texts, before words are changed
  PerturbationFiles files;
  int64_t seed = 42;

  // Error(kUsage) at its place for what cannot be.
  static AugmentOptions read(Config& section);
};

// Changes words of a text: by one way of `by` each, drawn (delete, swap and insert as in Wei and
// Zou 2019, "EDA", https://arxiv.org/abs/1901.11196; insert puts a synonym of a word, else the word
// itself, behind it). Blanks stay as the text's script has them. Of tokens only words are replaced:
// none is deleted, moved or added.
class Augmenter {
 public:
  // `translations` of the rows' texts, where the options ask for them; null: they are left as they
  // are. Error(kUsage) for a translation where the task's labels name places in texts.
  Augmenter(const AugmentOptions& options, const Task& task,
            const TranslationFile* translations = nullptr);

  int64_t copies() const { return options_.copies; }
  // Copy number `copy` of a row: a function of seed, row and copy. Nothing where it would be the
  // row itself: no word of it can be changed, no translation makes another text of it.
  std::optional<Record> changed(const Record& record, int64_t row, int64_t copy) const;

 private:
  bool translate(Record& record, int64_t copy) const;
  std::optional<Record> with_other_words(const Record& record, int64_t row, int64_t copy) const;
  void change(const RecordWords& words, size_t place, RandomStream& random,
              OtherWords& others) const;
  bool swap(const RecordWords& words, size_t place, OtherWords& others) const;
  std::string other_of(const RecordWords& words, size_t place, const std::string& way,
                       RandomStream& random) const;

  AugmentOptions options_;
  const TranslationFile* translations_;
  std::vector<NamedPerturbation> perturbations_;
  std::vector<std::string> text_fields_, gold_fields_;
};

}  // namespace hone
