// Answers as SQuAD's files have them, and questions that all have one.
#include "conformance/cases.h"

namespace hone::conformance {
namespace {

void as_squad(Json& fields, size_t) {
  Json list = Json::array();
  const Json answers = fields["answers"];
  for (size_t i = 0; i < answers["text"].size(); ++i)
    list.push_back({{"text", answers["text"][i]}, {"answer_start", answers["answer_start"][i]}});
  fields["answers"] = list;
}

const bool kQaCases = add_variants("qa", [](const std::vector<Record>& example) {
  std::vector<Record> answered = edited(example, as_squad);
  std::erase_if(answered, [](const Record& r) { return r.fields["answers"].empty(); });
  return std::vector<Variant>{{"all with an answer", "{stride: 5, scoring: cmrc}", answered}};
});

}  // namespace
}  // namespace hone::conformance
