#include "tune/regularise/shifts.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "base/random.h"

namespace hone {
namespace {

// Tokens of each sample of a stream, [B] int64.
at::Tensor lengths_of(const Packed& stream) {
  const at::Tensor ends = stream.cu_samples.defined()
                              ? stream.cu_seqlens.index_select(0, stream.cu_samples)
                              : stream.cu_seqlens;
  return at::diff(ends).to(at::kLong);
}

// The sample of each row of a stream, [N].
at::Tensor sample_of_row(const Packed& stream) {
  return at::repeat_interleave(lengths_of(stream)).to(stream.ids.device());
}

// Tells the draws from those of dropout, which have the same seed and keys.
constexpr uint64_t kNoise = 0x6e6f697365;

at::Tensor noise_of(const Packed& stream, int64_t width) {
  const at::Tensor keys = stream.keys.cpu();
  const int64_t* key = keys.const_data_ptr<int64_t>();
  const uint64_t seed = mix(stream.dropout_seed(), kNoise);
  at::Tensor all = at::empty({stream.tokens(), width}, at::kFloat);
  float* out = all.mutable_data_ptr<float>();
  at::parallel_for(0, stream.tokens(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t column = 0; column < width; ++column) {
        const auto draws = philox(seed, static_cast<uint64_t>(key[row]), column / 4);
        out[row * width + column] = static_cast<float>(draws[column % 4] * 0x1p-31 - 1);
      }
    }
  });
  return all.to(stream.ids.device());
}

at::TensorOptions by_sample(const Batch& batch) {
  return batch.streams.front().ids.options().dtype(at::kDouble);
}

}  // namespace

Shifts zero_shifts(const Batch& batch, int64_t width) {
  Shifts shifts;
  for (const Packed& stream : batch.streams)
    shifts.push_back(at::zeros({stream.tokens(), width}, stream.ids.options().dtype(at::kFloat))
                         .requires_grad_());
  return shifts;
}

Shifts noise(const Batch& batch, int64_t width) {
  Shifts shifts;
  for (const Packed& stream : batch.streams) shifts.push_back(noise_of(stream, width));
  return shifts;
}

Shifts leaves(const Shifts& shifts) {
  Shifts all;
  for (const at::Tensor& shift : shifts) all.push_back(shift.detach().clone().requires_grad_());
  return all;
}

Shifts gradients(const Shifts& shifts) {
  Shifts all;
  for (const at::Tensor& shift : shifts)
    all.push_back(shift.grad().defined() ? shift.grad() : at::zeros_like(shift.detach()));
  return all;
}

Batch with_added(Batch batch, const Shifts& shifts) {
  for (size_t i = 0; i < shifts.size(); ++i) {
    at::Tensor& shift = batch.streams[i].shift;
    shift = shift.defined() ? shift + shifts[i] : shifts[i];
  }
  return batch;
}

Batch with_fixed_shift(Batch batch) {
  for (Packed& stream : batch.streams) {
    if (stream.shift.defined()) stream.shift = stream.shift.detach();
  }
  return batch;
}

at::Tensor tokens_of(const Batch& batch) {
  at::Tensor tokens = at::zeros({batch.streams.front().samples()}, by_sample(batch));
  for (const Packed& stream : batch.streams) tokens += lengths_of(stream).to(tokens.options());
  return tokens;
}

at::Tensor norms(const Batch& batch, const Shifts& shifts) {
  at::Tensor squares = at::zeros({batch.streams.front().samples()}, by_sample(batch));
  for (size_t i = 0; i < shifts.size(); ++i)
    squares.index_add_(0, sample_of_row(batch.streams[i]),
                       shifts[i].detach().to(at::kDouble).square().sum(1));
  return squares.sqrt();
}

Shifts scaled(const Batch& batch, const Shifts& shifts, const at::Tensor& factors) {
  Shifts all;
  for (size_t i = 0; i < shifts.size(); ++i) {
    const at::Tensor each = factors.index_select(0, sample_of_row(batch.streams[i])).unsqueeze(1);
    // In double: of a tiny gradient the factor is more than fp32 holds, its product is not.
    all.push_back((shifts[i].detach().to(at::kDouble) * each).to(at::kFloat));
  }
  return all;
}

Shifts with_length(const Batch& batch, const Shifts& shifts, double length) {
  const at::Tensor norm = norms(batch, shifts);
  return scaled(batch, shifts, at::where(norm.gt(0), length / norm, 0));
}

Shifts sum(const Shifts& a, const Shifts& b) {
  Shifts all;
  for (size_t i = 0; i < a.size(); ++i) all.push_back(a[i].detach() + b[i].detach());
  return all;
}

Shifts ascent(const Batch& batch, const Shifts& moved, double size) {
  const Shifts slopes = gradients(moved);
  const at::Tensor length = norms(batch, slopes);
  if (!length.isfinite().all().item<bool>()) throw NotFinite{"gradient", /*is_gradient=*/true};
  return with_length(batch, slopes, size);
}

Shifts projected(const Batch& batch, const Shifts& shifts, double radius) {
  return scaled(batch, shifts, (radius / norms(batch, shifts)).clamp_max(1));
}

PassResult pass_at(const Pass& inner, const Batch& batch, const Shifts& shifts, const char* name) {
  try {
    return inner(with_added(batch, shifts));
  } catch (NotFinite& failure) {
    failure.what += fmt::format(" at the adversarial embeddings (regularise.{})", name);
    throw;
  }
}

}  // namespace hone
