// The families. Adding one is a file pair and a line here; see docs/adding-a-model.md.
#include "models/backbone.h"
#include "models/bert.h"
#include "models/distilbert.h"
#include "models/electra.h"
#include "models/roberta.h"

namespace hone {

const std::vector<FamilyInfo>& families() {
  static const std::vector<FamilyInfo> kFamilies = {
      {"bert", bert::read_config, bert::make},
      {"distilbert", distilbert::read_config, distilbert::make},
      {"electra", electra::read_config, electra::make},
      {"roberta", roberta::read_config, roberta::make},
  };
  return kFamilies;
}

}  // namespace hone
