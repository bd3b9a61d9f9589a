// What eval and predict share: data named on the command line, a saved model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "run/reading.h"
#include "tasks/pipeline.h"

namespace CLI {
class App;
}

namespace hone {

// How `path` is read: from the keys of a data section among the KEY=VALUE words; cleaning that they
// do not name is the model's own. "-" is standard input.
Reading reading_of(const std::string& path, const CLI::App& arguments, const Pipeline& pipeline);

// A saved model set up by --precision and --threads; KEY=VALUE words that begin with "task." stand
// in for the options it was saved with.
std::unique_ptr<Pipeline> load_pipeline(const CLI::App& arguments);

}  // namespace hone
