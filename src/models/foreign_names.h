// Checkpoints whose tensors bear other names than the model's.
#pragma once

#include <string>
#include <vector>

namespace hone {

// Why tensors that the model lacks may be missing, in words that follow "does config.json belong to
// these weights?": they stand in `unexpected` (what the model did not take) behind a wrapper's name
// ("0.auto_model."). "" where it cannot be told. `prefix`, the base model's, may be absent there.
std::string wrapper_advice(const std::vector<std::string>& missing, const std::string& prefix,
                           const std::vector<std::string>& unexpected);

// Error(kModel) for tensors of an adapter (LoRA) among those that the model did not take: without
// them the model is another.
void refuse_adapter(const std::vector<std::string>& unexpected, const std::string& source);

}  // namespace hone
