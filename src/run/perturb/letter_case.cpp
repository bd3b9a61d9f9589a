// The same word in other letters: all capitals, all small, the first one changed. A model whose
// tokenizer folds case sees no difference.
#include <unicode/uchar.h>

#include <algorithm>

#include "base/utf8.h"
#include "run/perturb/perturbation.h"

namespace hone {
namespace {

std::u32string mapped(std::u32string word, UChar32 (*map)(UChar32)) {
  for (char32_t& c : word) c = static_cast<char32_t>(map(static_cast<UChar32>(c)));
  return word;
}

std::u32string with_other_first(std::u32string word) {
  const auto first = static_cast<UChar32>(word.front());
  word.front() = static_cast<char32_t>(u_isupper(first) ? u_tolower(first) : u_toupper(first));
  return word;
}

class LetterCase : public Perturbation {
 public:
  std::vector<std::string> others(std::string_view text, Span word, RandomStream&) const override {
    const std::u32string is = from_utf8(bytes_of(text, word));
    std::vector<std::string> all;
    for (const std::u32string& form :
         {with_other_first(is), mapped(is, u_toupper), mapped(is, u_tolower)}) {
      std::string other = to_utf8(form);
      if (form != is && std::find(all.begin(), all.end(), other) == all.end())
        all.push_back(std::move(other));
    }
    return all;
  }
};

}  // namespace

PerturbationInfo letter_case() {
  return {"case", "capitals for small letters and the other way round", nullptr,
          [](const PerturbationFiles&) -> std::unique_ptr<Perturbation> {
            return std::make_unique<LetterCase>();
          }};
}

}  // namespace hone
