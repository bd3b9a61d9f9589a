// The tasks: one line each. A test checks that every folder of src/tasks with a task in it has its
// line.
#include "tasks/causal_lm/causal_lm.h"
#include "tasks/choice/choice.h"
#include "tasks/classify/classify.h"
#include "tasks/embedding/embedding.h"
#include "tasks/entity_relations/entity_relations.h"
#include "tasks/intent_slots/intent_slots.h"
#include "tasks/mlm/mlm.h"
#include "tasks/ner/ner.h"
#include "tasks/nested_ner/nested_ner.h"
#include "tasks/prompt/prompt.h"
#include "tasks/qa/qa.h"
#include "tasks/relation/relation.h"
#include "tasks/seq2seq/seq2seq.h"
#include "tasks/setfit/setfit.h"
#include "tasks/several/several.h"
#include "tasks/task.h"

namespace hone {

Table<TaskInfo>& tasks() {
  static Table<TaskInfo> all("task", {
                                         classify::kInfo,
                                         entity_relations::kInfo,
                                         intent_slots::kInfo,
                                         ner::kInfo,
                                         mlm::kInfo,
                                         nested_ner::kInfo,
                                         qa::kInfo,
                                         relation::kInfo,
                                         choice::kInfo,
                                         prompt::kInfo,
                                         embedding::kInfo,
                                         setfit::kInfo,
                                         causal_lm::kInfo,
                                         seq2seq::kInfo,
                                         several::kInfo,
                                     });
  return all;
}

const TaskInfo& task_named(const std::string& name) { return tasks().named(name); }

}  // namespace hone
