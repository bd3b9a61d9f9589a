// Entities of texts, where the example has tokens and tags.
#include "base/utf8.h"
#include "conformance/cases.h"

namespace hone::conformance {
namespace {

// The tokens joined by spaces, and their entities by characters.
void tell_as_text(Json& fields, size_t) {
  std::string text;
  Json entities = Json::array();
  for (size_t i = 0; i < fields["tokens"].size(); ++i) {
    if (i > 0) text += " ";
    const size_t start = count_code_points(text);
    text += fields["tokens"][i].get<std::string>();
    const auto tag = fields["tags"][i].get<std::string>();
    if (tag.starts_with("B-")) entities.push_back({{"start", start}, {"label", tag.substr(2)}});
    if (tag != "O") entities.back()["end"] = count_code_points(text);
  }
  fields = {{"text", text}, {"entities", entities}};
}

const bool kNerCases = add_variants("ner", [](const std::vector<Record>& example) {
  return std::vector<Variant>{{"texts", "{}", edited(example, tell_as_text)},
                              {"a CRF", "{crf: true}", example}};
});

}  // namespace
}  // namespace hone::conformance
