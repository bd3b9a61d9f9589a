#include "models/layers/convolution.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/conv1d.h>
#include <ATen/ops/zeros.h>

#include "models/kernels/dropout.h"
#include "models/lazy_zeros.h"

namespace hone {

ConvolutionImpl::ConvolutionImpl(const ConvolutionOptions& options) : options_(options) {
  const int64_t hidden = options.hidden;
  const auto conv = register_module("conv", std::make_shared<torch::nn::Module>());
  weight_ = conv->register_parameter("weight",
                                     lazy_zeros({hidden, hidden / options.groups, options.tokens}));
  bias_ = conv->register_parameter("bias", at::zeros({hidden}));
  norm_ = register_module("LayerNorm", LayerNorm(hidden, options.norm_eps));
}

// Sequences are laid out with as many rows of zeros between them as a token sees on one side.
at::Tensor ConvolutionImpl::convolve(const at::Tensor& x, const Packed& tokens) const {
  const int64_t side = options_.tokens / 2;
  const at::Tensor lengths = tokens.cu_seqlens.diff().to(at::kLong),
                   sequence = at::arange(1, tokens.sequences() + 1, at::kLong)
                                  .repeat_interleave(lengths, 0, x.size(0));
  const at::Tensor place =
      (at::arange(x.size(0), at::kLong) + side * sequence).to(x.device(), /*non_blocking=*/true);
  const int64_t length = x.size(0) + side * (tokens.sequences() + 1);
  const at::Tensor apart = at::zeros({length, x.size(1)}, x.options()).index_copy(0, place, x);
  const at::ScalarType type = x.scalar_type();
  const at::Tensor out = at::conv1d(apart.t().unsqueeze(0), weight_.to(type), bias_.to(type),
                                    /*stride=*/1, side, /*dilation=*/1, options_.groups);
  return out[0].t().index_select(0, place);
}

at::Tensor ConvolutionImpl::forward(const at::Tensor& x, const at::Tensor& residual,
                                    const Rows& rows) {
  const at::Tensor seen =
      kernels::dropout(rows.of(convolve(x, rows.tokens())),
                       rows.dropout(DropoutPlace::kConvolution, options_.dropout));
  return norm_(residual + kernels::bias_activation(seen, /*bias=*/{}, options_.activation));
}

}  // namespace hone
