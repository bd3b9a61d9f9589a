// Entities in a list, with types, in place of marks.
#include "conformance/cases.h"
#include "tasks/relation/gold.h"

namespace hone::conformance {
namespace {

void as_document(Json& fields, size_t) {
  const Record row{fields, nullptr, 1};
  const relation::Document document = relation::document_of(row, relation::Options());
  Json entities = Json::array(), relations = Json::array();
  for (const relation::Entity& e : document.entities)
    entities.push_back({{"start", e.bytes.start}, {"end", e.bytes.end}, {"label", "thing"}});
  for (const relation::Claim& claim :
       relation::claims_of(fields, document, row, relation::Options())) {
    const bool is_forward = claim.direction == relation::Direction::kForward;
    relations.push_back(
        {{"head", is_forward ? 0 : 1}, {"tail", is_forward ? 1 : 0}, {"label", claim.label}});
  }
  fields = {{"text", document.text}, {"entities", entities}, {"relations", relations}};
}

const bool kRelationCases = add_variants("relation", [](const std::vector<Record>& example) {
  return std::vector<Variant>{{"entities in a list", "{}", edited(example, as_document)}};
});

}  // namespace
}  // namespace hone::conformance
