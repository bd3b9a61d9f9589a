#include "models/encoder_decoder.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "models/config_fields.h"
#include "models/layers/adopt.h"

namespace hone {
namespace {

EncoderPlan with_shared_words(EncoderPlan plan, const Embedding& words) {
  plan.embeddings.shared = words;
  return plan;
}

// A token's number in config.json: of a list the first; -1 where there is none.
int64_t token_field(const Json& config, const char* key) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return -1;
  const Json& id = found->is_array() && !found->empty() ? found->front() : *found;
  if (!id.is_number_integer() || id.get<int64_t>() < 0)
    throw ConfigDefect(key, fmt::format("\"{}\" should be the number of a token.", key));
  return id.get<int64_t>();
}

// The rows of a source that is no text: Packed::features, as if each were a token.
Packed as_tokens(const Packed& source) {
  if (!source.features.defined()) return source;  // there is none
  Packed tokens = source;
  tokens.ids = at::zeros({source.features.size(0)}, source.ids.options());
  tokens.cu_seqlens = source.feature_ends;
  tokens.positions = tokens.segments = tokens.keys = tokens.ids;  // nothing is dropped of them
  const auto* ends = tokens.cu_seqlens.const_data_ptr<int32_t>();
  tokens.max_len = 0;
  for (int64_t s = 0; s < tokens.sequences(); ++s)
    tokens.max_len = std::max<int64_t>(tokens.max_len, ends[s + 1] - ends[s]);
  return tokens;
}

// The same tokens behind so many sequences that have none.
Packed behind_empty(Packed tokens, int64_t sequences) {
  if (sequences > 0)
    tokens.cu_seqlens =
        at::cat({at::zeros({sequences}, tokens.cu_seqlens.options()), tokens.cu_seqlens});
  return tokens;
}

// Rows of the target, by source: of each so many sequences as `readers` says.
kernels::Stretches rows_by_source(const Packed& target, const std::vector<int64_t>& readers) {
  const auto* ends = target.cu_seqlens.const_data_ptr<int32_t>();
  const int64_t all = std::accumulate(readers.begin(), readers.end(), int64_t{0});
  TORCH_CHECK(all == target.sequences(), "[EncoderDecoder] ", target.sequences(),
              " sequences of the target, but ", all, " that read a source");
  kernels::Stretches rows;
  rows.ends = at::empty({static_cast<int64_t>(readers.size()) + 1}, at::kInt);
  auto* out = rows.ends.mutable_data_ptr<int32_t>();
  *out = 0;
  int64_t sequence = 0;
  for (const int64_t count : readers) {
    sequence += count;
    out[1] = ends[sequence];
    rows.longest = std::max<int64_t>(rows.longest, out[1] - out[0]);
    ++out;
  }
  return rows;
}

}  // namespace

ModelConfig EncoderDecoderPlan::described(const Json& raw) const {
  if (has_encoder) encoder.refuse_impossible();
  ModelConfig config = decoder.described(raw);
  config.num_layers = encoder_layers() + decoder.layers;
  config.is_causal = false;  // its tokens see all of the source
  config.encoder_decoder = EncoderDecoderFacts{
      .source_vocabulary = has_encoder ? encoder.embeddings.words : 0,
      .source_positions = encoder.embeddings.positions - encoder.embeddings.position_offset,
      .start = token_field(raw, "decoder_start_token_id"),
      .end = token_field(raw, "eos_token_id"),
      .reads_text = has_encoder};
  config.has_span_head = false;
  config.plan = std::make_shared<EncoderDecoderPlan>(*this);
  return config;
}

std::shared_ptr<Backbone> EncoderDecoderPlan::build(const ModelConfig& config) const {
  return std::make_shared<EncoderDecoderBackbone>(config, *this);
}

double EncoderDecoderPlan::weights() const {
  const double words = double(decoder.embeddings.words) * double(decoder.embeddings.width);
  return (has_encoder ? encoder.weights() : 0) + decoder.weights() -
         (shared_words.empty() ? 0 : words);
}

std::string EncoderDecoderPlan::layer_name(int64_t layer) const {
  const int64_t first = encoder_layers();
  return layer < first ? encoder.layer_name(layer) : decoder.layer_name(layer - first);
}

ActivationCounts EncoderDecoderPlan::activations() const {
  const ActivationCounts target = decoder.activations();
  if (!has_encoder) return target;
  const ActivationCounts source = encoder.activations();
  // The decoder's layers keep keys and values of the source's tokens too.
  const int64_t read = 2 * decoder.block.heads.key_value * decoder.block.heads.dim;
  return {.layers = std::max(source.layers, target.layers),
          .layer = std::max(source.layer + read, target.layer),
          .layer_fp32 = std::max(source.layer_fp32, target.layer_fp32),
          .layer_input = std::max(source.layer_input, target.layer_input),
          .embeddings = std::max(source.embeddings, target.embeddings)};
}

EncoderDecoderBackbone::EncoderDecoderBackbone(const ModelConfig& config,
                                               const EncoderDecoderPlan& plan)
    : Backbone(config) {
  if (const TokenEmbeddingsOptions& words = plan.decoder.embeddings; !plan.shared_words.empty())
    shared_words_ =
        adopt(*this, plan.shared_words, Embedding(words.words, words.width, words.padding));
  if (plan.has_encoder)
    encoder_ = std::make_unique<BlockStack>(*this, with_shared_words(plan.encoder, shared_words_));
  decoder_ = std::make_unique<BlockStack>(*this, with_shared_words(plan.decoder, shared_words_));
}

at::Tensor EncoderDecoderBackbone::encode(const Packed& source) {
  if (source.sequences() == 0) return {};
  if (!encoder_)
    return precision() == Precision::kBf16 ? source.features.to(at::kBFloat16) : source.features;
  return encoder_->forward(Rows(source, is_training()), {}, precision(), runner());
}

std::shared_ptr<const Source> EncoderDecoderBackbone::source_of(const Packed& source,
                                                                const Packed& target,
                                                                SourceMemory* memory) {
  const Packed tokens = encoder_ ? source : as_tokens(source);
  const int64_t known = memory == nullptr ? 0 : memory->keys_and_values.sequences();
  const bool is_new = source.sequences() > 0;
  return std::make_shared<Source>(
      Source{encode(source), Rows(is_new ? behind_empty(tokens, known) : tokens, is_training()),
             memory == nullptr ? kernels::Stretches{target.cu_seqlens, target.max_len}
                               : rows_by_source(target, memory->readers),
             memory == nullptr ? nullptr : &memory->keys_and_values});
}

at::Tensor EncoderDecoderBackbone::forward(std::span<const Packed> streams, const Want& want) {
  TORCH_CHECK(streams.size() == 2, "[EncoderDecoder] expected source and target, received ",
              streams.size(), " streams");
  TORCH_CHECK((want.cache == nullptr && want.sources == nullptr) || !is_training(),
              "[EncoderDecoder] what is kept of earlier tokens has no gradient: it is not for "
              "training");
  const Packed &source = streams[0], &target = streams[1];
  Rows rows(target, is_training(), want.cache);
  rows.set_source(source_of(source, target, want.sources));
  return decoder_->forward(rows, want, precision(), runner());
}

}  // namespace hone
