#include "tune/optim/optimizer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "tune/optim/adamw_fused.h"
#include "tune/optim/adamw_simd.h"
#include "tune/optim/pieces.h"

namespace hone {

Optimizer::Optimizer(std::vector<Parameter> parameters) : parameters_(std::move(parameters)) {
  for (const Parameter& parameter : parameters_)
    TORCH_CHECK(parameter.value.scalar_type() == at::kFloat && parameter.value.is_contiguous(),
                "[Optimizer] expected a contiguous fp32 parameter, received \"", parameter.name,
                "\"");
}

const std::vector<int64_t>* touched_rows(const Parameter& parameter) {
  return parameter.rows ? parameter.rows->touched(parameter.value.grad()) : nullptr;
}

double sum_of_squares(const std::vector<Piece>& pieces, const std::vector<at::Tensor>& arrays) {
  std::vector<double> sums(pieces.size());
  for_pieces(pieces, [&](int64_t i, const Piece& piece) {
    sums[i] = sum_of_squares(arrays[piece.index].const_data_ptr<float>() + piece.begin,
                             piece.end - piece.begin);
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

double gradient_norm(const std::vector<Parameter>& parameters) {
  std::vector<Piece> pieces;
  std::vector<at::Tensor> gradients;
  for (const Parameter& parameter : parameters) {
    const at::Tensor& gradient = parameter.value.grad();
    if (!gradient.defined()) continue;
    gradients.push_back(gradient.to(at::kFloat).contiguous());
    if (!gradient.is_cpu()) continue;
    const size_t index = gradients.size() - 1;
    if (const std::vector<int64_t>* rows = touched_rows(parameter)) {
      const int64_t width = gradient.size(1);
      for (const int64_t row : *rows) cut(index, row * width, (row + 1) * width, pieces);
    } else {
      cut(index, 0, gradient.numel(), pieces);
    }
  }
  if (!gradients.empty() && !gradients.front().is_cpu()) return norm_fused(gradients);
  return std::sqrt(sum_of_squares(pieces, gradients));
}

const at::Tensor& find_state(const StateDict& state, const std::string& name) {
  const auto found = state.find(name);
  if (found == state.end())
    throw Error(ErrorKind::kModel,
                "optimizer state: \"" + name + "\" is missing; the checkpoint is of another model");
  return found->second;
}

void copy_state(const at::Tensor& to, const StateDict& state, const std::string& name) {
  const at::Tensor& from = find_state(state, name);
  if (from.sizes() != to.sizes())
    throw Error(ErrorKind::kModel,
                fmt::format("optimizer state: \"{}\" has {} values, the parameter has {}", name,
                            from.numel(), to.numel()));
  to.copy_(from);
}

}  // namespace hone
