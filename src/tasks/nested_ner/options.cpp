#include "tasks/nested_ner/options.h"

#include <fmt/format.h>

namespace hone::nested_ner {

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  for_each_option(o, OptionReader(section, {"max_seq_length"}));
  o.spans.max_seq_length = max_seq_length;
  ner::check_stride(o.spans, section);
  if (o.head_size < 2 || o.head_size % 2 != 0)
    throw section.error(
        "head_size", fmt::format("\"head_size\" is {}; it must be even, 2 or more", o.head_size));
  if (!(o.threshold > 0 && o.threshold < 1))
    throw section.error(
        "threshold", fmt::format("\"threshold\" is {}; it must be between 0 and 1", o.threshold));
  return o;
}

}  // namespace hone::nested_ner
