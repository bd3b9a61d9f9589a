// Slots as chains of tags.
#include "conformance/cases.h"

namespace hone::conformance {
namespace {

const bool kIntentSlotsCases = add_variants("intent_slots", [](const std::vector<Record>& example) {
  return std::vector<Variant>{{"a CRF", "{crf: true, slot_weight: 2}", example}};
});

}  // namespace
}  // namespace hone::conformance
