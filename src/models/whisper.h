// The text side of Whisper (Radford et al. 2022, https://arxiv.org/abs/2212.04356): a decoder that
// reads states of a sound. What makes these of a sound is not here: they come as features of the
// source (models/encoder_decoder.h).
#pragma once

#include "models/backbone.h"

namespace hone::whisper {

ModelConfig read_config(const Json& config);

}  // namespace hone::whisper
