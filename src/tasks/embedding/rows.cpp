#include "tasks/embedding/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tasks/fields.h"
#include "tasks/labels.h"

namespace hone::embedding {
namespace {

// The texts of one field of negatives: a text, or a list of texts.
std::vector<std::string> negatives_in(const Record& record, const std::string& field) {
  const Json* value = find_field(record, field);
  if (value == nullptr) return {};
  if (value->is_string()) return {value->get<std::string>()};
  return need_strings(record, field);
}

void note(std::string& repair, const std::string& what) {
  repair += (repair.empty() ? "" : "; ") + what;
}

// Keeps those that can be negatives.
void add_negatives(const Record& record, const Options& options, Texts& texts) {
  int64_t left = 0, repeated = 0;
  for (const std::string& field : options.negative) {
    for (std::string& text : negatives_in(record, field)) {
      if (trimmed_label(text).empty()) continue;  // a cell that is not used
      const bool is_other = text != texts.anchor && text != texts.positive;
      if (!is_other) {
        note(texts.repair, fmt::format("a negative in \"{}\" is the {} itself, and left out", field,
                                       text == texts.anchor ? "anchor" : "positive"));
        continue;
      }
      if (std::find(texts.negatives.begin(), texts.negatives.end(), text) != texts.negatives.end())
        ++repeated;
      else if (static_cast<int64_t>(texts.negatives.size()) < options.max_negatives)
        texts.negatives.push_back(std::move(text));
      else
        ++left;
    }
  }
  if (repeated > 0)
    note(texts.repair,
         fmt::format("{} negatives are as others before them, and count once", repeated));
  if (left > 0)
    note(texts.repair, fmt::format("of {} negatives the first {} are used (max_negatives)",
                                   options.max_negatives + left, options.max_negatives));
}

}  // namespace

std::vector<std::string> Texts::list(size_t most) const {
  std::vector<std::string> all = {anchor};
  if (positive) {
    all.push_back(*positive);
    all.insert(all.end(), negatives.begin(), negatives.end());
  }
  all.resize(std::min(all.size(), most));
  return all;
}

Texts texts_of(const Record& record, const Options& options, bool is_whole) {
  Texts texts;
  texts.anchor = need_text(record, options.anchor);
  if (is_whole || find_field(record, options.positive) != nullptr)
    texts.positive = need_text(record, options.positive);
  if (options.ranks() && texts.positive) add_negatives(record, options, texts);
  return texts;
}

bool has_score(const Record& record, const Options& options) {
  return find_field(record, options.score) != nullptr;
}

bool has_label(const Record& record, const Options& options) {
  return find_field(record, options.label) != nullptr;
}

double need_score(const Record& record, const Options& options) {
  const Json& value = need_field(record, options.score);
  const std::optional<double> score = as_number(value);
  if (!score || !std::isfinite(static_cast<float>(*score)))
    throw field_error(record, options.score,
                      fmt::format("must be a number, but is {}", dump(value)));
  if (options.loss == Objective::kCosine && std::abs(*score) > options.max_score)
    throw field_error(
        record, options.score,
        fmt::format("is {}, but no cosine reaches beyond {} and -{}; where scores go up to "
                    "another number, say it: \"task.max_score\"",
                    *score, options.max_score, options.max_score));
  return *score;
}

bool need_label(const Record& record, const Options& options) {
  const Json& value = need_field(record, options.label);
  if (value.is_boolean()) return value.get<bool>();
  const std::optional<double> number = as_number(value);
  if (number && (*number == 0 || *number == 1)) return *number == 1;
  throw field_error(
      record, options.label,
      fmt::format("must be 1 (the texts belong together) or 0, but is {}", dump(value)));
}

}  // namespace hone::embedding
