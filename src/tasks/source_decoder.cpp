#include "tasks/source_decoder.h"

#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "models/encoder_decoder.h"
#include "tasks/causal_decoder.h"

namespace hone {
namespace {

// Of the decoder alone.
int64_t decoder_layers(const Network& network) {
  const ModelConfig& config = network.backbone().config();
  const auto* plan = dynamic_cast<const EncoderDecoderPlan*>(config.plan.get());
  if (plan == nullptr)
    throw Error(ErrorKind::kUsage,
                fmt::format("a model of the family {} has no encoder", config.model_type));
  return plan->decoder.layers;
}

// Each prompt once, of neighbours that answer it.
std::vector<size_t> without_repeats(std::vector<size_t> prompts) {
  prompts.erase(std::unique(prompts.begin(), prompts.end()), prompts.end());
  return prompts;
}

}  // namespace

SourceDecoder::SourceDecoder(Network& network, const std::vector<Prompt>& prompts)
    : SourceDecoder(network, [&prompts](const std::vector<size_t>& wanted) {
        std::vector<NewTokens> sources;
        for (const size_t prompt : wanted) sources.push_back({prompt, prompts[prompt].source});
        return pack_new(sources, KeyValueCache(1));
      }) {}

SourceDecoder::SourceDecoder(Network& network, SourceStream source)
    : network_(network),
      source_(std::move(source)),
      head_(causal_head_of(network)),
      packed_(network),
      cache_(decoder_layers(network)),
      sources_(decoder_layers(network)) {}

std::vector<size_t> SourceDecoder::count_readers(const std::vector<NewTokens>& sequences) {
  prompts_of_sequences_.clear();
  for (const NewTokens& sequence : sequences) prompts_of_sequences_.push_back(sequence.prompt);
  const std::vector<size_t> all = without_repeats(prompts_of_sequences_);
  std::vector<size_t> fresh(all.begin() + static_cast<int64_t>(prompts_of_sources_.size()),
                            all.end());
  prompts_of_sources_ = all;
  sources_.readers.assign(all.size(), 0);
  size_t source = 0;
  for (const size_t prompt : prompts_of_sequences_) {
    if (prompt != all[source]) ++source;
    ++sources_.readers[source];
  }
  return fresh;
}

at::Tensor SourceDecoder::next(const std::vector<NewTokens>& sequences) {
  const c10::AutoGradMode no_grad(false);
  Batch batch;
  batch.streams.push_back(source_(count_readers(sequences)));
  batch.streams.push_back(pack_new(sequences, cache_));
  batch = network_.place(std::move(batch));
  const at::Tensor last = batch.streams.back().last_rows();
  const at::Tensor states = head_.states(network_.backbone(), batch, last, &cache_, &sources_);
  return head_.logits(network_.backbone(), states).to(at::kCPU, at::kFloat).contiguous();
}

void SourceDecoder::select(std::span<const int64_t> sequences) {
  std::vector<size_t> prompts;
  for (const int64_t sequence : sequences)
    prompts.push_back(prompts_of_sequences_.at(static_cast<size_t>(sequence)));
  cache_.select(sequences);
  prompts_of_sequences_ = prompts;
  std::vector<int64_t> kept;
  size_t source = 0;
  for (const size_t prompt : without_repeats(prompts)) {
    while (prompts_of_sources_.at(source) != prompt) ++source;
    kept.push_back(static_cast<int64_t>(source));
  }
  sources_.keys_and_values.select(kept);
  prompts_of_sources_ = without_repeats(prompts);
}

}  // namespace hone
