// What the `task` section of relation extraction may say.
#pragma once

#include <string>
#include <vector>

#include "tasks/class_balance.h"
#include "tasks/options.h"

namespace hone::relation {

constexpr const char* kTaskName = "relation";

struct Options {
  std::string text = "text";            // field of the text, with marks or with entities
  std::string relation = "relation";    // of a text with marks: field of its relation
  std::string entities = "entities";    // of a text without: fields of its entities
  std::string relations = "relations";  // and of the relations between them
  std::string no_relation = "Other";    // of a text with marks: the relation that is none
  bool entity_types = true;   // the model sees the types of entities, where they have some
  int64_t max_distance = 50;  // characters between two entities that may be related
  std::string unknown_labels = "error";  // error | count: a gold relation that training did not
                                         // have is scored as missed
  ClassBalance balance;                  // of relations of different number, and of none
  int64_t max_seq_length = 0;            // tokens of a sample, with special ones

  static Options read(Config& section, int64_t max_seq_length);
};

// See tasks/options.h.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  visit("text", o.text);
  visit("relation", o.relation);
  visit("entities", o.entities);
  visit("relations", o.relations);
  visit("no_relation", o.no_relation);
  visit("entity_types", o.entity_types);
  visit("max_distance", o.max_distance);
  visit("unknown_labels", o.unknown_labels, Choices{"error", "count"});
  for_each_balance_option(o.balance, visit);
  visit("max_seq_length", o.max_seq_length);
}

}  // namespace hone::relation
