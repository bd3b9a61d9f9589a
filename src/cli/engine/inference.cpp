#include "cli/engine/inference.h"

#include "base/hub.h"
#include "cli/arguments.h"
#include "tune/machine.h"

namespace hone {

SourceOptions source_from(const std::string& path, const std::vector<std::string>& key_values) {
  std::vector<std::string> overrides = {"path=" + Json(path).dump()};  // a JSON string is YAML too
  overrides.insert(overrides.end(), key_values.begin(), key_values.end());
  Config config = Config::parse("", "command line", overrides);
  SourceOptions options = SourceOptions::read(config);
  config.refuse_unknown();
  return options;
}

std::unique_ptr<Pipeline> load_pipeline(const CLI::App& arguments) {
  use_threads(number_of(arguments, "--threads"));
  std::unique_ptr<Pipeline> pipeline = Pipeline::load(resolve_model(text_of(arguments, "MODEL")));
  pipeline->network().move_to(resolve_device(text_of(arguments, "--device")));
  pipeline->network().set_precision(
      resolve_precision(text_of(arguments, "--precision"), pipeline->network().device()));
  return pipeline;
}

PredictOptions predict_options(const CLI::App& arguments) {
  PredictOptions options;
  options.max_tokens = number_of(arguments, "--max-tokens");
  return options;
}

Json with_inputs(const Record& record, const Json& result, const Task& task) {
  Json line = Json::object();
  std::vector<std::string> inputs = task.text_fields();
  inputs.insert(inputs.begin(), "id");
  for (const std::string& name : inputs) {
    if (!record.fields.contains(name)) continue;
    const auto edits = record.edits.find(name);
    line[name] = edits == record.edits.end() ? record.fields[name] : Json(edits->second.as_read());
  }
  line.update(result);
  return line;
}

}  // namespace hone
