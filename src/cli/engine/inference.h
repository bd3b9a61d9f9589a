// What eval, predict and score share: data named on the command line, a saved model, how a result
// is written.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/engine/dataset.h"
#include "tasks/pipeline.h"

namespace CLI {
class App;
}

namespace hone {

// How to read `path`: the keys of a data section, from KEY=VALUE arguments. "-" is standard input.
SourceOptions source_from(const std::string& path, const std::vector<std::string>& key_values);

// A saved model set up by --precision and --threads.
std::unique_ptr<Pipeline> load_pipeline(const CLI::App& arguments);
PredictOptions predict_options(const CLI::App& arguments);

// What is written for a record: its id and texts as they were read, and the result's fields over
// them.
Json with_inputs(const Record& record, const Json& result, const Task& task);

}  // namespace hone
