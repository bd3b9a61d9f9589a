#include "run/ensemble.h"

#include <fmt/format.h>

#include <filesystem>
#include <iostream>

#include "cli/arguments.h"
#include "cli/engine/engine.h"
#include "tune/machine.h"

namespace hone {
namespace {

struct EnsembleWords {
  std::vector<std::string> models, task, data;  // KEY=VALUE without "task." and "data."
};

// A folder may have "=" in its name; what is no folder and has one is KEY=VALUE.
EnsembleWords words_in(const CLI::App& arguments) {
  EnsembleWords words;
  for (const std::string& word : list_of(arguments, "MODEL")) {
    if (word.find('=') == std::string::npos || std::filesystem::exists(word))
      words.models.push_back(word);
    else if (word.starts_with("task."))
      words.task.push_back(word.substr(5));
    else
      words.data.push_back(word.starts_with("data.") ? word.substr(5) : word);
  }
  return words;
}

// Cleaned as the models' training data were, unless KEY=VALUE says otherwise.
std::optional<Reading> reading_in(const std::string& path, const EnsembleWords& given) {
  if (path.empty() && given.data.empty()) return std::nullopt;
  if (path.empty())
    throw Error(ErrorKind::kUsage, fmt::format("{}: says how data are read, but --data names none",
                                               given.data.front()));
  std::vector<std::string> words = given.data;
  words.emplace_back("path=\"-\"");
  Config config = Config::parse("", "command line", words);
  Config clean = config.section("clean");
  Reading reading{SourceOptions::read(config),
                  CleanOptions::read(clean, Pipeline::load(given.models.front())->clean())};
  config.refuse_unknown();
  reading.source.path = path;
  return reading;
}

Json ingredients_json(const Ensemble& ensemble) {
  Json list = Json::array();
  for (const Ingredient& one : ensemble.ingredients) {
    Json json = {{"model", one.model}, {"is_in", one.is_in}};
    if (!ensemble.metric.empty()) json.update(Json{{"score", one.score}, {"with_it", one.with_it}});
    list.push_back(std::move(json));
  }
  return list;
}

void print_ingredients(const Ensemble& ensemble) {
  if (ensemble.metric.empty()) return;
  for (const Ingredient& one : ensemble.ingredients)
    std::cout << fmt::format("{}  {} {:.4f}, the soup with it {:.4f}: {}\n", one.model,
                             ensemble.metric, one.score, one.with_it,
                             one.is_in ? "in" : "left out");
}

}  // namespace

int run_ensemble(const CLI::App& arguments) {
  const std::string out = text_of(arguments, "OUT"), as = text_of(arguments, "--as");
  const EnsembleWords words = words_in(arguments);
  if (words.models.size() < 2) throw Error(ErrorKind::kUsage, "an ensemble has two models or more");
  use_threads(number_of(arguments, "--threads"));
  const Ensemble ensemble =
      make_ensemble(words.models,
                    as == "soup"          ? EnsembleAs::kSoup
                    : as == "greedy-soup" ? EnsembleAs::kGreedySoup
                                          : EnsembleAs::kProbabilities,
                    reading_in(text_of(arguments, "--data"), words), {.task = words.task},
                    number_of(arguments, "--max-tokens"), out);
  if (flag_of(arguments, "--json")) {
    std::cout << to_text(Json{{"model", out},
                              {"metric", ensemble.metric},
                              {"models", ingredients_json(ensemble)}})
              << '\n';
  } else {
    print_ingredients(ensemble);
    std::cout << "model   " << out << '\n';
  }
  return 0;
}

}  // namespace hone
