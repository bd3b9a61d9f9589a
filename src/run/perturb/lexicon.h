// Synonyms from a file.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hone {

// Two kinds of lines, empty ones passed over:
//   pairs    two words, a blank between them, each a synonym of the other (PPDB's as Mrksic et al.
//            2016 cut them, https://arxiv.org/abs/1603.00892)
//   groups   a code, then words of one meaning (Cilin: "Aa01A01= 人 士 人物"). The mark at the
//   code's
//            end says what they are: "=" synonyms; "#" (related words) and "@" (a word alone) give
//            none
// Words are found without regard to case.
class Lexicon {
 public:
  explicit Lexicon(const std::string& path);  // Error(kData) at the line of neither kind

  // In the order of the file, each once; nothing where the word is not known.
  const std::vector<std::string>& synonyms(std::string_view word) const;
  size_t words() const { return synonyms_.size(); }

 private:
  void add(const std::string& word, const std::string& other);

  std::unordered_map<std::string, std::vector<std::string>> synonyms_;
};

}  // namespace hone
