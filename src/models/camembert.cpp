#include "models/camembert.h"

#include "models/roberta.h"

namespace hone::camembert {

ModelConfig read_config(const Json& config) {
  return roberta::read_config_of(config, "Camembert", 30522);
}

}  // namespace hone::camembert
