// A mark behind a word, or quotes around it (as in AdvGLUE's and TextFlint's sets: Wang et al.
// 2021, https://arxiv.org/abs/2111.02840). Chinese and Japanese words get the marks of their
// script. A word that has a mark behind it already gets quotes alone.
#include "base/utf8.h"
#include "data/tokenizer/unicode.h"
#include "run/perturb/perturbation.h"

namespace hone {
namespace {

class Punctuation : public Perturbation {
 public:
  std::vector<std::string> others(std::string_view text, Span word, RandomStream&) const override {
    const std::string is(bytes_of(text, word));
    size_t at = 0;
    const bool is_wide = unicode::is_chinese(next_code_point(is, at));
    std::vector<std::string> all;
    if (!has_mark_behind(text, word)) {
      for (const char* mark : is_wide ? kWide : kNarrow) all.push_back(is + mark);
    }
    all.push_back(is_wide ? "“" + is + "”" : "\"" + is + "\"");
    return all;
  }

 private:
  static constexpr const char* kNarrow[] = {",", ".", "!"};
  static constexpr const char* kWide[] = {"，", "。", "！"};

  static bool has_mark_behind(std::string_view text, Span word) {
    auto at = static_cast<size_t>(word.end);
    return at < text.size() && unicode::is_punctuation(next_code_point(text, at));
  }
};

}  // namespace

PerturbationInfo punctuation() {
  return {"punctuation", "a mark behind a word, quotes around it", nullptr,
          [](const PerturbationFiles&) -> std::unique_ptr<Perturbation> {
            return std::make_unique<Punctuation>();
          }};
}

}  // namespace hone
