#include "models/layers/key_value_prefix.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>

#include <numeric>

#include "models/kernels/cannot_replay.h"
#include "models/layers/key_value_cache.h"

namespace hone {

KeyValuePrefix::KeyValuePrefix(const at::Tensor& values, const Packed& tokens)
    : layers_(values.unbind(1)) {
  if (tokens.placed_seed.defined() && !tokens.ids.is_cpu())
    throw kernels::CannotReplay("a prefix is placed by the lengths of a batch's sequences");
  const int64_t length = values.size(0), sequences = tokens.sequences();
  const auto* ends = tokens.cu_seqlens.const_data_ptr<int32_t>();
  at::Tensor rows = at::empty({tokens.tokens() + sequences * length}, at::kLong);
  of_k_.ends = at::empty({sequences + 1}, at::kInt);
  of_k_.longest = tokens.max_len + length;
  auto* row = rows.mutable_data_ptr<int64_t>();
  auto* end = of_k_.ends.mutable_data_ptr<int32_t>();
  end[0] = 0;
  for (int64_t s = 0; s < sequences; ++s) {
    std::iota(row, row + length, int64_t{0});
    std::iota(row + length, row + length + ends[s + 1] - ends[s], length + ends[s]);
    row += length + ends[s + 1] - ends[s];
    end[s + 1] = end[s] + static_cast<int32_t>(length) + ends[s + 1] - ends[s];
  }
  rows_ = rows.to(tokens.ids.device());
  own_.positions = at::arange(length, tokens.ids.options()).repeat({sequences});
  own_.ids = at::zeros_like(own_.positions);
  own_.cu_seqlens = at::arange(0, (sequences + 1) * length, length, at::kInt);
  own_.max_len = length;
}

void KeyValuePrefix::append_to(KeyValueCache& cache, int64_t layer, at::ScalarType type) const {
  const at::Tensor own = of_layer(layer).detach().to(type);
  const auto of_all = [&](int64_t which) {
    return own.select(1, which).repeat({own_.sequences(), 1, 1});
  };
  cache.append(layer, of_all(0), of_all(1), own_);
}

KeyValuePrefix::View KeyValuePrefix::before(int64_t layer, const at::Tensor& k,
                                            const at::Tensor& v) const {
  const at::Tensor own = of_layer(layer).to(k.scalar_type());
  const auto joined = [&](int64_t which, const at::Tensor& tokens) {
    return at::cat({own.select(1, which), tokens}).index_select(0, rows_);
  };
  return {joined(0, k), joined(1, v), of_k_};
}

Packed behind_prefix(Packed tokens, int64_t prefix) {
  tokens.positions = tokens.positions + prefix;
  return tokens;
}

}  // namespace hone
