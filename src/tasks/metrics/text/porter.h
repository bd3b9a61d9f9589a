// Porter's stemmer of English words.
#pragma once

#include <string>

namespace hone::metrics {

// As NLTK's PorterStemmer does by default: the algorithm (Porter 1980, "An algorithm for suffix
// stripping") with NLTK's extensions. `word` is in lower case, of letters and digits.
std::string porter_stem(std::string word);

}  // namespace hone::metrics
