#include "run/prepare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/hub.h"
#include "base/log.h"
#include "run/audit.h"
#include "run/back_translation.h"
#include "tasks/peft_folder.h"
#include "tune/train_options.h"

namespace hone {
namespace {

void tell_leak(const Leak& leak) {
  const std::string example =
      leak.examples.empty() ? ""
                            : fmt::format(", e.g. {} and {}", leak.examples.front().here.str(),
                                          leak.examples.front().there.str());
  const std::string relabelled =
      leak.relabelled == 0
          ? ""
          : fmt::format("; {} of them with other labels, where no answer is right in both",
                        leak.relabelled);
  log_warn("{} texts of {} stand in {} too, {} nearly so{}: scores will be too good{}", leak.exact,
           leak.split, leak.other, leak.near, example, relabelled);
}

void tell_data(RunDataset& data) {
  for (const auto& [split, audit] : data.audits()) tell_audit(split, *audit, "hone check");
  for (const Leak& leak : data.leaks()) tell_leak(leak);
  if (data.has_forbidden_leaks())
    throw Error(ErrorKind::kData,
                "splits share texts (named above), and data.leakage is \"error\". Remove them, or "
                "set data.leakage: warn.");
}

// A key that is not there would change nothing.
void check_dropout(const ModelConfig& model, const RunConfig& config) {
  std::vector<std::string> known;
  for (const auto& [key, value] : model.raw.items()) {
    if (key.find("drop") != std::string::npos) known.push_back(key);
  }
  for (const auto& [key, value] : config.start.config.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    throw Error(ErrorKind::kUsage, {config.path},
                fmt::format("model.dropout: the model's config.json has no \"{}\"{}; it has {}",
                            key, did_you_mean(key, known),
                            known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", "))));
  }
}

// Of a model whose adapters may take positions for themselves.
ModelConfig model_config(const std::string& folder, const RunConfig& config) {
  ModelConfig model = ModelConfig::load(folder);
  check_dropout(model, config);
  if (config.peft)
    model.max_positions =
        std::max<int64_t>(2, model.max_positions - config.peft->positions_taken());
  return model;
}

// The samples of an optimizer step; 0 where a budget of tokens decides.
int64_t step_size(const TrainOptions& options) {
  if (options.max_tokens_per_batch > 0) return 0;
  return options.per_device_train_batch_size * options.gradient_accumulation_steps;
}

// Samples of training row `index`.
void add_training(std::vector<Sample>& samples, const Record& record, int64_t index,
                  RunData& data) {
  data.train_rows.add(record.where(), samples);
  for (Sample& sample : samples) {
    sample.record = index;
    data.train.add(sample);
  }
}

// Copies of rows that are not among the samples.
struct LeftOut {
  int64_t alike = 0;   // the copy is the row itself
  int64_t failed = 0;  // the task cannot encode them

  std::string text() const {
    std::string out;
    if (alike > 0) out += fmt::format("; {} are as their rows, and are left out", alike);
    if (failed > 0) out += fmt::format("; {} cannot be encoded, and are left out", failed);
    return out;
  }
};

void tell_copies(int64_t rows, int64_t copies, const LeftOut& left_out) {
  log_info("augmented: {} training rows with {} each{}", rows,
           copies == 1 ? "a copy" : fmt::format("{} copies", copies), left_out.text());
  if (rows > 0 && left_out.alike == rows * copies)
    log_warn(
        "augment: every copy is as its row, so that there is none: the texts have no words beside "
        "labels, or \"by\" cannot change them (a lexicon of another language)");
}

// The copies of a row that the run asks for.
void add_copies(const Augmenter& augmenter, const Prepared& prepared, const Record& record,
                int64_t index, RunData& data, LeftOut& left_out) {
  for (int64_t copy = 0; copy < augmenter.copies(); ++copy) {
    const std::optional<Record> changed = augmenter.changed(record, index, copy);
    left_out.alike += !changed;
    if (!changed) continue;
    EncodeOutcome encoded =
        encode_record(*changed, *prepared.task, *prepared.tokenizer, /*with_targets=*/true);
    left_out.failed += encoded.failure.has_value();
    if (!encoded.failure) add_training(encoded.samples, record, index, data);
  }
}

// Those that nothing makes differ are refused once the models are there to say so.
void refuse_equal_copies(const AugmentOptions& augment, const std::string& config) {
  if (augment.copies == 1 || !augment.by.empty() || draws_translations(*augment.translation))
    return;
  throw Error(ErrorKind::kUsage, {config},
              fmt::format("augment.copies is {}, but they would all be alike: a translation is "
                          "drawn with do_sample: true (in there_task or back_task, or in a model's "
                          "generation_config.json)",
                          augment.copies));
}

