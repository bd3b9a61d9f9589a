#include "tasks/choice/options.h"

#include <fmt/format.h>

namespace hone::choice {
namespace {

void check(const Options& options, Config& section) {
  if (options.context.empty() && options.question.empty())
    throw section.error("question",
                        "\"context\" and \"question\" are both none; name the field of a text that "
                        "the choices belong to");
  if (options.answers_from < 0)
    throw section.error("answers_from", fmt::format("\"answers_from\" is {}; it must be 0 or more",
                                                    options.answers_from));
  if (options.choices.empty()) throw section.error("choices", "\"choices\" names no field");
  if (options.answer == "scores")
    throw section.error(
        "answer", "results use the name \"scores\" themselves; map the field to another name");
}

}  // namespace

const std::vector<std::string>& option_names(AnswerAs) {
  static const std::vector<std::string> kNames = {"auto", "number", "letter", "text"};
  return kNames;
}

// A text with a blank needs no question.
Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  if (section.has("blank")) o.question.clear();
  for_each_option(o, OptionReader(section, {"max_seq_length"}));
  o.max_seq_length = max_seq_length;
  check(o, section);
  return o;
}

}  // namespace hone::choice
