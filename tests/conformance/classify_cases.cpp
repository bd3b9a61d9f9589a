// Classification with other labels than those of its example.
#include "conformance/cases.h"

namespace hone::conformance {
namespace {

const bool kClassifyCases = add_variants("classify", [](const std::vector<Record>& example) {
  const auto several = [](Json& fields, size_t i) {
    fields["label"] = i % 3 == 0 ? Json{"x", "y"} : i % 3 == 1 ? Json{"y"} : Json::array();
  };
  const auto number = [](Json& fields, size_t i) {
    fields["label"] = 0.5 * static_cast<double>(i % 5) - 1;
  };
  const auto pair = [](Json& fields, size_t i) {
    fields["other"] = i % 2 == 0 ? fields["text"] : Json("something else");
  };
  const auto aspect = [](Json& fields, size_t i) {
    const auto text = fields["text"].get<std::string>();
    fields["about"] = {{"start", 0}, {"end", text.find(' ', i % 4 + 1)}};
  };
  const auto turns = [](Json& fields, size_t i) {
    Json list = Json::array();
    if (i % 3 > 0) list.push_back("not that one");
    if (i % 3 > 1) list.push_back("which one do you mean");
    list.push_back(fields["text"]);
    fields["text"] = std::move(list);
  };
  const auto columns = [](Json& fields, size_t i) {
    fields["even"] = i % 2 == 0 ? 1 : 0;
    fields["third"] = i % 3 == 0 ? 1 : 0;
  };
  return std::vector<Variant>{
      {"several labels", "{type: multi}", edited(example, several)},
      {"numbers", "{type: regression}", edited(example, number)},
      {"pairs", "{text_pair: other}", edited(example, pair)},
      {"aspects", "{aspect: about}", edited(example, aspect)},
      {"marked aspects", "{aspect: about, aspect_as: mark}", edited(example, aspect)},
      {"turns of a dialogue", "{history: 1}", edited(example, turns)},
      {"columns of labels", "{label: [even, third]}", edited(example, columns)},
  };
});

}  // namespace
}  // namespace hone::conformance
