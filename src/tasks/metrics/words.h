// The words that published scores of texts go by.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hone::metrics {

// As Python's str.lower, str.isspace and str.split() have it.
std::u32string lower_points(std::string_view text);
bool is_blank(char32_t c);
std::vector<std::u32string_view> split_at_blanks(std::u32string_view text);

// In lower case, without white space of any script at the ends (Python's str.lower().strip()).
std::string trimmed_lower(std::string_view text);

// In lower case, without ASCII punctuation and the English articles: SQuAD's.
std::vector<std::string> plain_words(std::string_view text);

// As NLTK's word_tokenize splits one sentence in lower case: the rules of the Penn Treebank (Robert
// MacIntyre's tokenizer), with quotation marks, dashes and chevrons of Unicode.
std::vector<std::string> treebank_words(const std::string& text);

}  // namespace hone::metrics
