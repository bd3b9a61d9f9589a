#include "tasks/metrics/text/text_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <set>

#include "tasks/metrics/text/text_metric.h"

namespace hone::metrics {
namespace {

void check_metric_names(const Config& section, const std::vector<std::string>& names) {
  std::set<std::string> seen;
  for (const std::string& name : names) {
    const std::vector<std::string> known = text_metrics().names();
    if (text_metrics().find(name) == nullptr)
      throw section.error("metrics",
                          fmt::format("\"metrics\" has \"{}\"{}; known: {}", name,
                                      did_you_mean(name, known), fmt::join(known, ", ")));
    if (!seen.insert(name).second)
      throw section.error("metrics", fmt::format("\"metrics\" has \"{}\" twice", name));
  }
  if (!names.empty() && text_metrics().named(names.front()).main == nullptr)
    throw section.error("metrics",
                        fmt::format("\"{}\" cannot stand first in \"metrics\": the first one says "
                                    "which texts are better",
                                    names.front()));
}

bool takes_value(BleuSmoothing smoothing) {
  return smoothing == BleuSmoothing::kFloor || smoothing == BleuSmoothing::kAddK;
}

}  // namespace

const std::vector<std::string>& option_names(Script) {
  static const std::vector<std::string> kNames = {"auto", "words", "characters"};
  return kNames;
}

const std::vector<std::string>& option_names(BleuTokenizer) {
  static const std::vector<std::string> kNames = {"auto", "13a", "zh", "char", "intl", "none"};
  return kNames;
}

const std::vector<std::string>& option_names(BleuSmoothing) {
  static const std::vector<std::string> kNames = {"exp", "floor", "add-k", "none"};
  return kNames;
}

const std::vector<std::string>& option_names(RougeWords) {
  static const std::vector<std::string> kNames = {"auto", "ascii", "unicode"};
  return kNames;
}

void TextOptions::check(const Config& section) const {
  check_metric_names(section, metrics);
  if (!std::isfinite(bleu_smooth_value) || bleu_smooth_value < 0)
    throw section.error("bleu_smooth_value", "\"bleu_smooth_value\" must be a number, 0 or more");
  if (bleu_smooth_value > 0 && !takes_value(bleu_smooth))
    throw section.error("bleu_smooth_value",
                        "\"bleu_smooth_value\" is of bleu_smooth floor and add-k; the others have "
                        "no value");
  if (lead_sentences < 0)
    throw section.error(
        "lead_sentences",
        fmt::format("\"lead_sentences\" is {}; it must be a number, 0 or more", lead_sentences));
  if (oracle_sentences < 0)
    throw section.error("oracle_sentences",
                        fmt::format("\"oracle_sentences\" is {}; it must be a number, 0 or more",
                                    oracle_sentences));
}

}  // namespace hone::metrics
