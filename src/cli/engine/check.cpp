// hone check: what a run would read and what it would cost, without training.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <iostream>
#include <numeric>

#include "base/file.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "cli/engine/environment.h"
#include "cli/engine/run.h"
#include "tune/batch_loader.h"
#include "tune/checkpoint.h"
#include "tune/machine.h"
#include "tune/parameters.h"
#include "tune/train_options.h"

namespace hone {
namespace {

constexpr int64_t kTrialSteps = 5;         // micro-batches run for the estimate, at most
constexpr double kTrialSeconds = 5;        // and no longer than this
constexpr double kForwardShare = 1 / 3.0;  // of a training step: one forward pass of the three products of each layer
constexpr int64_t kBars = 12, kBarWidth = 40;
constexpr size_t kShownRows = 20;

struct Lengths {
  int64_t samples = 0, tokens = 0, longest = 0;
};

Lengths lengths_of(const SplitAudit& audit) {
  Lengths out;
  for (size_t length = 0; length < audit.lengths.size(); ++length) {
    const int64_t count = audit.lengths[length];
    out.samples += count;
    out.tokens += count * static_cast<int64_t>(length);
    if (count > 0) out.longest = static_cast<int64_t>(length);
  }
  return out;
}

double share(int64_t part, int64_t whole) { return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole); }

// ---- the estimate ----

struct Trial {
  double tokens_per_second = 0;
  int64_t parameters = 0, memory = 0;
};

// Runs forward and backward on the longest micro-batches of the first epoch; no weight changes.
Trial try_steps(const RunConfig& config, const Prepared& prepared, const SampleStore& samples) {
  const auto pipeline =
      Pipeline::create(prepared.model_folder, prepared.tokenizer, prepared.task, static_cast<uint64_t>(config.train.seed));
  const Precision precision = resolve_precision(config.train.precision);
  pipeline->network().set_precision(precision);
  pipeline->network().train();
  const auto parameters = trainable_parameters(pipeline->network());
  Trial trial;
  for (const AdamWParameter& parameter : parameters) trial.parameters += parameter.value.numel();
  BatchLoader batches(samples,
                      Timeline(samples.lengths(), plan_options(config.train), config.train.num_train_epochs, config.train.max_steps),
                      static_cast<uint64_t>(config.train.seed), 0);
  int64_t tokens = 0;
  double seconds = 0;
  bool inside_step = false;
  for (int64_t step = 0; step < kTrialSteps && seconds < kTrialSeconds;) {
    const auto micro = batches.next();
    if (!micro && !std::exchange(inside_step, false)) break;  // two ends in a row: no step is left
    if (!micro) continue;
    inside_step = true;
    const auto start = std::chrono::steady_clock::now();
    prepared.task->forward_loss(pipeline->network(), micro->batch).sum.backward();
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (step++ == 0) continue;  // the first one also pays for first uses
    seconds += took;
    tokens += micro->tokens;
  }
  trial.tokens_per_second = seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
  trial.memory = peak_memory_bytes() + trial.parameters * 8;  // two moments in fp32 come with the first step
  return trial;
}

// Tokens that go through the network forward and backward, and forward alone.
std::pair<double, double> tokens_of_run(const RunConfig& config, Dataset& dataset, const SampleStore& samples, int64_t steps,
                                        double epochs) {
  const auto tokens = [&](const char* split) {
    return dataset.has(split) ? static_cast<double>(lengths_of(dataset.audits()[split]).tokens) : 0;
  };
  const double evaluations = config.train.eval_strategy == "epoch" ? epochs
                             : config.train.eval_strategy == "steps"
                                 ? static_cast<double>(steps / std::max<int64_t>(1, config.train.eval_steps))
                                 : 0;
  const double all = static_cast<double>(std::accumulate(samples.lengths().begin(), samples.lengths().end(), int64_t{0}));
  return {all * epochs, tokens("validation") * evaluations + tokens("test")};
}

Json estimate(const RunConfig& config, Prepared& prepared, const SampleStore& samples) {
  const Timeline timeline(samples.lengths(), plan_options(config.train), config.train.num_train_epochs, config.train.max_steps);
  const Trial trial = try_steps(config, prepared, samples);
  const auto [trained, evaluated] = tokens_of_run(config, prepared.dataset, samples, timeline.steps(), timeline.epochs());
  const double rate = std::max(trial.tokens_per_second, 1e-9);
  return {{"steps", timeline.steps()},
          {"parameters", trial.parameters},
          {"tokens_per_second", trial.tokens_per_second},
          {"seconds", trained / rate + evaluated * kForwardShare / rate},
          {"memory_bytes", trial.memory},
          {"disk_bytes", disk_needed(trial.parameters, config.train.save_strategy != "no")},
          {"free_disk_bytes", free_disk_bytes(config.output_dir)}};
}

// ---- as JSON and as text ----

Json leaks_json(const std::vector<Leak>& leaks) {
  Json list = Json::array();
  for (const Leak& leak : leaks) {
    Json examples = Json::array();
    for (const auto& [here, there] : leak.examples) examples.push_back({here.str(), there.str()});
    list.push_back({{"split", leak.split}, {"other", leak.other}, {"exact", leak.exact}, {"near", leak.near}, {"examples", examples}});
  }
  return list;
}

Json split_json(const SplitAudit& audit) {
  const Lengths lengths = lengths_of(audit);
  Json json = audit.json();
  json["samples"] = lengths.samples;
  json["tokens"] = lengths.tokens;
  json["longest"] = lengths.longest;
  json["truncated_share"] = share(audit.truncated, audit.used);
  return json;
}

std::string bar(int64_t count, int64_t most) {
  const int64_t width = most == 0 ? 0 : (count * kBarWidth + most - 1) / most;
  std::string text;
  for (int64_t i = 0; i < width; ++i) text += "█";
  return text;
}

std::string histogram(const std::vector<int64_t>& lengths) {
  const int64_t longest = static_cast<int64_t>(lengths.size()) - 1;
  const int64_t width = std::max<int64_t>(1, (longest + kBars) / kBars);
  std::vector<int64_t> counts(static_cast<size_t>(longest / width + 1));
  for (size_t length = 0; length < lengths.size(); ++length) counts[length / static_cast<size_t>(width)] += lengths[length];
  const int64_t most = *std::max_element(counts.begin(), counts.end());
  std::string text = "  tokens\n";
  for (size_t i = 0; i < counts.size(); ++i) {
    const int64_t first = static_cast<int64_t>(i) * width;
    text += fmt::format("  {:>5}-{:<5} {:>8}  {}\n", first, first + width - 1, counts[i], bar(counts[i], most));
  }
  return text;
}

std::string label_table(const std::map<std::string, int64_t>& labels) {
  std::vector<std::pair<int64_t, std::string>> sorted;
  size_t width = 0;
  for (const auto& [label, count] : labels) sorted.emplace_back(-count, label), width = std::max(width, label.size());
  std::sort(sorted.begin(), sorted.end());
  std::string text = "  labels\n";
  for (size_t i = 0; i < std::min(kShownRows, sorted.size()); ++i) {
    text += fmt::format("  {:<{}} {:>8}  {}\n", sorted[i].second, width, -sorted[i].first, bar(-sorted[i].first, -sorted.front().first));
  }
  if (sorted.size() > kShownRows) text += fmt::format("  … {} more in --json\n", sorted.size() - kShownRows);
  return text;
}

std::string split_text(const std::string& split, const SplitAudit& audit) {
  const Lengths lengths = lengths_of(audit);
  std::string text =
      fmt::format("{}: {} rows, {} used, {} dropped, {} repaired; {} truncated ({:.1f} %); {} samples, {} tokens, longest {}\n", split,
                  audit.rows, audit.used, audit.dropped, audit.repaired, audit.truncated, 100 * share(audit.truncated, audit.used),
                  lengths.samples, lengths.tokens, lengths.longest);
  for (size_t i = 0; i < std::min(kShownRows, audit.examples.size()); ++i)
    text += fmt::format("  {}: {}\n", audit.examples[i].where.str(), audit.examples[i].reason);
  if (audit.examples.size() > kShownRows) text += "  … more in --json\n";
  if (!audit.labels.empty()) text += label_table(audit.labels);
  if (!audit.lengths.empty()) text += histogram(audit.lengths);
  return text + "\n";
}

std::string leak_text(const std::vector<Leak>& leaks) {
  std::string text = leaks.empty() ? "leakage: none found\n" : "leakage\n";
  for (const Leak& leak : leaks) {
    text += fmt::format("  {} texts of {} stand in {}, {} more nearly so\n", leak.exact, leak.split, leak.other, leak.near);
    for (const auto& [here, there] : leak.examples) text += fmt::format("    {} = {}\n", here.str(), there.str());
  }
  return text;
}

std::string estimate_text(const Json& estimate) {
  const auto number = [&](const char* key) { return estimate[key].get<double>(); };
  return fmt::format(
      "\nestimate: {} steps, {:.1f}M parameters, {:.0f} tokens/s: about {:.0f} s; {:.2f} GB memory; {:.2f} GB disk of {:.0f} GB free\n",
      estimate["steps"].get<int64_t>(), number("parameters") / 1e6, number("tokens_per_second"), std::ceil(number("seconds")),
      number("memory_bytes") / 1e9, number("disk_bytes") / 1e9, number("free_disk_bytes") / 1e9);
}

}  // namespace

int run_check(const CLI::App& arguments) {
  const RunConfig config = RunConfig::load(text_of(arguments, "CONFIG"), list_of(arguments, "KEY=VALUE"));
  use_threads(config.train.threads);
  Prepared prepared = prepare(config);
  const TrainingData data = encode_data(config, prepared);
  Dataset& dataset = prepared.dataset;
  const Json cost = estimate(config, prepared, data.samples);
  if (flag_of(arguments, "--json")) {
    Json json = {{"data", Json::object()}, {"leakage", leaks_json(dataset.leaks())}, {"estimate", cost}};
    for (const auto& [split, audit] : dataset.audits()) json["data"][split] = split_json(audit);
    std::cout << json.dump() << '\n';
    return 0;
  }
  for (const std::string split : kSplits) {
    if (dataset.has(split)) std::cout << split_text(split, dataset.audits()[split]);
  }
  std::cout << leak_text(dataset.leaks()) << estimate_text(cost);
  return 0;
}

}  // namespace hone
