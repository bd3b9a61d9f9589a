#include "tasks/qa/options.h"

#include <fmt/format.h>

#include <cmath>

namespace hone::qa {
namespace {

void need_at_least(Config& section, const char* key, int64_t value, int64_t least) {
  if (value < least)
    throw section.error(
        key, fmt::format("\"{}\" is {}; it must be a number, {} or more", key, value, least));
}

}  // namespace

const std::vector<std::string>& option_names(Scoring) {
  static const std::vector<std::string> kNames = {"squad", "cmrc"};
  return kNames;
}

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  for_each_option(o, OptionReader(section, {"max_seq_length"}));
  o.max_seq_length = max_seq_length;
  need_at_least(section, "stride", o.stride, -1);
  need_at_least(section, "max_question_length", o.max_question_length, 1);
  need_at_least(section, "max_answer_length", o.max_answer_length, 1);
  need_at_least(section, "n_best", o.n_best, 1);
  if (o.no_answer_threshold && !std::isfinite(*o.no_answer_threshold))
    throw section.error("no_answer_threshold", "\"no_answer_threshold\" must be a number, or auto");
  return o;
}

}  // namespace hone::qa
