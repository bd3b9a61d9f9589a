// For the parity tests: a short training run with everything written down that another program
// needs to repeat it.
//
//   train_probe run CONFIG.yaml FOLDER    keys: model, name (task), task, train, data (JSONL),
//     peft
//     FOLDER/initial, FOLDER/final   models before and after, as Hugging Face folders
//     FOLDER/run.json                samples (ids, segments, targets), steps (sample indices),
//     events (loss, norm, rate of each step) FOLDER/metrics.jsonl, FOLDER/tensorboard
//   train_probe schedule TYPE WARMUP TOTAL POWER END_FACTOR    the factor of each step, one a line
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "base/file.h"
#include "data/reader.h"
#include "tasks/pipeline.h"
#include "tune/metrics_log.h"
#include "tune/schedule.h"
#include "tune/tensorboard.h"
#include "tune/timeline.h"
#include "tune/train_options.h"
#include "tune/trainer.h"

namespace {

using namespace hone;

std::vector<Record> read_records(const std::string& path) {
  SourceOptions source;
  source.path = path;
  const auto reader = open_reader(source);
  std::vector<Record> records;
  while (auto record = reader->next()) records.push_back(std::move(*record));
  return records;
}

Json described(const Sample& sample) {
  Json targets = Json::object();
  for (const Target& target : sample.targets) targets[target.name] = target.values;
  Json json = {{"ids", sample.streams.at(0).ids},
               {"segments", sample.streams.at(0).segments},
               {"targets", targets}};
  if (sample.streams.size() > 1) json["decoder_ids"] = sample.streams.at(1).ids;
  return json;
}

Json described(const SampleStore& store, Timeline timeline) {
  Json samples = Json::array(), steps = Json::array();
  for (int64_t i = 0; i < store.size(); ++i) samples.push_back(described(store.get(i)));
  for (int64_t step = 0; step < timeline.steps(); ++step)
    steps.push_back(timeline.micro_batches(step));
  return {{"samples", samples}, {"steps", steps}};
}

void run(const std::string& config_path, const std::string& folder) {
  Config config = Config::load(config_path, {});
  Config train_section = config.section("train"), task_section = config.section("task");
  const TrainOptions options = TrainOptions::read(train_section);
  const std::string model = config.require("model");
  std::optional<PeftOptions> peft;
  if (config.has("peft")) {
    Config section = config.section("peft");
    peft = PeftOptions::read(section);
    peft->base = model;
  }
  const auto records = read_records(config.require("data"));
  const auto tokenizer = Tokenizer::load(model);
  std::shared_ptr<Task> task =
      task_named(config.require("name"))
          .make(task_section,
                sequence_limit(ModelConfig::load(model), *tokenizer, options.max_seq_length));
  config.refuse_unknown();

  task->begin_from(model, options.max_seq_length > 0);
  for (const Record& record : records) {
    task->learn(record);
    task->learn_tokens(record, *tokenizer);
  }
  task->finish_learning();
  SampleStore store;
  for (size_t i = 0; i < records.size(); ++i) {
    for (Sample& sample : task->encode(records[i], *tokenizer, true)) {
      sample.record = static_cast<int64_t>(i);
      store.add(sample);
    }
  }
  store.seal();
  const auto pipeline =
      Pipeline::create(model, tokenizer, task, static_cast<uint64_t>(options.seed), {}, peft);
  std::filesystem::create_directories(folder);
  pipeline->save(folder + "/initial");

  Json story = described(store, Timeline(store.lengths(), plan_options(options),
                                         options.num_train_epochs, options.max_steps));
  story["events"] = Json::array();
  const Listener keep = [&](const Event& event) {
    if (const auto* s = std::get_if<Stepped>(&event)) {
      story["events"].push_back({{"loss", s->loss},
                                 {"gradient_norm", s->gradient_norm},
                                 {"learning_rate", s->learning_rate}});
    }
  };
  TrainerInputs inputs;
  inputs.pipeline = pipeline.get();
  inputs.train = &store;
  inputs.where_of = [&](int64_t record) { return records[static_cast<size_t>(record)].where(); };
  inputs.evaluate = [&] {
    Evaluation evaluation = pipeline->evaluate(records);
    return std::pair(evaluation.report, evaluation.loss);
  };
  inputs.output_dir = folder;
  train(inputs, options,
        {keep, metrics_log(folder + "/metrics.jsonl"), tensorboard_log(folder + "/tensorboard")});
  pipeline->save(folder + "/final");
  write_file(folder + "/run.json", story.dump());
}

void print_schedule(char** argv) {
  ScheduleOptions options;
  options.type = argv[2];
  options.warmup_steps = std::stoll(argv[3]);
  options.total_steps = std::stoll(argv[4]);
  options.power = std::stod(argv[5]);
  options.end_factor = std::stod(argv[6]);
  const auto schedule = make_schedule(options);
  for (int64_t step = 0; step <= options.total_steps; ++step)
    fmt::print("{:.17g}\n", schedule(step));
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "run" && argc == 4) {
    run(argv[2], argv[3]);
  } else if (command == "schedule" && argc == 7) {
    print_schedule(argv);
  } else {
    std::fputs(
        "usage: train_probe run CONFIG.yaml FOLDER | schedule TYPE WARMUP TOTAL POWER END_FACTOR\n",
        stderr);
    return 2;
  }
  return 0;
} catch (const hone::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.kind());
}
