#include "tasks/averages.h"

#include <ATen/ATen.h>

#include <cmath>

namespace hone {
namespace {

// log of the mean of exp, over the models.
at::Tensor log_mean(const std::vector<at::Tensor>& logarithms) {
  return at::logsumexp(at::stack(logarithms), at::IntArrayRef({0})) -
         std::log(static_cast<double>(logarithms.size()));
}

}  // namespace

at::Tensor average_of_classes(const std::vector<at::Tensor>& logits) {
  std::vector<at::Tensor> logarithms;
  for (const at::Tensor& one : logits) logarithms.push_back(at::log_softmax(one, -1));
  return log_mean(logarithms);
}

// log of the mean of p, less that of the mean of 1 - p: both stay exact where p is near 0 or 1.
at::Tensor average_of_labels(const std::vector<at::Tensor>& logits) {
  std::vector<at::Tensor> yes, no;
  for (const at::Tensor& one : logits) {
    yes.push_back(at::log_sigmoid(one));
    no.push_back(at::log_sigmoid(-one));
  }
  return log_mean(yes) - log_mean(no);
}

at::Tensor average_of_numbers(const std::vector<at::Tensor>& numbers) {
  return at::stack(numbers).mean(at::IntArrayRef({0}));
}

}  // namespace hone
