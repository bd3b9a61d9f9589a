// Blanks to be filled, columns of choices, and rows with one choice or with equal ones.
#include "conformance/cases.h"

namespace hone::conformance {
namespace {

// The right choice stands in a text that is longer than the window, by its letter.
void as_cloze(Json& fields, size_t i) {
  const std::string filler = i % 2 == 0 ? "well it is late and we said so twice " : "";
  fields["text"] = filler + filler + filler + fields["context"].get<std::string>() +
                   " and #it# is what they need " + filler;
  fields["answer"] = std::string(1, static_cast<char>('A' + fields["answer"].get<int>()));
}

void as_columns(Json& fields, size_t) {
  const Json choices = fields["choices"];
  fields["first"] = choices[0], fields["second"] = choices[1];
  fields["right"] = choices[std::min(fields["answer"].get<int>(), 1)];
}

void with_few(Json& fields, size_t i) {
  if (i % 5 == 0) fields["choices"] = Json::array({fields["choices"][0]}), fields["answer"] = 0;
  if (i % 5 == 1) fields["choices"].push_back(fields["choices"][0]);
}

const bool kChoiceCases = add_variants("choice", [](const std::vector<Record>& example) {
  return std::vector<Variant>{
      {"a blank", "{context: text, blank: '#it#'}", edited(example, as_cloze)},
      {"columns", "{choices: [first, second], answer: right}", edited(example, as_columns)},
      {"one choice, equal choices", "{}", edited(example, with_few)},
  };
});

}  // namespace
}  // namespace hone::conformance
