// Embedding lookup whose gradient touches only the rows that were looked up.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <functional>
#include <vector>

namespace hone::kernels {

// What the lookups of one table share with whoever updates it: which rows have a gradient, and what
// must be done before rows are read.
class TableRows : public torch::CustomClassHolder {
 public:
  using Prepare = std::function<void(const int64_t* ids, int64_t count)>;

  // Rows where `gradient`, the table's grad(), may differ from zero, ascending; null where that may
  // be any row (no lookup, or something else has written to it as well). Valid until the next
  // backward.
  const std::vector<int64_t>* touched(const at::Tensor& gradient) const;
  // `prepare` is called with the ids before each lookup, so that an optimizer may bring rows up to
  // date only then; empty: no more.
  void before_lookup(Prepare prepare) { prepare_ = std::move(prepare); }

  // ---- for kernels::embedding
  void look_up(const at::Tensor& ids) const;
  // Adds the rows of grad [N, H] to table.grad() in place, but those of id `padding`.
  void accumulate(const at::Tensor& table, const at::Tensor& ids, const at::Tensor& grad,
                  int64_t padding);

 private:
  bool owns(const at::Tensor& gradient) const {
    return gradient.defined() && gradient_.defined() && gradient.is_same(gradient_);
  }
  void begin_gradient(const at::Tensor& table);
  void clear();

  at::Tensor gradient_;           // what the table's grad() is, or was and will be again
  std::vector<int64_t> touched_;  // ascending; where `gradient_` may differ from zero
  uint32_t version_ = 0;          // of `gradient_`: it grows when somebody else writes to it
  bool all_touched_ = false;
  Prepare prepare_;
};

// table [V, H] fp32, ids [N] int64 -> [N, H] fp32. The gradient of `table` is dense in shape but
// written row-sparse: rows are summed in a fixed order (sorted ids), so it does not depend on
// threads.
//
// With `rows`, backward() on a leaf table adds into table.grad() in place and remembers which rows;
// a gradient that is set to undefined afterwards is reused by the next backward, which clears those
// rows only. Any other use (no `rows`, autograd::grad, a table that is itself computed) gets an
// ordinary dense gradient.
//
// `padding` is a row that gets no gradient (-1: none), as padding_idx of torch.nn.Embedding.
at::Tensor embedding(const at::Tensor& table, const at::Tensor& ids,
                     const c10::intrusive_ptr<TableRows>& rows = {}, int64_t padding = -1);

// A table [V, H] fp32 and the ids [N] int64 of rows of it; ids undefined: row 0, N times.
struct LookedUp {
  at::Tensor values, ids;
  int64_t padding = -1;  // a row that gets no gradient; -1: none
};

// Whether the sum of these is one operation: on a GPU, up to four tables of an even width.
bool has_embedding_sum(const std::vector<LookedUp>& tables);
// Row after row: scale times the first table's, plus those of the others, [tokens, H] fp32.
// Differentiable in the tables. An id that is in no table gives NaN. REQUIRES: has_embedding_sum.
at::Tensor embedding_sum(const std::vector<LookedUp>& tables, int64_t tokens, double scale);

}  // namespace hone::kernels
