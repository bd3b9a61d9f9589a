// What the `task` section of joint intent and slots may say: what named-entity recognition's does,
// of the slots, and more.
#pragma once

#include <string>

#include "tasks/ner/options.h"

namespace hone::intent_slots {

constexpr const char* kTaskName = "intent_slots";

struct Options {
  ner::Options slots;
  std::string intent = "intent";  // field of the intent
  double intent_weight = 1;       // of its loss, in the sum of both
  double slot_weight = 1;

  static Options read(Config& section, int64_t max_seq_length);
};

// See tasks/options.h.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  ner::for_each_option(o.slots, visit);
  visit("intent", o.intent);
  visit("intent_weight", o.intent_weight);
  visit("slot_weight", o.slot_weight);
}

}  // namespace hone::intent_slots
