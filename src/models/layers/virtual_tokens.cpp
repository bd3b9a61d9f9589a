#include "models/layers/virtual_tokens.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/bitwise_xor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <numeric>
#include <vector>

#include "base/random.h"
#include "models/kernels/cannot_replay.h"

namespace hone {
namespace {

// Which rows are whose among both.
struct Places {
  at::Tensor prompt, text;  // [S * P], [N] int64
  at::Tensor ends;          // [S + 1] int32
};

Places places_of(const Packed& text, int64_t length) {
  if (text.placed_seed.defined() && !text.ids.is_cpu())
    throw kernels::CannotReplay("virtual tokens are placed by the lengths of a batch's sequences");
  const int64_t sequences = text.sequences();
  const auto* ends = text.cu_seqlens.const_data_ptr<int32_t>();
  Places places{at::empty({sequences * length}, at::kLong), at::empty({text.tokens()}, at::kLong),
                at::empty({sequences + 1}, at::kInt)};
  auto* prompt_row = places.prompt.mutable_data_ptr<int64_t>();
  auto* text_row = places.text.mutable_data_ptr<int64_t>();
  auto* end = places.ends.mutable_data_ptr<int32_t>();
  int64_t row = 0;
  *end++ = 0;
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t own = ends[s + 1] - ends[s];
    std::iota(prompt_row, prompt_row + length, row);
    std::iota(text_row, text_row + own, row + length);
    prompt_row += length, text_row += own, row += length + own;
    *end++ = static_cast<int32_t>(row);
  }
  const at::Device device = text.ids.device();
  return {places.prompt.to(device), places.text.to(device), places.ends};
}

// A column of both.
at::Tensor joined_column(const Places& places, const at::Tensor& of_prompt,
                         const at::Tensor& of_text) {
  std::vector<int64_t> shape = of_text.sizes().vec();
  shape[0] = places.prompt.size(0) + places.text.size(0);
  return at::zeros(shape, of_text.options().requires_grad(false))
      .index_copy(0, places.text, of_text)
      .index_copy(0, places.prompt, of_prompt);
}

// Keys of what is dropped: of the sequence's own first one, and others than those of its tokens.
at::Tensor prompt_keys(const Packed& text, int64_t length) {
  std::vector<int64_t> masks;
  for (int64_t i = 0; i < length; ++i)
    masks.push_back(static_cast<int64_t>(mix(0x70726f6d7074, static_cast<uint64_t>(i))));
  const at::Tensor own = at::tensor(masks, at::kLong).to(text.keys.device());
  return at::bitwise_xor(text.keys.index_select(0, text.first_rows()).unsqueeze(1), own).flatten();
}

}  // namespace

Prompted with_prompt(const Packed& text, const at::Tensor& prompt) {
  const int64_t length = prompt.size(0), sequences = text.sequences();
  const Places places = places_of(text, length);
  const at::Tensor numbers = at::arange(length, text.ids.options()).repeat({sequences});
  Packed all = text;
  all.ids = joined_column(places, at::zeros_like(numbers), text.ids);
  all.segments = joined_column(places, at::zeros_like(numbers), text.segments);
  all.positions = joined_column(places, numbers, text.positions + length);
  if (text.keys.defined()) all.keys = joined_column(places, prompt_keys(text, length), text.keys);
  if (text.shift.defined())
    all.shift = joined_column(
        places, at::zeros({sequences * length, text.shift.size(1)}, text.shift.options()),
        text.shift);
  all.cu_seqlens = places.ends;
  all.max_len = text.max_len + length;
  all.prompt = prompt.repeat({sequences, 1});
  all.prompt_rows = places.prompt;
  return {std::move(all), places.text};
}

}  // namespace hone
