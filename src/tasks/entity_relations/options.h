// What the `task` section of joint entities and relations may say: what nested named-entity
// recognition's does, of the entities, and more.
#pragma once

#include <string>

#include "tasks/nested_ner/options.h"
#include "tasks/relation/options.h"

namespace hone::entity_relations {

constexpr const char* kTaskName = "entity_relations";

struct Options {
  nested_ner::Options entities;
  std::string relations = "relations";  // field of the relations between them
  double entity_weight = 1;             // of its loss, in the sum of both
  double relation_weight = 1;

  // How relations are read.
  relation::Options as_relation() const;
  static Options read(Config& section, int64_t max_seq_length);
};

// See tasks/options.h.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  nested_ner::for_each_option(o.entities, visit);
  visit("relations", o.relations);
  visit("entity_weight", o.entity_weight);
  visit("relation_weight", o.relation_weight);
}

}  // namespace hone::entity_relations
