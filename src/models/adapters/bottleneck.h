// Bottleneck adapters: a small network of two layers at what a part of a block gives, in the forms
// and by the names of the `adapters` library (https://docs.adapterhub.ml):
//
//   double_seq_bn  y + U f(D y) after attention and feed-forward (Houlsby et al. 2019,
//                  https://arxiv.org/abs/1902.00751)
//   seq_bn         y + U f(D norm(y + residual)) after feed-forward alone (Pfeiffer et al. 2020,
//                  https://arxiv.org/abs/2005.00247)
//   par_bn         y + scaling · U f(D residual) beside feed-forward (He et al. 2021,
//                  https://arxiv.org/abs/2110.04366)
//
// y is what the part gives after dropout, residual what it is added to, norm the block's own where
// it follows their sum.
#pragma once

#include <torch/nn/module.h>

#include <string>
#include <vector>

#include "models/adapters/adapter.h"
#include "models/kernels/activation.h"
#include "models/layers/linear.h"
#include "models/layers/norm.h"

namespace hone {

enum class BottleneckForm { kDouble, kSingle, kParallel };

// Names and defaults are those of adapters.DoubleSeqBnConfig, SeqBnConfig and ParBnConfig.
template <BottleneckForm form>
struct BottleneckOptions {
  double reduction_factor = form == BottleneckForm::kParallel ? 2 : 16;
  std::string non_linearity = form == BottleneckForm::kDouble ? "swish" : "relu";
  double scaling = form == BottleneckForm::kParallel ? 4 : 1;
  double dropout = 0;
  std::string init_weights = form == BottleneckForm::kParallel ? "mam_adapter" : "bert";
  std::vector<std::string> leave_out = {};  // numbers of layers

  template <typename Visit>
  void for_each(Visit&& visit) {
    visit("reduction_factor", reduction_factor);
    visit("non_linearity", non_linearity);
    visit("scaling", scaling);
    visit("dropout", dropout);
    visit("init_weights", init_weights);
    visit("leave_out", leave_out);
  }
  void check(const Config& section) const;
};

struct BottleneckStyle {
  BottleneckForm form = BottleneckForm::kDouble;
  int64_t inner = 0;  // numbers of a row in between
  kernels::Activation activation = kernels::Activation::kRelu;
  double scaling = 1, dropout = 0;
  bool begins_at_zero = false;  // U is zero, D uniform; else both are normal(0, 0.02)
};

class Bottleneck : public torch::nn::Module {
 public:
  Bottleneck(const BottleneckStyle& style, const BlockSite& site);

  // y, residual [R, width], a row for each of `rows` -> what stands for y. `norm`: null where the
  // block's comes before its parts.
  at::Tensor apply(const at::Tensor& y, const at::Tensor& residual, LayerNorm norm,
                   const Rows& rows);

 private:
  at::Tensor input(const at::Tensor& y, const at::Tensor& residual, LayerNorm norm) const;

  BottleneckStyle style_;
  uint64_t key_;
  Linear down_{nullptr}, up_{nullptr};
};

}  // namespace hone
