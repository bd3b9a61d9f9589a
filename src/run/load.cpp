#include "run/load.h"

#include "base/hub.h"
#include "base/log.h"
#include "run/audit.h"
#include "tune/machine.h"

namespace hone {
namespace {

Precision choose_precision(const std::string& asked, const Pipeline& pipeline) {
  const std::optional<Precision> own = pipeline.trained_in();
  if (asked != "auto" || !own) return resolve_precision(asked, pipeline.device());
  if (computes_in(*own, pipeline.device())) return *own;
  log_info(
      "the model was trained in {}, for which {} has no instructions: it answers in fp32, and "
      "scores may differ a little from its run's",
      precision_name(*own), pipeline.device().is_cpu() ? "this processor" : "this device");
  return Precision::kFp32;
}

}  // namespace

std::unique_ptr<Pipeline> load_model(const std::string& model, const LoadOptions& options) {
  use_threads(options.threads);
  std::unique_ptr<Pipeline> pipeline =
      Pipeline::load(resolve_model(model), options.task, options.part);
  if (!options.task.empty()) tell_idle("task", pipeline->task().idle_options());
  pipeline->network().move_to(resolve_device(options.device));
  pipeline->network().set_precision(choose_precision(options.precision, *pipeline));
  return pipeline;
}

std::unique_ptr<Pipeline> begin_model(
    const std::string& folder, const TaskInfo& info, const LoadOptions& options,
    const std::function<void(Task& task, const Tokenizer& tokenizer)>& learn) {
  use_threads(options.threads);
  const auto tokenizer = Tokenizer::load(folder);
  const ModelConfig config = ModelConfig::load(folder);
  Config section = Config::parse("", "command line", options.task);
  std::shared_ptr<Task> task = info.make(section, sequence_limit(config, *tokenizer, 0));
  section.refuse_unknown();
  task->begin_from(folder, /*has_length=*/false);
  if (learn) learn(*task, *tokenizer);
  auto pipeline = Pipeline::create(folder, tokenizer, task, /*seed=*/0);
  pipeline->network().move_to(resolve_device(options.device));
  pipeline->network().set_precision(resolve_precision(options.precision, pipeline->device()));
  return pipeline;
}

}  // namespace hone
