#include "models/mbart.h"

#include "models/bart.h"

namespace hone::mbart {

ModelConfig read_config(const Json& config) {
  const bart::Family family{
      .architecture_stem = "MBart", .reserved_positions = 2, .norm_first = true};
  return bart::described(config, bart::read_plan(config, family), family);
}

}  // namespace hone::mbart
