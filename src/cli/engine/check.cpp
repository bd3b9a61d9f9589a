// hone check: what a run would read and what it would cost, without training.
#include "run/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <utility>

#include "base/console.h"
#include "base/file.h"
#include "base/kept_sums.h"
#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "run/add_tokens.h"

namespace hone {
namespace {

constexpr int64_t kBars = 12, kBarWidth = 40;
constexpr size_t kShownLabels = 20;

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

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// Of a folder without checksums: later runs see what has changed since.
void keep_sums_of(const std::string& folder) {
  const bool is_of_hub = std::filesystem::is_symlink(folder + "/config.json");
  if (!is_of_hub && !std::filesystem::exists(folder + "/hone.json")) keep_sums(folder);
}

// ---- as JSON and as text ----

Json split_json(const SplitAudit& audit) {
  const Lengths lengths = lengths_of(audit);
  Json json = audit.json();
  json["samples"] = lengths.samples;
  json["tokens"] = lengths.tokens;
  json["longest"] = lengths.longest;
  json["truncated_share"] = share(audit.truncated, audit.used);
  json["unknown_share"] = audit.unknown_share();
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
  for (size_t length = 0; length < lengths.size(); ++length)
    counts[length / static_cast<size_t>(width)] += lengths[length];
  const int64_t most = *std::max_element(counts.begin(), counts.end());
  std::string text = "  tokens\n";
  for (size_t i = 0; i < counts.size(); ++i) {
    const int64_t first = static_cast<int64_t>(i) * width;
    text += fmt::format("  {:>5}-{:<5} {:>8}  {}\n", first, first + width - 1, counts[i],
                        bar(counts[i], most));
  }
  return text;
}

std::string label_table(const std::map<std::string, int64_t>& labels) {
  std::vector<std::pair<int64_t, std::string>> sorted;
  size_t width = 0;
  for (const auto& [label, count] : labels) sorted.emplace_back(-count, console::printable(label));
  for (const auto& [count, label] : sorted) width = std::max(width, label.size());
  std::sort(sorted.begin(), sorted.end());
  std::string text = "  labels\n";
  for (size_t i = 0; i < std::min(kShownLabels, sorted.size()); ++i) {
    text += fmt::format("  {:<{}} {:>8}  {}\n", sorted[i].second, width, -sorted[i].first,
                        bar(-sorted[i].first, -sorted.front().first));
  }
  if (sorted.size() > kShownLabels)
    text += fmt::format("  … {} more in --json\n", sorted.size() - kShownLabels);
  return text;
}

// All that the audit names of `all` rows.
std::string rows_text(const char* what, const std::vector<BadRow>& rows, int64_t all) {
  if (rows.empty()) return "";
  std::string text = fmt::format("  {}\n", what);
  for (const BadRow& row : rows)
    text += console::printable(fmt::format("  {}: {}", row.where.str(), row.reason)) + "\n";
  const int64_t more = all - static_cast<int64_t>(rows.size());
  return more > 0 ? text + fmt::format("  … and {} more\n", more) : text;
}

std::string conflicts_text(const Conflicts& conflicts) {
  if (conflicts.texts == 0) return "";
  std::string text = fmt::format("  equal texts with different labels: {} in {} rows\n",
                                 conflicts.texts, conflicts.rows);
  for (const auto& [first, other] : conflicts.examples)
    text += console::printable(fmt::format("    {} = {}", first.str(), other.str())) + "\n";
  return text;
}

std::string split_text(const std::string& split, const SplitAudit& audit) {
  const Lengths lengths = lengths_of(audit);
  std::string text = fmt::format(
      "{}: {} rows, {} used, {} dropped, {} repaired; {} truncated ({:.1f} %); {} samples, {} "
      "tokens, longest {}\n",
      split, audit.rows, audit.used, audit.dropped, audit.repaired, audit.truncated,
      100 * share(audit.truncated, audit.used), lengths.samples, lengths.tokens, lengths.longest);
  text += fmt::format("  unknown tokens: {} of {} ({:.1f} %)\n", audit.unknown_tokens,
                      audit.text_tokens, 100 * audit.unknown_share());
  text += rows_text("left out", audit.examples, audit.dropped);
  text += rows_text("used after a repair", audit.repairs, audit.repaired);
  text += conflicts_text(audit.conflicts);
  if (!audit.labels.empty()) text += label_table(audit.labels);
  if (!audit.lengths.empty()) text += histogram(audit.lengths);
  return text + "\n";
}

std::string leak_text(const std::vector<Leak>& leaks) {
  std::string text = leaks.empty() ? "leakage: none found\n" : "leakage\n";
  for (const Leak& leak : leaks) {
    text += fmt::format("  {} texts of {} stand in {} ({} with other labels), {} more nearly so\n",
                        leak.exact, leak.split, leak.other, leak.relabelled, leak.near);
    for (const LeakExample& e : leak.examples) {
      text += console::printable(fmt::format("    {} = {} ({:.0f} % alike): {}", e.here.str(),
                                             e.there.str(), 100 * e.similarity, e.text)) +
              "\n";
    }
  }
  return text;
}

Json checked_json(const RunConfig& config, Checked& checked) {
  RunDataset& dataset = checked.prepared.data;
  Json json = {
      {"data", Json::object()}, {"leaks", Json::array()}, {"estimate", checked.cost.json()}};
  if (!config.stage.empty()) json["name"] = config.stage;
  for (const Leak& leak : dataset.leaks()) json["leaks"].push_back(leak.json());
  json["estimate"]["free_disk_bytes"] = free_disk_bytes(config.output_dir);
  for (const auto& [split, audit] : dataset.audits()) json["data"][split] = split_json(*audit);
  if (checked.baseline) json["baseline"] = checked.baseline->json();
  return json;
}

std::string checked_text(const RunConfig& config, Checked& checked) {
  RunDataset& dataset = checked.prepared.data;
  std::string text;
  for (const auto& [split, audit] : dataset.audits()) text += split_text(split, *audit);
  return text + leak_text(dataset.leaks()) + "\nestimate\n" + checked.cost.text() +
         fmt::format("free    {:.0f} MB\n",
                     static_cast<double>(free_disk_bytes(config.output_dir)) / 1e6) +
         (checked.baseline ? "\n" + checked.baseline->text() : "");
}

// Nothing where it is not asked for.
std::optional<AddedTokens> added_tokens(const CLI::App& arguments, const RunConfig& config) {
  const std::string folder = text_of(arguments, "--add-tokens");
  if (folder.empty()) return std::nullopt;
  return add_tokens(config, folder, number_of(arguments, "--least"));
}

}  // namespace

// The first stage's model stands in for those that are not there yet.
int run_check(const CLI::App& arguments) {
  const RunConfig config =
      RunConfig::load(text_of(arguments, "CONFIG"), list_of(arguments, "KEY=VALUE"));
  const bool as_json = flag_of(arguments, "--json");
  Json stages = Json::array();
  for (RunConfig stage : config.stages) {
    stage.model = config.model;
    Checked checked = check(stage);
    if (as_json) stages.push_back(checked_json(stage, checked));
    if (!as_json)
      std::cout << "stage " << stage.stage << "\n\n" << checked_text(stage, checked) << '\n';
  }
  Checked checked = check(config, flag_of(arguments, "--baseline"));
  keep_sums_of(checked.prepared.model_folder);
  const std::optional<AddedTokens> added = added_tokens(arguments, config);
  if (!as_json) {
    std::cout << checked_text(config, checked) << (added ? "\n" + added->text() : "");
    return 0;
  }
  Json json = checked_json(config, checked);
  if (added) json["added_tokens"] = added->json();
  if (!stages.empty()) json["stages"] = std::move(stages);
  std::cout << to_text(json) << '\n';
  return 0;
}

}  // namespace hone
