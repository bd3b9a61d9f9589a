#include "models/xlm_roberta.h"

#include "models/roberta.h"

namespace hone::xlm_roberta {

ModelConfig read_config(const Json& config) {
  return roberta::read_config_of(config, "XLMRoberta", 30522);
}

}  // namespace hone::xlm_roberta
