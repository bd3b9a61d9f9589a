#include "models/adapters/low_rank.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <algorithm>

#include "models/layers/products.h"

namespace hone {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// Products that read the same rows: all of them where nothing is dropped, else each for itself.
struct Group {
  std::vector<size_t> members;
  at::Tensor a;  // [sum of r, in] of all, in the type of x
};

std::vector<Group> groups_of(const std::vector<LowRank>& products, at::ScalarType type) {
  std::vector<Group> groups;
  const bool none_drops = std::all_of(products.begin(), products.end(),
                                      [](const LowRank& one) { return one.dropout.p == 0; });
  for (size_t i = 0; i < products.size(); ++i) {
    if (i == 0 || !none_drops) groups.emplace_back();
    groups.back().members.push_back(i);
  }
  for (Group& group : groups) {
    std::vector<at::Tensor> parts;
    for (const size_t i : group.members) parts.push_back(products[i].a.detach());
    group.a = (parts.size() == 1 ? parts[0] : at::cat(parts)).to(type);
  }
  return groups;
}

// The columns of y that a product is added to.
at::Tensor columns_of(const at::Tensor& y, const LowRank& one) {
  return y.narrow(1, one.begin, one.b.size(0));
}

struct Held : torch::CustomClassHolder {
  std::vector<LowRank> products;  // with A and B as constants
  std::vector<Group> groups;
  at::ScalarType type = at::kFloat;
};

struct AddLowRank : torch::autograd::Function<AddLowRank> {
  // `weights`: A and B of each product.
  static Variable forward(AutogradContext* context, const Variable& y, const Variable& x,
                          at::TensorList weights, const std::vector<LowRank>& products) {
    auto held = c10::make_intrusive<Held>();
    held->type = x.scalar_type();
    held->products = products;
    for (LowRank& one : held->products) one.a = one.a.detach(), one.b = one.b.detach();
    held->groups = groups_of(held->products, held->type);
    variable_list kept = {x};
    for (const Group& group : held->groups) {
      const LowRank& first = held->products[group.members.front()];
      kept.push_back(product_of(kernels::dropout(x, first.dropout), group.a, std::nullopt));
      add_up(*held, group, kept.back(), y);
    }
    context->save_for_backward(kept);
    context->saved_data["held"] = c10::IValue::make_capsule(held);
    context->mark_dirty({y});
    return y;
  }

  static void add_up(const Held& held, const Group& group, const at::Tensor& inner,
                     const at::Tensor& y) {
    int64_t begin = 0;
    for (const size_t i : group.members) {
      const LowRank& one = held.products[i];
      const int64_t rank = one.a.size(0);
      columns_of(y, one).add_(product_of(inner.narrow(1, begin, rank),
                                         (one.b * one.scaling).to(held.type), std::nullopt));
      begin += rank;
    }
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto held =
        c10::static_intrusive_pointer_cast<Held>(context->saved_data["held"].toCapsule());
    const variable_list kept = context->get_saved_variables();
    const at::Tensor& g = gradients[0];
    variable_list result(2 + 2 * held->products.size() + 1);
    result[0] = g;
    for (size_t i = 0; i < held->groups.size(); ++i)
      add_gradients(context, *held, held->groups[i], g, kept[0], kept[1 + i], result);
    return result;
  }

  static void add_gradients(AutogradContext* context, const Held& held, const Group& group,
                            const at::Tensor& g, const at::Tensor& x, const at::Tensor& inner,
                            variable_list& result) {
    const kernels::DropoutOptions& dropout = held.products[group.members.front()].dropout;
    std::vector<at::Tensor> parts;  // the gradient of `inner`
    int64_t begin = 0;
    for (const size_t i : group.members) {
      const LowRank& one = held.products[i];
      const int64_t rank = one.a.size(0);
      const at::Tensor own = columns_of(g, one);
      parts.push_back(at::mm(own, (one.b * one.scaling).to(held.type)));
      result[2 + 2 * i + 1] =
          at::mm(own.t(), inner.narrow(1, begin, rank)).to(at::kFloat).mul_(one.scaling);
      begin += rank;
    }
    const at::Tensor of_inner = parts.size() == 1 ? parts[0] : at::cat(parts, 1);
    const at::Tensor of_a =
        at::mm(of_inner.t(), kernels::dropout(x, dropout)).to(at::kFloat);  // [sum of r, in]
    begin = 0;
    for (const size_t i : group.members) {
      const int64_t rank = held.products[i].a.size(0);
      result[2 + 2 * i] = of_a.narrow(0, begin, rank);
      begin += rank;
    }
    if (!context->needs_input_grad(1)) return;
    const at::Tensor of_x = kernels::dropout(at::mm(of_inner, group.a), dropout);
    result[1] = result[1].defined() ? result[1] + of_x : of_x;
  }
};

}  // namespace

at::Tensor add_low_rank(const at::Tensor& y, const at::Tensor& x,
                        const std::vector<LowRank>& products) {
  std::vector<at::Tensor> weights;
  for (const LowRank& one : products) weights.push_back(one.a), weights.push_back(one.b);
  return AddLowRank::apply(y, x, at::TensorList(weights), products);
}

}  // namespace hone
