// Windows of turns, prompts with their completions and scores of what is written, texts.
#include "conformance/cases.h"

namespace hone::conformance {
namespace {

void as_completion(Json& fields, size_t) {
  const Json messages = fields.at("messages");
  fields = {{"prompt", messages[0].at("content")}, {"completion", messages[1].at("content")}};
}

// No two begin with the same word, as nothing tells which comes first.
void as_text(Json& fields, size_t i) {
  const std::string first(1, static_cast<char>('!' + i));
  fields = {{"text", first + " " + fields.at("messages")[1].at("content").get<std::string>()}};
}

const bool kCausalLmCases = add_variants("causal_lm", [](const std::vector<Record>& example) {
  return std::vector<Variant>{
      {"windows of turns", "{turns: 3, max_new_tokens: 12}", example},
      {"completions", "{form: completion, metrics: [rouge], generate_rows: 30, max_new_tokens: 12}",
       edited(example, as_completion)},
      {"texts", "{form: text, max_new_tokens: 4}", edited(example, as_text)},
  };
});

}  // namespace
}  // namespace hone::conformance
