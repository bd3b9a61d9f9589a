// Summaries with lists of sentences and several references, beams, prefixes and limits.
#include "conformance/cases.h"

namespace hone::conformance {
namespace {

void as_summary(Json& fields, size_t) {
  const std::string source = fields.at("source"), target = fields.at("target");
  fields = {{"text", Json::array({source, "nothing more"})},
            {"summary", Json::array({target, source})}};
}

const bool kSeq2SeqCases = add_variants("seq2seq", [](const std::vector<Record>& example) {
  return std::vector<Variant>{
      {"summaries", "{goal: summarization, source: text, target: summary, max_new_tokens: 24}",
       edited(example, as_summary)},
      {"beams and limits",
       "{prefix: \"translate: \", max_source_length: 12, max_target_length: 16, num_beams: 3, "
       "max_new_tokens: 24}",
       example},
  };
});

}  // namespace
}  // namespace hone::conformance
