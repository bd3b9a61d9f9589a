#include "tasks/seq2seq/options.h"

#include <fmt/format.h>

#include "tasks/seq2seq/scorer.h"

namespace hone::seq2seq {
namespace {

void refuse_below(Config& section, const char* key, int64_t value, int64_t least) {
  if (value < least)
    throw section.error(
        key, fmt::format("\"{}\" is {}; it must be a number, {} or more", key, value, least));
}

// A length that special tokens leave room in, and that the model has positions for.
void check_length(Config& section, const char* key, int64_t value, int64_t most) {
  constexpr int64_t kLeast = 4;
  if (value == 0) return;
  refuse_below(section, key, value, kLeast);
  if (most > 0 && value > most)
    throw section.error(key, fmt::format("\"{}\" is {}, but the longest sequence has {} tokens "
                                         "(train.max_seq_length, or the model's own limit)",
                                         key, value, most));
}

void check_fields(Config& section, const Options& o) {
  if (o.source == o.target)
    throw section.error("target",
                        fmt::format("\"source\" and \"target\" are both \"{}\"", o.target));
  for (const char* taken : {kLoss, kTokens, kAnswerTokens, kFinishReason}) {
    if (o.target == taken || o.source == taken)
      throw section.error(o.target == taken ? "target" : "source",
                          fmt::format("results use the name \"{}\" themselves; map the field to "
                                      "another name",
                                      taken));
  }
}

void check_languages(Config& section, const Options& o) {
  if (o.source_language.empty() != o.target_language.empty())
    throw section.error(o.source_language.empty() ? "target_language" : "source_language",
                        "\"source_language\" and \"target_language\" go together");
}

// What a goal has where the section does not say.
void take_usual(Config& section, Options& o) {
  const std::vector<std::string>& names = option_names(o.goal);
  o.goal = option_named<Goal>(section.choice("goal", names.front(), names), names);
  const bool is_summary = o.goal == Goal::kSummarization;
  o.scores.metrics =
      is_summary ? std::vector<std::string>{"rouge"} : std::vector<std::string>{"bleu", "chrf"};
  if (is_summary) {
    o.scores.lead_sentences = 3;
    o.scores.oracle_sentences = 3;
  }
}

}  // namespace

const std::vector<std::string>& option_names(Goal) {
  static const std::vector<std::string> names = {"translation", "summarization"};
  return names;
}

const std::vector<std::string>& option_names(LanguagePlace) {
  static const std::vector<std::string> names = {"auto", "first", "last"};
  return names;
}

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  take_usual(section, o);
  for_each_option(o, OptionReader(section, {"max_seq_length"}));
  o.max_seq_length = max_seq_length;
  check_length(section, "max_source_length", o.max_source_length, max_seq_length);
  check_length(section, "max_target_length", o.max_target_length, max_seq_length);
  refuse_below(section, "generate_rows", o.generate_rows, 0);
  check_fields(section, o);
  check_languages(section, o);
  if (!o.scores.metrics.empty()) o.scores.check(section);
  o.generation.finish_reading(section);
  return o;
}

}  // namespace hone::seq2seq
