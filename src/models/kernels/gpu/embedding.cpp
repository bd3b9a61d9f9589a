#include "models/kernels/gpu/embedding.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "models/kernels/gpu/memory.h"

namespace hone::kernels::gpu {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

constexpr unsigned kThreads = 256;

// ids[i] belongs to values[i]; `scale` to the first where it is the words'.
device::Tables tables_of(const variable_list& values, const variable_list& ids, double scale) {
  device::Tables tables = {};
  tables.count = static_cast<int>(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    tables.values[i] = address<const float>(values[i]);
    tables.ids[i] = address<const device::i64>(ids[i]);
    tables.rows[i] = values[i].size(0);
  }
  tables.scale = static_cast<float>(scale);
  return tables;
}

// Adds the rows to the tables' gradients, level by level (device/embedding.cu). `keys` ascend.
void add_runs(const Launcher& on, at::Tensor keys, at::Tensor order, at::Tensor rows,
              const device::TableGradients& to, int tables) {
  const int64_t width = rows.size(1), row_count = rows.size(0);
  for (;;) {
    const int64_t count = keys.size(0), blocks = (count + device::kRun - 1) / device::kRun;
    at::Tensor next_keys, next_rows;
    if (blocks > 1) {
      next_keys = at::empty({2 * blocks}, keys.options());
      next_rows = at::empty({2 * blocks, width}, rows.options());
    }
    launch(on, {"embedding.cu", "embedding_runs"},
           {static_cast<unsigned>(blocks), blocks_for(width, kThreads, 65535), 1}, {kThreads, 1, 1},
           address<const int>(keys), address<const device::i64>(order), address<const float>(rows),
           static_cast<device::i64>(row_count), static_cast<device::i64>(count),
           static_cast<int>(width), to, tables, address<int>(next_keys), address<float>(next_rows));
    if (blocks == 1) return;
    keys = next_keys, rows = next_rows, order = at::Tensor();
  }
}

// Gradients of tables, of which all are wanted.
variable_list gradients_of(const Launcher& on, const variable_list& values,
                           const variable_list& ids, double scale, const at::Tensor& grad) {
  variable_list result;
  device::TableGradients to = {};
  to.scale = static_cast<float>(scale);
  int64_t first = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    result.push_back(at::zeros_like(values[i]));
    to.values[i] = address<float>(result.back());
    to.first[i] = first;
    first += values[i].size(0);
  }
  if (grad.numel() == 0) return result;
  const int64_t count = grad.size(0), all = count * static_cast<int64_t>(values.size());
  const at::Tensor keys = at::empty({all}, grad.options().dtype(at::kInt));
  launch(on, {"embedding.cu", "embedding_keys"}, {blocks_for(all, kThreads, 4096), 1, 1},
         {kThreads, 1, 1}, tables_of(values, ids, scale), to, static_cast<device::i64>(count),
         address<int>(keys));
  const auto [sorted, order] =
      at::sort(keys, /*stable=*/std::optional<bool>(true), /*dim=*/0, /*descending=*/false);
  add_runs(on, sorted, order, grad, to, static_cast<int>(values.size()));
  return result;
}

// Apart from what autograd takes for inputs.
struct Ids {
  variable_list of_tables;
  std::vector<int64_t> padding;  // of each table
};

struct GpuEmbeddingSum : torch::autograd::Function<GpuEmbeddingSum> {
  static Variable forward(AutogradContext* context, at::TensorList values, const Launcher* on,
                          const Ids& ids, int64_t tokens, double scale) {
    context->save_for_backward(values.vec());
    for (size_t i = 0; i < ids.of_tables.size(); ++i)
      context->saved_data["ids" + std::to_string(i)] = ids.of_tables[i];
    context->saved_data["padding"] = ids.padding;
    context->saved_data["scale"] = scale;
    context->saved_data["on"] = reinterpret_cast<int64_t>(on);
    const int64_t width = values[0].size(1);
    const at::Tensor out = at::empty({tokens, width}, values[0].options().requires_grad(false));
    if (out.numel() > 0)
      launch(*on, {"embedding.cu", "embedding_sum"},
             {blocks_for(out.numel() / 2, kThreads, 32 * on->processors()), 1, 1}, {kThreads, 1, 1},
             tables_of(values.vec(), ids.of_tables, scale), static_cast<device::i64>(tokens),
             static_cast<int>(width), address<float>(out));
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    auto& data = context->saved_data;
    variable_list values, ids, result(saved.size() + 4);
    std::vector<size_t> places;
    for (size_t i = 0; i < saved.size(); ++i) {
      if (!context->needs_input_grad(i)) continue;
      values.push_back(saved[i]), ids.push_back(data["ids" + std::to_string(i)].toTensor());
      places.push_back(i);
    }
    if (places.empty()) return result;
    const double scale = places.front() == 0 ? data["scale"].toDouble() : 1;
    const auto* on = reinterpret_cast<const Launcher*>(data["on"].toInt());
    const variable_list found = gradients_of(*on, values, ids, scale, dense(gradients[0]));
    const std::vector<int64_t> padding = data["padding"].toIntVector();
    for (size_t i = 0; i < places.size(); ++i) {
      result[places[i]] = found[i];
      if (const int64_t row = padding[places[i]]; row >= 0) found[i].select(0, row).zero_();
    }
    return result;
  }
};

}  // namespace

at::Tensor embedding_sum(const Launcher& on, const std::vector<LookedUp>& tables, int64_t tokens,
                         double scale) {
  variable_list values;
  Ids ids;
  for (const LookedUp& table : tables) {
    values.push_back(dense(table.values));
    ids.of_tables.push_back(table.ids.defined() ? table.ids.to(at::kLong).contiguous() : table.ids);
    ids.padding.push_back(table.padding);
  }
  return GpuEmbeddingSum::apply(at::TensorList(values), &on, ids, tokens, scale);
}

}  // namespace hone::kernels::gpu
