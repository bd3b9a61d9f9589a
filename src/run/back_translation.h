// Texts translated into another language and back (Sennrich et al. 2016,
// https://arxiv.org/abs/1511.06709; as further training rows: Xie et al. 2020,
// https://arxiv.org/abs/1904.12848).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data/record.h"
#include "run/load.h"
#include "run/run_dataset.h"
#include "run/translation_file.h"
#include "run/translation_options.h"

namespace hone {

// The texts of a record that a translation would take the place of: its fields that are texts, or
// lists of texts. Error(kData) at record.where() for a field that is neither.
void for_each_text(Record& record, const std::vector<std::string>& text_fields,
                   const std::function<void(std::string& text)>& take);

// Whether each copy of a text is drawn anew, as one of the models is told to (do_sample).
// Error(kModel) where a folder is not there.
bool draws_translations(const TranslationOptions& options);

// The file at `path` of what these models make of texts with this seed. Error(kModel) where a
// folder is not there.
TranslationFile open_translations(const TranslationOptions& options, int64_t seed,
                                  const std::string& path);

// What a whole pass over training data needs.
struct TranslationRun {
  int64_t copies = 1;
  int64_t seed = 42;
  LoadOptions machine;                            // device and threads
  const std::atomic<bool>* is_stopped = nullptr;  // asked before each token
};

// Translates the texts of the training split that `file` lacks, each copy with draws of its own.
// What is too long for a model to read or to write whole has none. A text's translation depends on
// itself, the copy and the seed alone. False: it was stopped; the file keeps what there was.
bool translate_training(const TranslationOptions& options, const TranslationRun& run,
                        const RunDataset& data, const std::vector<std::string>& text_fields,
                        TranslationFile& file);

}  // namespace hone
