// What the `task` section of translation and summarization may say.
#pragma once

#include <string>
#include <vector>

#include "tasks/generation_options.h"
#include "tasks/metrics/text/text_options.h"
#include "tasks/options.h"

namespace hone::seq2seq {

constexpr const char* kTaskName = "seq2seq";

// What is usual for each: which scores lead, what is compared with.
enum class Goal { kTranslation, kSummarization };
const std::vector<std::string>& option_names(Goal goal);

// Where the token of a language stands: before the text (mBART-50, M2M), or behind its end, from
// where the target's is the first that the decoder reads (mBART). kAuto: as the model's tokenizer.
enum class LanguagePlace { kAuto, kFirst, kLast };
const std::vector<std::string>& option_names(LanguagePlace place);

struct Options {
  Goal goal = Goal::kTranslation;
  std::string source = "source";  // field of the text that is read
  std::string target = "target";  // field of what is written: a text, or several of which the first
                                  // is learned and all are references
  std::string prefix = {};        // before each source, as it stands ("summarize: ")
  int64_t max_source_length = 0;  // tokens, special ones included; 0: max_seq_length
  int64_t max_target_length = 0;  // likewise
  std::string source_language = {}, target_language = {};  // tokens ("en_XX"); "": none
  LanguagePlace language_place = LanguagePlace::kAuto;
  std::string target_tokenizer = {};  // a folder, where the target has a vocabulary of its own
  int64_t generate_rows = 2048;       // of an evaluation, that get an answer
  metrics::TextOptions scores = {};
  GenerationSettings generation = {};
  int64_t max_seq_length = 0;

  int64_t source_limit() const {
    return max_source_length > 0 ? max_source_length : max_seq_length;
  }
  int64_t target_limit() const {
    return max_target_length > 0 ? max_target_length : max_seq_length;
  }
  bool has_languages() const { return !source_language.empty() || !target_language.empty(); }

  static Options read(Config& section, int64_t max_seq_length);
};

// See tasks/options.h.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  visit("goal", o.goal);
  visit("source", o.source);
  visit("target", o.target);
  visit("prefix", o.prefix);
  visit("max_source_length", o.max_source_length);
  visit("max_target_length", o.max_target_length);
  visit("source_language", o.source_language);
  visit("target_language", o.target_language);
  visit("language_place", o.language_place);
  visit("target_tokenizer", o.target_tokenizer);
  visit("generate_rows", o.generate_rows);
  metrics::for_each_text_option(o.scores, visit);
  for_each_generation_option(o.generation, visit);
  visit("max_seq_length", o.max_seq_length);
}

}  // namespace hone::seq2seq
