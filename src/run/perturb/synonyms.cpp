// Words of one meaning, of a lexicon (Ren et al. 2019, https://aclanthology.org/P19-1103). They
// take over how the word is written: Capital, CAPITALS. Inflections must stand in the lexicon: a
// form that does not is not looked for.
#include <unicode/uchar.h>

#include <algorithm>

#include "base/utf8.h"
#include "run/perturb/lexicon.h"
#include "run/perturb/perturbation.h"

namespace hone {
namespace {

bool is_capital(char32_t c) { return u_isupper(static_cast<UChar32>(c)); }
char32_t capital(char32_t c) { return static_cast<char32_t>(u_toupper(static_cast<UChar32>(c))); }

std::string written_as(const std::u32string& word, const std::string& synonym) {
  if (word.empty() || !is_capital(word.front())) return synonym;
  const bool are_all = word.size() > 1 && std::none_of(word.begin(), word.end(), [](char32_t c) {
                         return u_islower(static_cast<UChar32>(c));
                       });
  std::u32string letters = from_utf8(synonym);
  for (size_t i = 0; i < letters.size() && (i == 0 || are_all); ++i)
    letters[i] = capital(letters[i]);
  return to_utf8(letters);
}

class Synonyms : public Perturbation {
 public:
  explicit Synonyms(const std::string& path) : lexicon_(path) {}

  std::vector<std::string> others(std::string_view text, Span word, RandomStream&) const override {
    const std::string_view is = bytes_of(text, word);
    const std::u32string letters = from_utf8(is);
    std::vector<std::string> all;
    for (const std::string& synonym : lexicon_.synonyms(is)) {
      std::string other = written_as(letters, synonym);
      if (other != is && std::find(all.begin(), all.end(), other) == all.end())
        all.push_back(std::move(other));
    }
    return all;
  }

 private:
  Lexicon lexicon_;
};

}  // namespace

PerturbationInfo synonyms() {
  return {"synonyms", "words of one meaning, of the lexicon that --lexicon names",
          &PerturbationFiles::lexicon,
          [](const PerturbationFiles& files) -> std::unique_ptr<Perturbation> {
            return std::make_unique<Synonyms>(files.lexicon);
          }};
}

}  // namespace hone
