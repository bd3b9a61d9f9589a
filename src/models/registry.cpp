// The families. Adding one is a file pair and a line here; see docs/adding-a-model.md.
#include "models/albert.h"
#include "models/backbone.h"
#include "models/bert.h"
#include "models/camembert.h"
#include "models/deberta.h"
#include "models/deberta_v2.h"
#include "models/distilbert.h"
#include "models/electra.h"
#include "models/ernie.h"
#include "models/modernbert.h"
#include "models/mpnet.h"
#include "models/roberta.h"
#include "models/xlm_roberta.h"

namespace hone {

Table<FamilyInfo>& families() {
  static Table<FamilyInfo> table("model family", {
                                                     {"albert", albert::read_config},
                                                     {"bert", bert::read_config},
                                                     {"camembert", camembert::read_config},
                                                     {"deberta", deberta::read_config},
                                                     {"deberta-v2", deberta_v2::read_config},
                                                     {"distilbert", distilbert::read_config},
                                                     {"electra", electra::read_config},
                                                     {"ernie", ernie::read_config},
                                                     {"modernbert", modernbert::read_config},
                                                     {"mpnet", mpnet::read_config},
                                                     {"roberta", roberta::read_config},
                                                     {"xlm-roberta", xlm_roberta::read_config},
                                                 });
  return table;
}

}  // namespace hone
