// Rotary positions as config.json describes them: "rope_parameters", "rope_scaling" of older files,
// and the keys beside them.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "models/layers/rotary.h"

namespace hone {

struct RotaryRules {
  bool can_be_partial = false;  // "partial_rotary_factor": of each head's columns (Phi 3)
  // Of Phi 3 alone: angles are plain or LongRoPE's, which older files call "su" and "yarn".
  bool is_long_only = false;
  int64_t trained = 0;  // where "original_max_position_embeddings" is absent; 0: all positions
};

// Of heads of `dim` columns, in a model for sequences of `positions` tokens
// ("max_position_embeddings"). ConfigDefect for a kind of scaling that is not known and for numbers
// that no scaling can have.
RotaryOptions rotary_field(const Json& config, int64_t dim, int64_t positions,
                           const RotaryRules& rules = {});

// The longest sequence that these angles are meant for, which scaling may make longer than
// `positions`. LongRoPE's short angles end with the trained positions.
int64_t positions_of(const RotaryOptions& rotary, int64_t positions);

}  // namespace hone
