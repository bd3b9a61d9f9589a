#include "tasks/intent_slots/options.h"

#include <fmt/format.h>

#include <cmath>

namespace hone::intent_slots {

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  o.slots = ner::Options::read(section, max_seq_length);
  o.intent = section.get("intent", o.intent);
  for (const auto& [key, weight] :
       {std::pair("intent_weight", &o.intent_weight), std::pair("slot_weight", &o.slot_weight)}) {
    *weight = section.get(key, *weight);
    if (!(*weight > 0) || std::isinf(*weight))
      throw section.error(key,
                          fmt::format("\"{}\" is {}; it must be more than 0: a head that nothing "
                                      "teaches would answer all the same",
                                      key, *weight));
  }
  return o;
}

}  // namespace hone::intent_slots
