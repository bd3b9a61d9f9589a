// How alike a predicted answer and the gold ones are, from 0 to 1: the best of all gold answers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hone::metrics {

struct AnswerMatch {
  double exact = 0, f1 = 0;
};

// The rules of SQuAD's script (Rajpurkar et al. 2018, evaluate-v2.0.py): without case, ASCII
// punctuation, articles and white space; F1 over words. No gold answer, or none with a word: right
// is what has no word either. `predicted` "": there is no answer.
AnswerMatch squad_match(std::string_view predicted, const std::vector<std::string>& gold);

// The rules of CMRC's script (Cui et al. 2019, cmrc2018_evaluate.py): without case and some
// punctuation; F1 over the longest stretch in common, counted in Chinese characters and in the
// words that NLTK's word_tokenize finds elsewhere (a stretch is one sentence here: no model tells
// where one ends within it). No gold answer: right is no answer.
AnswerMatch cmrc_match(std::string_view predicted, const std::vector<std::string>& gold);

}  // namespace hone::metrics
