#include "models/ernie.h"

#include "models/bert.h"
#include "models/config_fields.h"

namespace hone::ernie {

ModelConfig read_config(const Json& config) {
  EncoderPlan plan = bert::read_plan(config);
  const int64_t tasks = count_field(config, "task_type_vocab_size", 3);
  if (flag_field(config, "use_task_id", false)) plan.embeddings.tasks = tasks;
  ModelConfig out = bert::described(config, plan);
  out.base_prefix = "ernie";
  out.architecture_stem = "Ernie";
  out.sentence_head.uses_pooler = true;
  out.masked_lm = bert::masked_lm(plan);
  return out;
}

}  // namespace hone::ernie
