#include "tasks/ner/options.h"

#include <fmt/format.h>

namespace hone::ner {

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  for_each_option(o, OptionReader(section, {"max_seq_length"}));
  o.max_seq_length = max_seq_length;
  if (o.stride < -1)
    throw section.error("stride", fmt::format("\"stride\" is {}; it must be a number of tokens, 0 "
                                              "or more (-1: a quarter of max_seq_length)",
                                              o.stride));
  if (max_seq_length > 0 && o.stride >= max_seq_length - 2) {
    throw section.error(
        "stride", fmt::format("\"stride\" is {}, but a window holds {} tokens: it must be smaller",
                              o.stride, max_seq_length));
  }
  return o;
}

}  // namespace hone::ner
