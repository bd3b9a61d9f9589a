// For the parity tests and bench/generation.py: a model that answers prompts of tokens.
//
//   generation_probe MODEL_FOLDER [fp32|bf16|int8 [THREADS]]
//
// Reads jobs, a JSON line each, and answers each with a line:
//   {"prompts": [[1, 5, …], …], "seeds": [7, …], "options": {"num_beams": 4, …}, "max_tokens": N}
//     -> {"answers": [{"ids", "end", "reason", "score", "failure"}, …], "seconds": 1.2}
// An encoder-decoder's jobs have "sources" too, a list of tokens for each prompt, or "states",
// an encoder's [rows][hidden] for each (Whisper).
//   {"scores": [0.1, …], "ids": [1, 5, …], "prompt": 2, "room": 8, "options": {…}}
//     -> {"scores": [0.1, null, …]}: what the rules make of them; null: forbidden
// MODEL_FOLDER "-": jobs of the second kind alone.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>

#include "base/json.h"
#include "models/generation/logit_rules.h"
#include "models/layers/packed_weights.h"
#include "tasks/causal_decoder.h"
#include "tasks/causal_lm_head.h"
#include "tasks/generation_options.h"
#include "tasks/options.h"
#include "tasks/pretrained.h"
#include "tasks/source_decoder.h"
#include "tasks/writing.h"

namespace {

using namespace hone;
using Clock = std::chrono::steady_clock;

struct JobOptions {
  GenerationSettings generation;
};

template <typename Options, typename Visitor>
void for_each_option(Options& o, Visitor&& visit) {
  for_each_generation_option(o.generation, visit);
}

GenerationOptions options_of(const Json& job) {
  return options_from<JobOptions>(job.value("options", Json::object())).generation.tokens;
}

std::shared_ptr<Network> load(const std::string& folder) {
  ModelConfig config = ModelConfig::load(folder);
  StateDict weights = load_state_dict(folder);
  settle_copies(config, weights, folder);
  auto network = std::make_shared<Network>(
      make_backbone(config),
      std::make_shared<CausalLmHead>(config, config.encoder_decoder ? size_t{2} : size_t{1}));
  const LoadReport report =
      load_into(network->stored_weights(), weights, config.base_prefix, folder);
  for (const std::string& name : report.missing) {
    if (!config.is_computed(name) && name != config.causal_lm->bias)
      throw Error(ErrorKind::kModel, {folder}, "a weight is missing: " + name);
  }
  network->eval();
  return network;
}

Precision precision_of(const std::string& name) {
  return name == "bf16" ? Precision::kBf16 : name == "int8" ? Precision::kInt8 : Precision::kFp32;
}

Json answer_json(const Generated& answer) {
  return {{"ids", answer.ids},
          {"end", answer.end ? Json(*answer.end) : Json()},
          {"reason", finish_reason_name(answer.reason)},
          {"score", answer.score},
          {"failure", answer.failure ? Json(answer.failure->what()) : Json()}};
}

Packed packed_states(const std::vector<at::Tensor>& of_prompts,
                     const std::vector<size_t>& prompts) {
  Packed packed = pack_new({}, KeyValueCache(1));
  if (prompts.empty()) return packed;
  std::vector<at::Tensor> rows;
  std::vector<int32_t> ends = {0};
  for (const size_t prompt : prompts) {
    rows.push_back(of_prompts.at(prompt));
    ends.push_back(ends.back() + static_cast<int32_t>(rows.back().size(0)));
  }
  packed.features = at::cat(rows);
  packed.cu_seqlens = packed.feature_ends = at::tensor(ends, at::kInt);
  packed.ids = at::zeros({packed.features.size(0)}, at::kLong);
  return packed;
}

std::unique_ptr<StepDecoder> decoder_of_states(Network& network, const Json& states) {
  std::vector<at::Tensor> of_prompts;
  for (const Json& rows : states) {
    std::vector<float> values;
    for (const Json& row : rows) {
      for (const Json& value : row) values.push_back(value.get<float>());
    }
    of_prompts.push_back(
        at::tensor(values, at::kFloat).view({static_cast<int64_t>(rows.size()), -1}));
  }
  return std::make_unique<SourceDecoder>(network, [of_prompts](const std::vector<size_t>& prompts) {
    return packed_states(of_prompts, prompts);
  });
}

Json answer_prompts(Network& network, const Json& job) {
  std::vector<Prompt> prompts;
  for (const Json& ids : job.at("prompts")) prompts.push_back({ids.get<std::vector<int32_t>>()});
  const Json seeds = job.value("seeds", Json::array());
  for (size_t i = 0; i < seeds.size(); ++i) prompts.at(i).seed = seeds[i].get<int64_t>();
  const Json sources = job.value("sources", Json::array());
  for (size_t i = 0; i < sources.size(); ++i)
    prompts.at(i).source = sources[i].get<std::vector<int32_t>>();
  const std::unique_ptr<StepDecoder> decoder = job.contains("states")
                                                   ? decoder_of_states(network, job.at("states"))
                                                   : make_decoder(network, prompts);
  const Clock::time_point start = Clock::now();
  Json answers = Json::array();
  for (const Generated& answer : generate(*decoder, prompts, options_of(job),
                                          {.max_tokens = job.value("max_tokens", int64_t{2048})}))
    answers.push_back(answer_json(answer));
  const std::chrono::duration<double> seconds = Clock::now() - start;
  return {{"answers", std::move(answers)}, {"seconds", seconds.count()}};
}

Json apply_to_scores(const Json& job) {
  auto scores = job.at("scores").get<std::vector<float>>();
  const auto ids = job.at("ids").get<std::vector<int32_t>>();
  apply_rules(options_of(job),
              {ids, job.at("prompt").get<int64_t>(), job.at("room").get<int64_t>()}, scores);
  Json left = Json::array();
  for (const float score : scores) left.push_back(std::isinf(score) ? Json() : Json(score));
  return {{"scores", std::move(left)}};
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::fputs("usage: generation_probe MODEL_FOLDER [fp32|bf16|int8 [THREADS]]\n", stderr);
    return 2;
  }
  if (argc > 3) at::set_num_threads(std::stoi(argv[3]));
  std::shared_ptr<Network> network;
  std::optional<PackedWeights> packed;  // for all jobs, as a program has it that writes on
  if (std::string(argv[1]) != "-") {
    network = load(argv[1]);
    network->set_precision(precision_of(argc > 2 ? argv[2] : "fp32"));
    packed.emplace(*network);
  }
  for (std::string line; std::getline(std::cin, line);) {
    const Json job = Json::parse(line);
    const Json result =
        job.contains("scores") ? apply_to_scores(job) : answer_prompts(*network, job);
    std::cout << to_text(result) << std::endl;
  }
  return 0;
} catch (const hone::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return static_cast<int>(error.kind());
}
