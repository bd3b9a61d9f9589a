// What a run needs before it can train: model and data, looked through and encoded.
#pragma once

#include <map>
#include <memory>
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
};
// Warns of dropped rows and leakage. A bad row of the test data is an error before training, not
// after it.
RunData encode_data(const RunConfig& config, Prepared& prepared);

}  // namespace hone
