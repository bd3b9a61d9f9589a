#include "tune/optim/moments.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "tune/optim/moments_simd.h"
#include "tune/optim/optimizer.h"

namespace hone {
namespace {

int64_t blocks_of(int64_t count) { return (count + kMomentBlock - 1) / kMomentBlock; }

uint16_t* bf16_at(const at::Tensor& x, int64_t begin) {
  return static_cast<uint16_t*>(x.mutable_data_ptr()) + begin;
}

MomentCodes codes_at(const at::Tensor& values, const at::Tensor& scales, int64_t begin,
                     int64_t count, bool is_root) {
  return {.count = count,
          .is_root = is_root,
          .codes = values.mutable_data_ptr<uint8_t>() + begin,
          .scales = scales.mutable_data_ptr<float>() + begin / kMomentBlock};
}

}  // namespace

MomentType moment_type(const std::string& name) {
  if (name == "bf16") return MomentType::kBf16;
  return name == "int8" ? MomentType::kInt8 : MomentType::kFp32;
}

int64_t moment_bytes(MomentType type, int64_t count) {
  if (type == MomentType::kFp32) return 2 * 4 * count;
  if (type == MomentType::kBf16) return 2 * 2 * count;
  return 2 * (count + 4 * blocks_of(count));
}

NarrowMoments::NarrowMoments(MomentType type, at::IntArrayRef shape) : type_(type) {
  for (Stored* stored : {&mean_, &square_}) {
    stored->values = at::zeros(shape, type == MomentType::kBf16 ? at::kBFloat16 : at::kByte);
    if (type == MomentType::kInt8)
      stored->scales = at::zeros({blocks_of(stored->values.numel())}, at::kFloat);
  }
}

void NarrowMoments::read(int64_t begin, int64_t count, float* mean, float* square) const {
  if (type_ == MomentType::kBf16) {
    widen_bf16(bf16_at(mean_.values, begin), count, mean);
    widen_bf16(bf16_at(square_.values, begin), count, square);
  } else {
    widen_codes(codes_at(mean_.values, mean_.scales, begin, count, false), mean);
    widen_codes(codes_at(square_.values, square_.scales, begin, count, true), square);
  }
}

void NarrowMoments::write(int64_t begin, int64_t count, uint32_t key, const float* mean,
                          const float* square) {
  const MomentNoise of_mean{key, static_cast<uint32_t>(begin)},
      of_square{~key, static_cast<uint32_t>(begin)};
  if (type_ == MomentType::kBf16) {
    narrow_to_bf16(mean, count, of_mean, bf16_at(mean_.values, begin));
    narrow_to_bf16(square, count, of_square, bf16_at(square_.values, begin));
  } else {
    narrow_to_codes(mean, of_mean, codes_at(mean_.values, mean_.scales, begin, count, false));
    narrow_to_codes(square, of_square,
                    codes_at(square_.values, square_.scales, begin, count, true));
  }
}

template <typename Visit>
void NarrowMoments::for_each_tensor(const std::string& name, const Visit& visit) const {
  visit("exp_avg." + name, mean_.values);
  visit("exp_avg_sq." + name, square_.values);
  if (type_ != MomentType::kInt8) return;
  visit("exp_avg.scales." + name, mean_.scales);
  visit("exp_avg_sq.scales." + name, square_.scales);
}

void NarrowMoments::add_to(StateDict& state, const std::string& name) const {
  for_each_tensor(name,
                  [&](const std::string& key, const at::Tensor& tensor) { state[key] = tensor; });
}

void NarrowMoments::load(const StateDict& state, const std::string& name) {
  for_each_tensor(name, [&](const std::string& key, const at::Tensor& tensor) {
    if (find_state(state, key).scalar_type() != tensor.scalar_type())
      throw Error(ErrorKind::kModel, "optimizer state: \"" + key +
                                         "\" is of another type than optim_moments asks for");
    copy_state(tensor, state, key);
  });
}

}  // namespace hone
