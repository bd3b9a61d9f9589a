// For the parity tests of tasks: requests as JSON lines on standard input, one answer a line.
//
//   {"do": "score", "task", "options", "gold": [record, …], "predicted": [result, …]}        ->
//   {"report", "text"}
//   {"do": "encode", "model", "task", "options", "longest", "records": [record, …]}          ->
//   [{"ids", "segments", "words", "truncated", "targets"}, …]
//   {"do": "step", "model", "task", "options", "longest", "records", "out"}                  ->
//   {"loss", "count"}; out/model is the saved pipeline,
//       out/tensors.safetensors its logits ("logits.1" a second output) and "grad.<weight>", from
//       one packed batch of all records, without dropout; of task mlm "masked.…" too, what stands
//       in the tokens' place
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <iostream>

#include "models/weights.h"
#include "tasks/mlm/masks.h"
#include "tasks/pipeline.h"

namespace {

using namespace hone;

std::vector<Record> records_of(const Json& list) {
  const auto file = std::make_shared<const std::string>("request");
  std::vector<Record> records;
  for (const Json& fields : list)
    records.push_back({fields, file, static_cast<int64_t>(records.size()) + 1});
  return records;
}

std::shared_ptr<Task> make_task(const Json& request) {
  Config options = Config::from_json(request.value("options", Json::object()), "options");
  std::shared_ptr<Task> task = task_named(request.at("task").get<std::string>())
                                   .make(options, request.value("longest", int64_t{0}));
  options.refuse_unknown();
  return task;
}

std::shared_ptr<Task> make_learned(const Json& request, const std::vector<Record>& records,
                                   const Tokenizer& tokenizer) {
  auto task = make_task(request);
  task->begin_from(request.at("model").get<std::string>(), request.value("longest", 0) > 0);
  for (const Record& record : records) {
    task->learn(record);
    task->learn_tokens(record, tokenizer);
  }
  task->finish_learning();
  return task;
}

Json score(const Json& request) {
  const auto scorer = make_task(request)->make_scorer();
  const std::vector<Record> gold = records_of(request.at("gold"));
  for (size_t i = 0; i < gold.size(); ++i) scorer->add(gold[i], request.at("predicted").at(i));
  const Report report = scorer->report();
  return {{"report", report.json()}, {"text", report_text(report, {})}};
}

Json encode(const Json& request) {
  const std::vector<Record> records = records_of(request.at("records"));
  const auto tokenizer = Tokenizer::load(request.at("model").get<std::string>());
  const auto task = make_learned(request, records, *tokenizer);
  Json answer = Json::array();
  for (const Record& record : records) {
    bool truncated = false;
    for (const Sample& sample : task->encode(record, *tokenizer, true, &truncated)) {
      Json targets = Json::object();
      for (const Target& target : sample.targets) targets[target.name] = target.values;
      const Sequence& s = sample.streams.at(0);
      answer.push_back({{"ids", s.ids},
                        {"segments", s.segments},
                        {"words", s.words},
                        {"truncated", truncated},
                        {"targets", targets}});
    }
  }
  return answer;
}

Loss loss_of_logits(Pipeline& pipeline, const Batch& batch, const Json& request,
                    StateDict& tensors) {
  const Outputs logits = pipeline.network().forward(batch);
  tensors["logits"] = logits[0].detach();
  for (size_t i = 1; i < logits.all().size(); ++i)
    tensors[fmt::format("logits.{}", i)] = logits[i].detach();
  return pipeline.task().loss(logits, batch, {request.value("label_smoothing", 0.0)});
}

// As the loop takes it; logits of the same tokens beside it.
Loss masked_loss(Pipeline& pipeline, const Batch& batch, StateDict& tensors) {
  const Json state = pipeline.task().state();
  const mlm::Masked masked = mlm::fixed_masks(
      batch, {state.at("options").at("mlm_probability").get<double>(),
              state.at("mask_id").get<int32_t>(), state.at("vocabulary").get<int64_t>()});
  const Packed& stream = masked.batch.streams.front();
  tensors = {{"logits", pipeline.network().forward(masked.batch)[0].detach()},
             {"masked.ids", stream.ids},
             {"masked.segments", stream.segments},
             {"masked.ends", stream.cu_seqlens.to(at::kLong)},
             {"masked.rows", masked.rows},
             {"masked.targets", masked.targets}};
  return pipeline.task().forward_loss(pipeline.network(), batch);
}

Json step(const Json& request) {
  const std::vector<Record> records = records_of(request.at("records"));
  const std::string model = request.at("model").get<std::string>(),
                    out = request.at("out").get<std::string>();
  const auto tokenizer = Tokenizer::load(model);
  const auto pipeline =
      Pipeline::create(model, tokenizer, make_learned(request, records, *tokenizer), 3);
  pipeline->save(out + "/model");
  pipeline->network().eval();
  std::vector<Sample> samples;
  std::vector<int64_t> indices;
  for (const Record& record : records) {
    for (Sample& sample : pipeline->task().encode(record, pipeline->tokenizer(), true))
      samples.push_back(std::move(sample));
    while (indices.size() < samples.size()) indices.push_back(static_cast<int64_t>(indices.size()));
  }
  const Batch batch = collate(samples, indices, 0);
  StateDict tensors;
  const Loss loss = pipeline->info().name == std::string("mlm")
                        ? masked_loss(*pipeline, batch, tensors)
                        : loss_of_logits(*pipeline, batch, request, tensors);
  loss.sum.backward();
  for (const auto& [name, weight] : pipeline->network().weights())
    tensors["grad." + name] = pipeline->config().stored(name, weight.grad()) / loss.count;
  write_safetensors(out + "/tensors.safetensors", tensors);
  return {{"loss", loss.sum.item<double>() / loss.count}, {"count", loss.count}};
}

Json answer(const Json& request) {
  const std::string what = request.at("do").get<std::string>();
  if (what == "score") return score(request);
  if (what == "encode") return encode(request);
  if (what == "step") return step(request);
  throw Error(ErrorKind::kUsage, "unknown request " + what);
}

}  // namespace

int main() try {
  for (std::string line; std::getline(std::cin, line);)
    std::cout << answer(Json::parse(line)).dump() << std::endl;
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "task_probe: {}\n", error.what());
  return 1;
}
