#include "tasks/metrics/text/porter.h"

#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace hone::metrics {
namespace {

bool is_plain_vowel(char c) { return std::string_view("aeiou").find(c) != std::string_view::npos; }

// For each letter whether it is a consonant: y is one at the beginning and behind a vowel.
std::vector<bool> consonants(std::string_view word) {
  std::vector<bool> is_consonant(word.size());
  for (size_t i = 0; i < word.size(); ++i)
    is_consonant[i] =
        !is_plain_vowel(word[i]) && (word[i] != 'y' || i == 0 || !is_consonant[i - 1]);
  return is_consonant;
}

// How often a consonant follows a vowel: m of the paper.
int measure(std::string_view stem) {
  const std::vector<bool> is_consonant = consonants(stem);
  int count = 0;
  for (size_t i = 1; i < stem.size(); ++i) count += is_consonant[i] && !is_consonant[i - 1];
  return count;
}

bool has_vowel(std::string_view stem) {
  for (const bool is_consonant : consonants(stem)) {
    if (!is_consonant) return true;
  }
  return false;
}

bool ends_in_double_consonant(std::string_view word) {
  const size_t n = word.size();
  return n >= 2 && word[n - 1] == word[n - 2] && consonants(word).back();
}

// *o of the paper: consonant, vowel, consonant at the end, the last one no w, x, y; and NLTK's: a
// word that is a vowel and a consonant.
bool ends_in_cvc(std::string_view word) {
  const std::vector<bool> is_consonant = consonants(word);
  const size_t n = word.size();
  if (n == 2) return !is_consonant[0] && is_consonant[1];
  return n > 2 && is_consonant[n - 3] && !is_consonant[n - 2] && is_consonant[n - 1] &&
         std::string_view("wxy").find(word[n - 1]) == std::string_view::npos;
}

using Condition = bool (*)(std::string_view stem);

bool always(std::string_view) { return true; }
bool is_above_0(std::string_view stem) { return measure(stem) > 0; }
bool is_above_1(std::string_view stem) { return measure(stem) > 1; }
bool is_above_1_with_st(std::string_view stem) {
  return measure(stem) > 1 && (stem.back() == 's' || stem.back() == 't');
}
// Of "logi": its l counts as a part of the stem.
bool is_above_0_with_l(std::string_view stem) { return measure(std::string(stem) + "l") > 0; }
bool is_consonant_behind_more(std::string_view stem) {
  return stem.size() > 1 && consonants(stem).back();
}

struct Suffix {
  std::string_view suffix, replacement;
  Condition condition;
};

// The first rule whose suffix the word has decides, whether its condition holds or not.
void apply_first(std::span<const Suffix> rules, std::string& word) {
  for (const Suffix& rule : rules) {
    if (!word.ends_with(rule.suffix)) continue;
    const size_t stem = word.size() - rule.suffix.size();
    if (rule.condition(std::string_view(word).substr(0, stem)))
      word.replace(stem, std::string::npos, rule.replacement);
    return;
  }
}

constexpr Suffix kPlurals[] = {
    {"sses", "ss", always}, {"ies", "i", always}, {"ss", "ss", always}, {"s", "", always}};
constexpr Suffix kShortened[] = {
    {"at", "ate", always}, {"bl", "ble", always}, {"iz", "ize", always}};
constexpr Suffix kFinalY[] = {{"y", "i", is_consonant_behind_more}};
constexpr Suffix kDoubleSuffixes[] = {
    {"ational", "ate", is_above_0}, {"tional", "tion", is_above_0},
    {"enci", "ence", is_above_0},   {"anci", "ance", is_above_0},
    {"izer", "ize", is_above_0},    {"bli", "ble", is_above_0},
    {"alli", "al", is_above_0},     {"entli", "ent", is_above_0},
    {"eli", "e", is_above_0},       {"ousli", "ous", is_above_0},
    {"ization", "ize", is_above_0}, {"ation", "ate", is_above_0},
    {"ator", "ate", is_above_0},    {"alism", "al", is_above_0},
    {"iveness", "ive", is_above_0}, {"fulness", "ful", is_above_0},
    {"ousness", "ous", is_above_0}, {"aliti", "al", is_above_0},
    {"iviti", "ive", is_above_0},   {"biliti", "ble", is_above_0},
    {"fulli", "ful", is_above_0},   {"logi", "log", is_above_0_with_l}};
constexpr Suffix kEndings[] = {{"icate", "ic", is_above_0}, {"ative", "", is_above_0},
                               {"alize", "al", is_above_0}, {"iciti", "ic", is_above_0},
                               {"ical", "ic", is_above_0},  {"ful", "", is_above_0},
                               {"ness", "", is_above_0}};
constexpr Suffix kLastSuffixes[] = {
    {"al", "", is_above_1},   {"ance", "", is_above_1}, {"ence", "", is_above_1},
    {"er", "", is_above_1},   {"ic", "", is_above_1},   {"able", "", is_above_1},
    {"ible", "", is_above_1}, {"ant", "", is_above_1},  {"ement", "", is_above_1},
    {"ment", "", is_above_1}, {"ent", "", is_above_1},  {"ion", "", is_above_1_with_st},
    {"ou", "", is_above_1},   {"ism", "", is_above_1},  {"ate", "", is_above_1},
    {"iti", "", is_above_1},  {"ous", "", is_above_1},  {"ive", "", is_above_1},
    {"ize", "", is_above_1}};

constexpr std::pair<std::string_view, std::string_view> kIrregular[] = {
    {"sky", "sky"},        {"skies", "sky"},       {"dying", "die"},        {"lying", "lie"},
    {"tying", "tie"},      {"news", "news"},       {"innings", "inning"},   {"inning", "inning"},
    {"outings", "outing"}, {"outing", "outing"},   {"cannings", "canning"}, {"canning", "canning"},
    {"howe", "howe"},      {"proceed", "proceed"}, {"exceed", "exceed"},    {"succeed", "succeed"}};

// Steps 1a to 5b of the paper.

void cut_plural(std::string& word) {
  if (word.size() == 4 && word.ends_with("ies")) {
    word.pop_back();
  } else {
    apply_first(kPlurals, word);
  }
}

// What is done behind a stem that lost "ed" or "ing".
void mend_shortened(std::string& word) {
  for (const Suffix& rule : kShortened) {
    if (word.ends_with(rule.suffix)) return apply_first({&rule, 1}, word);
  }
  if (ends_in_double_consonant(word)) {
    if (std::string_view("lsz").find(word.back()) == std::string_view::npos) word.pop_back();
  } else if (measure(word) == 1 && ends_in_cvc(word)) {
    word += 'e';
  }
}

void cut_past_and_participle(std::string& word) {
  if (word.ends_with("ied")) {
    word.resize(word.size() - (word.size() == 4 ? 1 : 2));
    return;
  }
  if (word.ends_with("eed")) {
    if (is_above_0(std::string_view(word).substr(0, word.size() - 3))) word.pop_back();
    return;
  }
  for (const std::string_view suffix : {"ed", "ing"}) {
    const std::string_view stem = std::string_view(word).substr(0, word.size() - suffix.size());
    if (!word.ends_with(suffix) || !has_vowel(stem)) continue;
    word.resize(stem.size());
    return mend_shortened(word);
  }
}

// NLTK's: "alli" goes first, and what is left is looked at again.
void cut_double_suffix(std::string& word) {
  while (word.ends_with("alli") && is_above_0(std::string_view(word).substr(0, word.size() - 4)))
    word.resize(word.size() - 2);
  apply_first(kDoubleSuffixes, word);
}

void cut_final_e(std::string& word) {
  if (!word.ends_with('e')) return;
  const std::string_view stem = std::string_view(word).substr(0, word.size() - 1);
  const int m = measure(stem);
  if (m > 1 || (m == 1 && !ends_in_cvc(stem))) word.pop_back();
}

void cut_double_l(std::string& word) {
  if (word.ends_with("ll") && is_above_1(std::string_view(word).substr(0, word.size() - 1)))
    word.pop_back();
}

}  // namespace

std::string porter_stem(std::string word) {
  for (const auto& [irregular, stem] : kIrregular) {
    if (word == irregular) return std::string(stem);
  }
  if (word.size() <= 2) return word;
  cut_plural(word);
  cut_past_and_participle(word);
  apply_first(kFinalY, word);
  cut_double_suffix(word);
  apply_first(kEndings, word);
  apply_first(kLastSuffixes, word);
  cut_final_e(word);
  cut_double_l(word);
  return word;
}

}  // namespace hone::metrics
