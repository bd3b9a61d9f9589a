#include "tasks/intent_slots/options.h"

#include "tasks/loss_weights.h"

namespace hone::intent_slots {

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  o.slots = ner::Options::read(section, max_seq_length);
  o.intent = section.get("intent", o.intent);
  read_loss_weights(section,
                    {{"intent_weight", &o.intent_weight}, {"slot_weight", &o.slot_weight}});
  return o;
}

}  // namespace hone::intent_slots
