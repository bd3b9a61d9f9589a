// What a run needs before it can train: model and data, looked through and encoded.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "data/places.h"
#include "data/sample_store.h"
#include "run/kept_split.h"
#include "run/run_config.h"
#include "run/run_dataset.h"
#include "tasks/pipeline.h"
#include "tune/identity.h"

namespace hone {

// Model and data, found and looked through; the task knows its labels.
struct Prepared {
  std::string model_folder;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<Task> task;
  RunDataset data;
};

Prepared prepare(const RunConfig& config);
// The model that a run begins with: a pre-trained one, or an adapter that goes on beside its base.
std::unique_ptr<Pipeline> begin_pipeline(const RunConfig& config, const Prepared& prepared);
// What a configuration must be beside the data, told of again where they were prepared for another
// one. `prepare` has called it. Error(kUsage) for dropout that the model does not know, and for
// steps that could teach nothing.
void check_run(const RunConfig& config, const Prepared& prepared);

// All splits, each read and encoded once: the training split as samples and where each record
// stands, what identifies the rows, and the others as evaluation needs them.
struct RunData {
  SampleStore train;
  Places places;
  RowFingerprint train_rows, validation_rows;
  std::map<std::string, KeptSplit> tested;  // all but train
  bool is_interrupted = false;              // while texts were translated: nothing else is there
};
// How training texts are translated where `augment` asks for it.
struct Translating {
  std::string file;  // where they are kept, unless the configuration names another
  const std::atomic<bool>* is_stopped = nullptr;
};
// Warns of dropped rows and leakage. A bad row of the test data is an error before training, not
// after it. Without `translating` copies that would be translated are as their rows, as those who
// look at sizes and speed alone want it.
RunData encode_data(const RunConfig& config, Prepared& prepared,
                    const std::optional<Translating>& translating = std::nullopt);

}  // namespace hone
