#include "models/kernels/embedding.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "models/kernels/embedding_simd.h"
#include "models/kernels/gpu/device/parameters.h"
#include "models/kernels/gpu/embedding.h"
#include "models/kernels/leaf_gradient.h"
#include "models/lazy_zeros.h"

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// ---- sums per row ----

constexpr int64_t kPiece = 256;  // positions that one task sums; a row that occurs more often is
                                 // summed in pieces, then over pieces

struct Piece {
  int64_t row, begin, end;  // of the sorted positions
  bool is_whole;            // all occurrences of the row
};

struct SortedIds {
  std::vector<int64_t> positions;  // by (id, position)
  std::vector<Piece> pieces;
  std::vector<int64_t> rows;  // distinct ids but that of padding, ascending

  SortedIds(const at::Tensor& ids, int64_t padding) : positions(static_cast<size_t>(ids.numel())) {
    const int64_t* id = ids.const_data_ptr<int64_t>();
    std::iota(positions.begin(), positions.end(), 0);
    std::sort(positions.begin(), positions.end(),
              [id](int64_t a, int64_t b) { return id[a] != id[b] ? id[a] < id[b] : a < b; });
    const int64_t count = static_cast<int64_t>(positions.size());
    for (int64_t begin = 0, end = 0; begin < count; begin = end) {
      const int64_t row = id[positions[begin]];
      while (end < count && id[positions[end]] == row) ++end;
      if (row == padding) continue;
      rows.push_back(row);
      for (int64_t from = begin; from < end; from += kPiece)
        pieces.push_back({row, from, std::min(end, from + kPiece), end - begin <= kPiece});
    }
  }
};

// gradient [V, H] += the rows of grad [N, H] at their ids.
void add_rows(const SortedIds& sorted, const at::Tensor& grad, const at::Tensor& gradient) {
  const int64_t width = grad.size(1);
  const float* rows = grad.const_data_ptr<float>();
  float* out = gradient.data_ptr<float>();
  std::vector<int64_t> slot(sorted.pieces.size(), -1);  // of pieces that are not whole
  int64_t slots = 0;
  for (size_t i = 0; i < slot.size(); ++i) slot[i] = sorted.pieces[i].is_whole ? -1 : slots++;
  std::vector<float> partial(static_cast<size_t>(slots * width));
  at::parallel_for(0, static_cast<int64_t>(slot.size()), 8, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const Piece& piece = sorted.pieces[i];
      float* to = piece.is_whole ? out + piece.row * width : partial.data() + slot[i] * width;
      sum_rows(rows, sorted.positions.data() + piece.begin, piece.end - piece.begin, width,
               piece.is_whole, to);
    }
  });
  for (size_t i = 0; i < slot.size(); ++i) {
    if (slot[i] >= 0)
      sum_rows(partial.data(), &slot[i], 1, width, /*adds=*/true,
               out + sorted.pieces[i].row * width);
  }
}

struct Embedding : torch::autograd::Function<Embedding> {
  static Variable forward(AutogradContext* context, const Variable& table, const at::Tensor& ids,
                          const c10::intrusive_ptr<TableRows>& rows, int64_t padding) {
    context->save_for_backward({table});
    context->saved_data["ids"] = ids;
    context->saved_data["padding"] = padding;
    if (rows) context->saved_data["rows"] = c10::IValue::make_capsule(rows);
    return at::index_select(table, 0, ids);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor table = context->get_saved_variables()[0],
                     ids = context->saved_data["ids"].toTensor(), grad = gradients[0].contiguous();
    const int64_t padding = context->saved_data["padding"].toInt();
    if (const auto rows = context->saved_data.find("rows");
        rows != context->saved_data.end() && can_accumulate(table)) {
      c10::static_intrusive_pointer_cast<TableRows>(rows->second.toCapsule())
          ->accumulate(table, ids, grad, padding);
      return {Variable(), Variable(), Variable(), Variable()};
    }
    at::Tensor dense = at::zeros_like(table, table.options().requires_grad(false));
    add_rows(SortedIds(ids, padding), grad, dense);
    return {dense, Variable(), Variable(), Variable()};
  }
};

}  // namespace

const std::vector<int64_t>* TableRows::touched(const at::Tensor& gradient) const {
  return !owns(gradient) || all_touched_ || gradient_._version() != version_ ? nullptr : &touched_;
}

void TableRows::look_up(const at::Tensor& ids) const {
  if (prepare_) prepare_(ids.const_data_ptr<int64_t>(), ids.numel());
}

void TableRows::accumulate(const at::Tensor& table, const at::Tensor& ids, const at::Tensor& grad,
                           int64_t padding) {
  const SortedIds sorted(ids, padding);
  if (!table.grad().defined()) begin_gradient(table);
  add_rows(sorted, grad, table.grad());
  if (!owns(table.grad())) return;
  if (gradient_._version() != version_) all_touched_ = true;
  std::vector<int64_t> both;
  std::set_union(touched_.begin(), touched_.end(), sorted.rows.begin(), sorted.rows.end(),
                 std::back_inserter(both));
  touched_ = std::move(both);
}

// Makes table.grad() a tensor that is known here, where it is not defined yet.
void TableRows::begin_gradient(const at::Tensor& table) {
  if (gradient_.defined() && gradient_.use_count() == 1) {
    clear();
  } else {
    gradient_ = lazy_zeros(table.sizes(), Touched::kSparse);
    touched_.clear();
    all_touched_ = false;
  }
  version_ = gradient_._version();
  table.mutable_grad() = gradient_;
}

void TableRows::clear() {
  const int64_t width = gradient_.size(1);
  float* values = gradient_.data_ptr<float>();
  if (all_touched_ || gradient_._version() != version_) {
    std::memset(values, 0, gradient_.nbytes());
  } else {
    for (const int64_t row : touched_)
      std::memset(values + row * width, 0, static_cast<size_t>(width) * sizeof(float));
  }
  touched_.clear();
  all_touched_ = false;
}

at::Tensor embedding(const at::Tensor& table, const at::Tensor& ids,
                     const c10::intrusive_ptr<TableRows>& rows, int64_t padding) {
  TORCH_CHECK(table.dim() == 2 && ids.dim() == 1,
              "[embedding] expected table [V, H] and ids [N], received ", table.sizes(), " and ",
              ids.sizes());
  if (!table.is_cpu() || table.scalar_type() != at::kFloat || !table.is_contiguous())
    return at::embedding(table, ids, padding);
  const at::Tensor plain = ids.to(at::kLong).contiguous();
  if (rows) rows->look_up(plain);
  return Embedding::apply(table, plain, rows, padding);
}

bool has_embedding_sum(const std::vector<LookedUp>& tables) {
  const auto is_taken = [&](const LookedUp& table) {
    return table.values.scalar_type() == at::kFloat && table.values.size(1) % 2 == 0;
  };
  return tables.size() <= static_cast<size_t>(gpu::device::kMostTables) &&
         std::all_of(tables.begin(), tables.end(), is_taken) &&
         gpu::launcher_of(tables.front().values) != nullptr;
}

at::Tensor embedding_sum(const std::vector<LookedUp>& tables, int64_t tokens, double scale) {
  return gpu::embedding_sum(*gpu::launcher_of(tables.front().values), tables, tokens, scale);
}

}  // namespace hone::kernels
