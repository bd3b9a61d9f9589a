#include "models/layers/relative_positions.h"

#include "models/kernels/dropout.h"
#include "models/lazy_zeros.h"

namespace hone {

RelativePositionsImpl::RelativePositionsImpl(const RelativePositionsOptions& options)
    : options_(options) {
  const auto table = register_module("rel_embeddings", std::make_shared<torch::nn::Module>());
  table_ = table->register_parameter("weight", lazy_zeros({options.buckets, options.hidden}));
  if (options.has_norm)
    norm_ = register_module("LayerNorm", LayerNorm(options.hidden, options.norm_eps));
}

RelativePositionsImpl::Reached RelativePositionsImpl::reached_by(const Rows& rows) {
  const int64_t farthest = rows.tokens().max_len - 1, first = options_.bucket_of(farthest),
                count = options_.bucket_of(-farthest) + 1 - first;
  const Rows own = rows.of_table(first, count);
  at::Tensor vectors = table_.narrow(0, first, count);
  if (norm_) vectors = norm_(vectors);
  vectors = kernels::dropout(vectors, own.dropout(DropoutPlace::kPositions, options_.dropout));
  return {vectors, own,
          [first, of = options_.bucket_of](int64_t distance) { return of(distance) - first; }};
}

}  // namespace hone
