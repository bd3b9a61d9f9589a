// An adapter merged into its base model: a plain model, with the proof that it answers the same.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"

namespace hone {

class Pipeline;

struct MergeProof {
  int64_t rows = 0;  // texts of random tokens
  std::string of;    // what was compared: "logits", or "hidden states" without a task
  double largest_difference = 0, largest_value = 0;
  // Of an adapter that was trained beside a base model in fewer bits: how far its outputs beside
  // that one are from those beside the full one, into which it was merged.
  std::optional<double> from_training = {};

  Json json() const;
};

// Merges what hone loaded from the folder `adapter`: a plain model from now on. Error(kModel) where
// it answers otherwise then.
MergeProof merge_proven(Pipeline& pipeline, const std::string& adapter);

// `adapter`: a folder that hone or Hugging Face PEFT saved. Writes the merged model into the new
// folder `out`, and merge_proof.json beside its files. `part`: of several tasks the one that the
// merged model is for; "": all. Error(kUsage) where `out` is there already, Error(kModel) for what
// is wrong with the adapter, and where the merged model answers otherwise.
MergeProof merge_adapter(const std::string& adapter, const std::string& out,
                         const std::string& part = "");

// One task of a model of several, without adapters, as a model of its own in the new folder `out`.
void save_part(const std::string& model, const std::string& out, const std::string& part);

}  // namespace hone
