// The one Linear of all models: the single place for precision and for adapters, and for pruning
// masks as they come.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/adapters/adapter.h"
#include "models/kernels/activation.h"
#include "models/kernels/int8_product.h"
#include "models/layers/frozen_weight.h"
#include "models/layers/packed_weights.h"
#include "models/layers/rows.h"
#include "models/precision.h"

namespace hone {

// Memory that several layers of equal input share, so that one product serves them all; see
// JoinedLinear.
struct JoinedMemory {
  at::Tensor weight, bias,
      shadow;  // [sum of out, in], [sum of out] or undefined, and bf16 [sum of out, in] or
               // undefined
  kernels::Int8Rows int8;  // of all rows, or undefined
  // Those of layers whose weights are frozen, by their first row; once these are all, they are
  // `frozen`, and there is no `weight`.
  std::map<int64_t, FrozenWeight*> frozen_parts;
  FrozenWeight frozen;
  PackedSlot packed;  // of all rows
};

class LinearImpl : public torch::nn::Module {
 public:
  LinearImpl(int64_t in, int64_t out, bool has_bias = true);
  // Multiplies with another module's parameter [out, in], which stays that module's: a table of
  // words as an output layer. No bias.
  explicit LinearImpl(const at::Tensor& shared);

  // x [R, in], a row for each of `rows` -> [R, out], in x's type.
  at::Tensor forward(const at::Tensor& x, const Rows& rows);
  // f(forward(x, rows)), the bias added on the way.
  at::Tensor activated(const at::Tensor& x, const Rows& rows, kernels::Activation activation);
  // x Wᵀ + bias without adapters, of any rows; fp32, of bf16 rows too where nothing is
  // differentiated: as logits, values that are close must not become equal. `added` [out] fp32: a
  // bias that is another module's, of a layer that has none.
  at::Tensor wide_product(const at::Tensor& x, const at::Tensor& added = {});
  // x Wᵀ without adapters and bias, of any rows, in x's type.
  at::Tensor bare_product(const at::Tensor& x) { return multiply(x, std::nullopt); }
  void initialise(double range,
                  uint64_t seed);  // normal(0, range) weights, zero bias (BERT's rule)

  // bf16: products use a bf16 copy of the weight, refreshed by refresh_shadow after each optimizer
  // step; the fp32 master stays the parameter. int8: products use a rounded copy made here (call it
  // again after the weights have changed), and are not differentiable; x and y stay fp32.
  void set_precision(Precision precision);
  void refresh_shadow();
  at::Tensor& shadow() { return shadow_; }
  // false: while training no copy is kept, and each product makes one of its own, of the same bits;
  // time for memory. In evaluation there is one all the same. To be said before set_precision.
  void keep_shadow(bool keeps) { keeps_shadow_ = keeps; }
  bool keeps_shadow() const { return keeps_shadow_; }
  void train(bool on = true) override;
  bool is_bf16() const { return is_bf16_; }  // what set_precision said last
  // What products with rows of this type read [out, in]: the weight, or a bf16 copy of it.
  at::Tensor operand(at::ScalarType type);
  // From now on the weight is kept in another form alone, whatever the precision: nothing trains
  // it, and `weight` has its shape still but no numbers. REQUIRES: on the CPU; not full; no adapter
  // yet.
  void freeze_weight(const BaseForm& form);
  const FrozenWeight& frozen_weight() const { return frozen_; }
  // The weight packed for products of few rows (see PackedWeights), alone or with those it is
  // joined to; null where it has no such form: on a GPU, frozen, or int8 on a processor without
  // their products.
  std::shared_ptr<const PackedForm> pack();
  bool owns_weight() const { return named_parameters(/*recurse=*/false).contains("weight"); }
  // The weight as products read it [out, in] fp32, in whatever form it is kept; no gradient.
  at::Tensor weight_values() const;
  // Takes weight, bias and what is kept of them in other precisions from a layer of the same shape:
  // the same memory, which stays as it is. Of joined layers all must, from layers joined alike.
  void share(const LinearImpl& other);
  bool shares_weight() const { return is_shared_; }
  const JoinedMemory* joined_memory() const { return joined_.get(); }  // null: not joined
  // Weight and bias lie in `memory` from row `begin` on, and have the values that it has there.
  void join(std::shared_ptr<JoinedMemory> memory, int64_t begin);

  // Registers an adapter below the layer as `name`; several change its output in the order they
  // came in. Error(kInternal) where the name is taken.
  void attach(const std::string& name, std::shared_ptr<Adapter> adapter);
  const std::vector<std::pair<std::string, std::shared_ptr<Adapter>>>& adapters() const {
    return adapters_;
  }
  void merge_adapters();  // into weight and bias; the layer has none then

  at::Tensor weight;  // [out, in] fp32; see freeze_weight
  at::Tensor bias;    // [out] fp32, or undefined

 private:
  friend class JoinedLinear;

  at::Tensor multiply(const at::Tensor& x, const std::optional<at::Tensor>& with_bias);
  at::Tensor multiply_plainly(const at::Tensor& x, const std::optional<at::Tensor>& with_bias);
  void leave_joined_weight();
  void forget_packed();
  at::Tensor adapted_input(at::Tensor x) const;
  at::Tensor adapted(at::Tensor y, const at::Tensor& x, const Rows& rows) const;
  void round_to_int8();

  std::vector<std::pair<std::string, std::shared_ptr<Adapter>>> adapters_;
  at::Tensor shadow_;  // [out, in] bf16, or undefined
  kernels::Int8Rows int8_;
  FrozenWeight frozen_;
  PackedSlot packed_;
  std::shared_ptr<JoinedMemory> joined_;
  int64_t joined_begin_ = 0;
  bool is_shared_ = false, is_bf16_ = false, keeps_shadow_ = true;
};
TORCH_MODULE(Linear);

// Layers of equal input, all with biases or all without, as one product: x is read and packed once,
// and its gradient is one product too. The layers keep their parameters, names and gradients.
class JoinedLinear {
 public:
  JoinedLinear() = default;
  explicit JoinedLinear(std::vector<Linear> layers);

  // x [R, in], a row for each of `rows` -> [R, sum of out], in x's type.
  at::Tensor forward(const at::Tensor& x, const Rows& rows) const;
  void rejoin();  // after the layers were moved, each for itself, to another device

 private:
  bool has_bias() const { return layers_.at(0)->bias.defined(); }
  void share(const at::Tensor& weight, const at::Tensor& bias);
  bool is_one_product() const;  // all layers read the same input, and weights of one kind
  at::Tensor operand(at::ScalarType type) const;
  at::Tensor multiply(const at::Tensor& x) const;
  at::Tensor adapted(const at::Tensor& y, const at::Tensor& x, const Rows& rows) const;

  std::vector<Linear> layers_;
  std::shared_ptr<JoinedMemory> memory_;
};

}  // namespace hone
