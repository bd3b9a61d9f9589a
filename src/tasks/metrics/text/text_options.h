// What the `task` section of a task that writes texts may say of their scores.
#pragma once

#include <string>
#include <vector>

#include "tasks/options.h"

namespace hone::metrics {

// How texts fall into units: words with blanks between them, or characters (Chinese, Japanese).
// kAuto: by the share of such characters among the letters of the references.
enum class Script { kAuto, kWords, kCharacters };
const std::vector<std::string>& option_names(Script script);

// sacrebleu's tokenizers. kAuto: zh of texts in characters, else 13a.
enum class BleuTokenizer { kAuto, k13a, kZh, kChar, kIntl, kNone };
const std::vector<std::string>& option_names(BleuTokenizer tokenizer);

// What BLEU does with orders in which nothing is shared: sacrebleu's names (Chen and Cherry 2014).
enum class BleuSmoothing { kExp, kFloor, kAddK, kNone };
const std::vector<std::string>& option_names(BleuSmoothing smoothing);

// The words of ROUGE (rouge.h). kAuto: kUnicode of texts in characters, else rouge-score's, which
// sees no letter beyond a to z.
enum class RougeWords { kAuto, kAscii, kUnicode };
const std::vector<std::string>& option_names(RougeWords words);

struct TextOptions {
  std::vector<std::string> metrics;  // lines of text_metrics(); the first one's main value leads
  Script metric_script = Script::kAuto;
  bool metric_lowercase = false;  // BLEU and chrF without case; the others never have it
  BleuTokenizer bleu_tokenize = BleuTokenizer::kAuto;
  BleuSmoothing bleu_smooth = BleuSmoothing::kExp;
  double bleu_smooth_value = 0;  // of floor and add-k; 0: sacrebleu's (0.1 and 1)
  RougeWords rouge_words = RougeWords::kAuto;
  bool rouge_stemmer = false;  // Porter's: what most published ROUGE of English is measured with
  // The score of the first so many sentences of the source as a baseline (LEAD); 0: none.
  int64_t lead_sentences = 0;
  // That of the sentences of the source, at most so many, that share most words with the references
  // (what extraction could reach at best); 0: none. Shown beside, as no model knows it.
  int64_t oracle_sentences = 0;

  // Error(kUsage) at its key for a value that is none; `options` were read from `section`.
  void check(const Config& section) const;
};

// See tasks/options.h.
template <typename Options, typename Visitor>
void for_each_text_option(Options& o, Visitor&& visit) {
  visit("metrics", o.metrics);
  visit("metric_script", o.metric_script);
  visit("metric_lowercase", o.metric_lowercase);
  visit("bleu_tokenize", o.bleu_tokenize);
  visit("bleu_smooth", o.bleu_smooth);
  visit("bleu_smooth_value", o.bleu_smooth_value);
  visit("rouge_words", o.rouge_words);
  visit("rouge_stemmer", o.rouge_stemmer);
  visit("lead_sentences", o.lead_sentences);
  visit("oracle_sentences", o.oracle_sentences);
}

}  // namespace hone::metrics
