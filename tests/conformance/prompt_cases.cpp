// Labels with several words, words of two pieces, and a pattern of two fields.
#include "conformance/cases.h"

namespace hone::conformance {
namespace {

void with_place(Json& fields, size_t i) {
  fields["place"] = i % 2 == 0 ? "at home" : "in town we were told so and so by all of them";
}

const bool kPromptCases = add_variants("prompt", [](const std::vector<Record>& example) {
  return std::vector<Variant>{
      {"several words", "{words: {good: [good, warm], bad: [bad, nobody]}}", example},
      {"words of two pieces", "{pattern: '{mask} {place} {text}', words: {good: zq, bad: qz}}",
       edited(example, with_place)},
  };
});

}  // namespace
}  // namespace hone::conformance
