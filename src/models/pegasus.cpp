#include "models/pegasus.h"

#include "models/bart.h"

namespace hone::pegasus {

ModelConfig read_config(const Json& config) {
  const bart::Family family{.architecture_stem = "Pegasus",
                            .padding = 0,
                            .norm_first = true,
                            .has_embedding_norm = false,
                            .has_sinusoids = true,
                            .start = 0,
                            .end = 1};
  return bart::described(config, bart::read_plan(config, family), family);
}

}  // namespace hone::pegasus
