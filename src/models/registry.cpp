// The families. Adding one is a file pair and a line here; see docs/adding-a-model.md.
#include "models/albert.h"
#include "models/backbone.h"
#include "models/bart.h"
#include "models/bert.h"
#include "models/camembert.h"
#include "models/deberta.h"
#include "models/deberta_v2.h"
#include "models/distilbert.h"
#include "models/electra.h"
#include "models/ernie.h"
#include "models/gemma2.h"
#include "models/gpt2.h"
#include "models/llama.h"
#include "models/marian.h"
#include "models/mbart.h"
#include "models/mistral.h"
#include "models/modernbert.h"
#include "models/mpnet.h"
#include "models/pegasus.h"
#include "models/phi3.h"
#include "models/qwen2.h"
#include "models/qwen3.h"
#include "models/roberta.h"
#include "models/t5.h"
#include "models/whisper.h"
#include "models/xlm_roberta.h"

namespace hone {

Table<FamilyInfo>& families() {
  static Table<FamilyInfo> table("model family", {
                                                     {"albert", albert::read_config},
                                                     {"bart", bart::read_config},
                                                     {"bert", bert::read_config},
                                                     {"camembert", camembert::read_config},
                                                     {"deberta", deberta::read_config},
                                                     {"deberta-v2", deberta_v2::read_config},
                                                     {"distilbert", distilbert::read_config},
                                                     {"electra", electra::read_config},
                                                     {"ernie", ernie::read_config},
                                                     {"gemma2", gemma2::read_config},
                                                     {"gpt2", gpt2::read_config},
                                                     {"llama", llama::read_config},
                                                     {"marian", marian::read_config},
                                                     {"mbart", mbart::read_config},
                                                     {"mistral", mistral::read_config},
                                                     {"modernbert", modernbert::read_config},
                                                     {"mpnet", mpnet::read_config},
                                                     {"mt5", t5::read_mt5_config},
                                                     {"pegasus", pegasus::read_config},
                                                     {"phi3", phi3::read_config},
                                                     {"qwen2", qwen2::read_config},
                                                     {"qwen3", qwen3::read_config},
                                                     {"roberta", roberta::read_config},
                                                     {"t5", t5::read_config},
                                                     {"whisper", whisper::read_config},
                                                     {"xlm-roberta", xlm_roberta::read_config},
                                                 });
  return table;
}

}  // namespace hone
