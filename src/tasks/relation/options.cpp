#include "tasks/relation/options.h"

#include <fmt/format.h>

namespace hone::relation {

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  for_each_option(o, OptionReader(section, {"max_seq_length"}));
  o.max_seq_length = max_seq_length;
  if (o.max_distance < 0)
    throw section.error("max_distance", fmt::format("\"max_distance\" is {}; it counts characters",
                                                    o.max_distance));
  if (o.no_relation.empty())
    throw section.error("no_relation", "\"no_relation\" must be the name of a label");
  o.balance.check(section);
  return o;
}

}  // namespace hone::relation
