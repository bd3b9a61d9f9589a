#include "tasks/entity_relations/options.h"

#include <fmt/format.h>

#include <cmath>

namespace hone::entity_relations {

relation::Options Options::as_relation() const {
  relation::Options o;
  o.text = entities.spans.text;
  o.entities = entities.spans.entities;
  o.relations = relations;
  return o;
}

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  o.entities = nested_ner::Options::read(section, max_seq_length);
  o.relations = section.get("relations", o.relations);
  for (const auto& [key, weight] : {std::pair("entity_weight", &o.entity_weight),
                                    std::pair("relation_weight", &o.relation_weight)}) {
    *weight = section.get(key, *weight);
    if (!(*weight > 0) || std::isinf(*weight))
      throw section.error(key,
                          fmt::format("\"{}\" is {}; it must be more than 0: a head that nothing "
                                      "teaches would answer all the same",
                                      key, *weight));
  }
  return o;
}

}  // namespace hone::entity_relations
