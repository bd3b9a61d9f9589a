#include "tasks/causal_lm/options.h"

#include <fmt/format.h>

#include "tasks/causal_lm/scorer.h"

namespace hone::causal_lm {
namespace {

void refuse_below(Config& section, const char* key, int64_t value, int64_t least) {
  if (value < least)
    throw section.error(
        key, fmt::format("\"{}\" is {}; it must be a number, {} or more", key, value, least));
}

// A result has names of its own, which the texts of a row must not have.
void refuse_names_of_results(Config& section, const Options& o) {
  for (const auto& [key, name] : {std::pair("messages", o.messages), std::pair("prompt", o.prompt),
                                  std::pair("text", o.text)}) {
    for (const char* taken :
         {kLoss, kTokens, kBytes, kByAnswer, kByPosition, kAnswer, kAnswerTokens, kFinishReason}) {
      if (name == taken)
        throw section.error(key, fmt::format("results use the name \"{}\" themselves; map the "
                                             "field to another name",
                                             name));
    }
  }
}

void check_scores(Config& section, const Options& o) {
  o.scores.check(section);
  if (!o.scores_answers()) return;
  refuse_below(section, "generate_rows", o.generate_rows, 1);
  if (o.form == Form::kText)
    throw section.error("metrics",
                        "\"metrics\" compares answers with gold ones, which rows of the form "
                        "\"text\" do not have; their metric is perplexity");
}

}  // namespace

const std::vector<std::string>& option_names(Form) {
  static const std::vector<std::string> names = {"messages", "completion", "text"};
  return names;
}

const std::vector<std::string>& option_names(TrainOn) {
  static const std::vector<std::string> names = {"answers", "last_answer", "all"};
  return names;
}

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  for_each_option(o, OptionReader(section, {"max_seq_length"}));
  o.max_seq_length = max_seq_length;
  refuse_below(section, "turns", o.turns, 0);
  refuse_below(section, "stride", o.stride, 1);
  refuse_below(section, "generate_rows", o.generate_rows, 0);
  if (o.turns > 0 && o.train_on == TrainOn::kAll)
    throw section.error("turns",
                        "\"turns\" makes a sample of each answer, in which its history must have "
                        "no loss; \"train_on\" is \"all\"");
  refuse_names_of_results(section, o);
  check_scores(section, o);
  o.generation.finish_reading(section);
  return o;
}

}  // namespace hone::causal_lm
