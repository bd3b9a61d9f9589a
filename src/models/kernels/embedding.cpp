#include "models/kernels/embedding.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/graph_task.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <numeric>
#include <unordered_map>

#include "models/kernels/embedding_simd.h"
#include "models/lazy_zeros.h"

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// ---- what is remembered of a table between steps ----

struct TableRecord {
  c10::weak_intrusive_ptr<c10::TensorImpl> table;
  at::Tensor gradient;           // what table.grad() is, or was and will be again
  std::vector<int64_t> touched;  // ascending; where `gradient` may differ from zero
  uint32_t version = 0;          // of `gradient`: it grows when somebody else writes to it
  bool all_touched = false;
  std::function<void(const int64_t*, int64_t)> prepare;

  explicit TableRecord(const at::Tensor& of) : table(of.getIntrusivePtr()) {}
  bool owns(const at::Tensor& grad) const {
    return grad.defined() && gradient.defined() && grad.is_same(gradient);
  }
};

std::mutex records_mutex;
std::unordered_map<const c10::TensorImpl*, std::shared_ptr<TableRecord>>& records() {
  static std::unordered_map<const c10::TensorImpl*, std::shared_ptr<TableRecord>> all;
  return all;
}

std::shared_ptr<TableRecord> find_record(const at::Tensor& table) {
  const std::lock_guard lock(records_mutex);
  const auto found = records().find(table.unsafeGetTensorImpl());
  // An address may serve a second tensor after the first has died.
  return found == records().end() || found->second->table.expired() ? nullptr : found->second;
}

std::shared_ptr<TableRecord> find_or_make_record(const at::Tensor& table) {
  if (auto record = find_record(table)) return record;
  const std::lock_guard lock(records_mutex);
  std::erase_if(records(), [](const auto& entry) { return entry.second->table.expired(); });
  return records()[table.unsafeGetTensorImpl()] = std::make_shared<TableRecord>(table);
}

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
  std::vector<int64_t> rows;  // distinct ids, ascending

  explicit SortedIds(const at::Tensor& ids) : positions(static_cast<size_t>(ids.numel())) {
    const int64_t* id = ids.const_data_ptr<int64_t>();
    std::iota(positions.begin(), positions.end(), 0);
    std::sort(positions.begin(), positions.end(),
              [id](int64_t a, int64_t b) { return id[a] != id[b] ? id[a] < id[b] : a < b; });
    const int64_t count = static_cast<int64_t>(positions.size());
    for (int64_t begin = 0, end = 0; begin < count; begin = end) {
      const int64_t row = id[positions[begin]];
      while (end < count && id[positions[end]] == row) ++end;
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

void clear(TableRecord& record) {
  const int64_t width = record.gradient.size(1);
  float* values = record.gradient.data_ptr<float>();
  if (record.all_touched || record.gradient._version() != record.version) {
    std::memset(values, 0, record.gradient.nbytes());
  } else {
    for (const int64_t row : record.touched)
      std::memset(values + row * width, 0, static_cast<size_t>(width) * sizeof(float));
  }
  record.touched.clear();
  record.all_touched = false;
}

// Makes table.grad() a tensor that the record knows, where it is not defined yet.
void begin_gradient(const at::Tensor& table, TableRecord& record) {
  if (record.gradient.defined() && record.gradient.use_count() == 1) {
    clear(record);
  } else {
    record.gradient = lazy_zeros(table.sizes(), Touched::kSparse);
    record.touched.clear();
    record.all_touched = false;
  }
  record.version = record.gradient._version();
  table.mutable_grad() = record.gradient;
}

void accumulate(const at::Tensor& table, const at::Tensor& ids, const at::Tensor& grad) {
  const std::shared_ptr<TableRecord> record = find_or_make_record(table);
  const SortedIds sorted(ids);
  if (!table.grad().defined()) begin_gradient(table, *record);
  add_rows(sorted, grad, table.grad());
  if (!record->owns(table.grad())) return;
  if (record->gradient._version() != record->version) record->all_touched = true;
  std::vector<int64_t> both;
  std::set_union(record->touched.begin(), record->touched.end(), sorted.rows.begin(),
                 sorted.rows.end(), std::back_inserter(both));
  record->touched = std::move(both);
}

// In place only where that is what autograd would have done in the end: a plain backward() to a
// leaf without hooks.
bool can_accumulate(const at::Tensor& table) {
  if (!table.is_leaf() || !table.requires_grad() || !torch::autograd::impl::hooks(table).empty())
    return false;
  if (torch::autograd::impl::post_acc_grad_hooks(table) != nullptr) return false;
  const auto* targets = torch::autograd::get_current_graph_task_exec_info();
  if (targets != nullptr && !targets->empty()) return false;
  const at::Tensor& grad = table.grad();
  return !grad.defined() ||
         (grad.is_contiguous() && grad.scalar_type() == at::kFloat && !grad.is_sparse());
}

struct Embedding : torch::autograd::Function<Embedding> {
  static Variable forward(AutogradContext* context, const Variable& table, const at::Tensor& ids) {
    context->save_for_backward({table});
    context->saved_data["ids"] = ids;
    return at::index_select(table, 0, ids);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor table = context->get_saved_variables()[0],
                     ids = context->saved_data["ids"].toTensor(), grad = gradients[0].contiguous();
    if (can_accumulate(table)) {
      accumulate(table, ids, grad);
      return {Variable(), Variable()};
    }
    at::Tensor dense = at::zeros_like(table, table.options().requires_grad(false));
    add_rows(SortedIds(ids), grad, dense);
    return {dense, Variable()};
  }
};

}  // namespace

at::Tensor embedding(const at::Tensor& table, const at::Tensor& ids) {
  TORCH_CHECK(table.dim() == 2 && ids.dim() == 1,
              "[embedding] expected table [V, H] and ids [N], received ", table.sizes(), " and ",
              ids.sizes());
  if (!table.is_cpu() || table.scalar_type() != at::kFloat || !table.is_contiguous())
    return at::embedding(table, ids);
  const at::Tensor plain = ids.to(at::kLong).contiguous();
  if (const auto record = find_record(table); record != nullptr && record->prepare)
    record->prepare(plain.const_data_ptr<int64_t>(), plain.numel());
  return Embedding::apply(table, plain);
}

const std::vector<int64_t>* touched_rows(const at::Tensor& table) {
  const std::shared_ptr<TableRecord> record = find_record(table);
  if (record == nullptr || !record->owns(table.grad())) return nullptr;
  return record->all_touched || record->gradient._version() != record->version ? nullptr
                                                                               : &record->touched;
}

void before_lookup(const at::Tensor& table, std::function<void(const int64_t*, int64_t)> prepare) {
  find_or_make_record(table)->prepare = std::move(prepare);
}

}  // namespace hone::kernels
