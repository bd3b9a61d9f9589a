#include "tasks/entity_relations/options.h"

#include "tasks/loss_weights.h"

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
  read_loss_weights(section,
                    {{"entity_weight", &o.entity_weight}, {"relation_weight", &o.relation_weight}});
  return o;
}

}  // namespace hone::entity_relations
