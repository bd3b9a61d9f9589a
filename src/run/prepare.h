// What a run needs before it can train.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/places.h"
#include "data/sample_store.h"
#include "run/dataset.h"
#include "run/run_config.h"
#include "tasks/pipeline.h"
#include "tune/identity.h"

namespace hone {

// Model and data, found and looked through; the task knows its labels.
struct Prepared {
  std::string model_folder;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<Task> task;
  Dataset dataset;
};

Prepared prepare(const RunConfig& config);

// The training split as samples, where each record stands, and what identifies the rows.
struct TrainingData {
  SampleStore samples;
  Places places;
  RowFingerprint train_rows, validation_rows;
};
// Encodes all splits, then warns of dropped rows and leakage: a bad row of the test data is an
// error before training, not after it.
TrainingData encode_data(const RunConfig& config, Prepared& prepared);

}  // namespace hone
