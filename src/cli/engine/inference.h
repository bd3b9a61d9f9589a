// What eval and predict share: data named on the command line, a saved model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "run/adapters.h"
#include "run/answer.h"
#include "run/load.h"
#include "run/reading.h"
#include "tasks/pipeline.h"

namespace CLI {
class App;
}

namespace hone {

// How `path` is read: from the keys of a data section among the KEY=VALUE words; cleaning that they
// do not name is the model's own. "-" is standard input.
Reading reading_of(const std::string& path, const CLI::App& arguments, const Pipeline& pipeline);

// What --max-tokens says, or what is usual on the model's device.
int64_t max_tokens_of(const CLI::App& arguments, const Pipeline& pipeline);

// What --precision, --device and --threads say; KEY=VALUE words that begin with "task." stand in
// for the options that a model was saved with.
LoadOptions load_options(const CLI::App& arguments);

// The same where all KEY=VALUE words are options of the task, with "task." before them or without.
LoadOptions load_task_options(const CLI::App& arguments);

// A saved model set up by these.
std::unique_ptr<Pipeline> load_pipeline(const CLI::App& arguments);

// What --adapter says, each time.
std::vector<NamedAdapter> named_adapters(const CLI::App& arguments);

// Tells of rows that lost tokens, and of rows that have no answer: an error, or a warning where the
// reading passes over them. Gives the exit code.
int tell_answered(const Answered& answered, const Reading& reading);

}  // namespace hone