// Nothing where none are asked for, or where it was stopped.
std::optional<TranslationFile> translations_of(const RunConfig& config, const Prepared& prepared,
                                               const Translating& translating, RunData& data) {
  const AugmentOptions& augment = *config.augment;
  refuse_equal_copies(augment, config.path);
  TranslationFile file = open_translations(*augment.translation, augment.seed, translating.file);
  const TranslationRun run{
      .copies = augment.copies,
      .seed = augment.seed,
      .machine = {.device = config.train.device, .threads = config.train.threads},
      .is_stopped = translating.is_stopped};
  data.is_interrupted = !translate_training(*augment.translation, run, prepared.data,
                                            prepared.task->text_fields(), file);
  if (data.is_interrupted) return std::nullopt;
  return file;
}

void encode_training(const RunConfig& config, Prepared& prepared,
                     const std::optional<Translating>& translating, RunData& data) {
  std::optional<Augmenter> augmenter;
  std::optional<TranslationFile> translations;
  if (config.augment) augmenter.emplace(*config.augment, *prepared.task);
  if (config.augment && config.augment->translation && translating) {
    translations = translations_of(config, prepared, *translating, data);
    if (data.is_interrupted) return;
    augmenter.emplace(*config.augment, *prepared.task, &*translations);
  }
  LeftOut left_out;
  prepared.data.encode("train", *prepared.tokenizer, [&](EncodedRecord& encoded) {
    const auto index = static_cast<int64_t>(data.places.size());
    data.places.add(encoded.record);
    add_training(encoded.samples, encoded.record, index, data);
    if (augmenter) add_copies(*augmenter, prepared, encoded.record, index, data, left_out);
  });
  if (augmenter)
    tell_copies(static_cast<int64_t>(data.places.size()), augmenter->copies(), left_out);
  if (config.augment && config.augment->translation && !translating)
    log_info("augmented: no text is translated here, copies are counted as long as their rows");
  data.train.seal();
}

// What several tasks are asked for and one does not know.
void tell_idle_sampling(const RunConfig& config, const Task& task) {
  if (task.parts().empty() && config.train.task_sampling != TrainOptions().task_sampling)
    tell_idle("train", {"task_sampling does nothing where there is one task"});
}

void check_class_sampling(const RunConfig& config, const Task& task) {
  if (config.train.class_sampling != TrainOptions().class_sampling && !task.has_strata())
    throw Error(
        ErrorKind::kUsage, {config.path},
        fmt::format("train.class_sampling is {}: rows are drawn by their class, and those of "
                    "this task ({}) have not one class each",
                    config.train.class_sampling, task.info().name));
}

}  // namespace

Prepared prepare(const RunConfig& config) {
  const std::string folder = resolve_model(config.model);
  const auto tokenizer = Tokenizer::load(folder);
  std::shared_ptr<Task> task = config.make_task(
      sequence_limit(model_config(folder, config), *tokenizer, config.train.max_seq_length));
  task->begin_from(folder, config.train.max_seq_length > 0);
  Prepared prepared{folder, tokenizer, task, RunDataset(config, *task)};
  prepared.data.scan(*tokenizer);
  check_run(config, prepared);
  tell_idle("task", task->idle_options());
  return prepared;
}

std::unique_ptr<Pipeline> begin_pipeline(const RunConfig& config, const Prepared& prepared) {
  auto pipeline = Pipeline::create(prepared.model_folder, prepared.tokenizer, prepared.task,
                                   static_cast<uint64_t>(config.train.seed), config.data.clean,
                                   config.peft, config.start);
  if (!config.adapter.empty())
    continue_adapter(pipeline->network(), *pipeline->adapted(), *prepared.task, config.adapter);
  return pipeline;
}

void check_run(const RunConfig& config, const Prepared& prepared) {
  model_config(prepared.model_folder, config);
  tell_idle("train", idle_options(config.train, config.data.sources.contains("validation")));
  tell_idle_sampling(config, *prepared.task);
  check_class_sampling(config, *prepared.task);
  prepared.task->check_step(step_size(config.train));
}

RunData encode_data(const RunConfig& config, Prepared& prepared,
                    const std::optional<Translating>& translating) {
  RunData data{SampleStore(config.output_dir), {}, {}, {}, {}};
  encode_training(config, prepared, translating, data);
  if (data.is_interrupted) return data;
  for (const std::string& split : config.data.splits()) {
    if (split == "train") continue;
    KeptSplit& kept = data.tested.try_emplace(split, config.output_dir).first->second;
    prepared.data.encode(split, *prepared.tokenizer, [&](const EncodedRecord& encoded) {
      if (split == "validation") data.validation_rows.add(encoded.record.where(), encoded.samples);
      kept.add(encoded);
    });
    kept.seal();
  }
  tell_data(prepared.data);
  return data;
}

}  // namespace hone
