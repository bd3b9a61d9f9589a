// What would run on a GPU, without one. The meta device has shapes and types but no values: a
// network that runs there asks no CPU kernel for memory, and elementwise operations refuse operands
// of two devices (matrix products there do not).
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include <array>
#include <optional>
#include <tuple>
#include <utility>

#include "models/kernels/cross_entropy.h"
#include "models/kernels/linear_cross_entropy.h"
#include "support/errors.h"
#include "support/tiny_run.h"
#include "tasks/next_token.h"
#include "tune/batch_loader.h"
#include "tune/machine.h"

namespace hone {
namespace {

using testing_support::error_of;
using testing_support::TinyRun;

// ---- operations whose meta form libtorch has in Python alone ----

using MaybeTensor = std::optional<at::Tensor>;
using ThreeTensors = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

at::Tensor meta_index_select(const at::Tensor& x, int64_t dim, const at::Tensor& index) {
  TORCH_CHECK(index.is_meta(), "index_select: the index is on ", index.device());
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[static_cast<size_t>(dim)] = index.size(0);
  return at::empty(sizes, x.options());
}

ThreeTensors meta_layer_norm(const at::Tensor& x, at::IntArrayRef, const MaybeTensor& weight,
                             const MaybeTensor& bias, double) {
  TORCH_CHECK(weight->is_meta() && bias->is_meta(), "layer_norm: weight and bias are elsewhere");
  return {at::empty_like(x), at::empty({x.size(0), 1}, x.options()),
          at::empty({x.size(0), 1}, x.options())};
}

ThreeTensors meta_layer_norm_backward(const at::Tensor&, const at::Tensor& x, at::IntArrayRef,
                                      const at::Tensor&, const at::Tensor&,
                                      const MaybeTensor& weight, const MaybeTensor& bias,
                                      std::array<bool, 3>) {
  return {at::empty_like(x), at::empty_like(*weight), at::empty_like(*bias)};
}

at::Tensor meta_embedding_backward(const at::Tensor& grad, const at::Tensor&, int64_t rows, int64_t,
                                   bool) {
  return at::empty({rows, grad.size(1)}, grad.options());
}

TORCH_LIBRARY_IMPL(aten, Meta, library) {
  library.impl("index_select", meta_index_select);
  library.impl("native_layer_norm", meta_layer_norm);
  library.impl("native_layer_norm_backward", meta_layer_norm_backward);
  library.impl("embedding_dense_backward", meta_embedding_backward);
}

// Module::to does this between the CPU and a GPU, but refuses the meta device.
void make_meta(Network& network) {
  for (const auto& [name, weight] : network.weights()) {
    const at::Tensor shape =
        at::empty(weight.sizes(), weight.options().device(at::kMeta).requires_grad(false));
    weight.unsafeGetTensorImpl()->shallow_copy_from(shape.getIntrusivePtr());
  }
  network.move_to(at::kMeta);
}

// Logits of a training pass of three samples, and gradients of all weights, on the meta device.
at::Tensor run_on_meta(TinyRun& run, Precision precision, bool recomputes) {
  run.load_pipeline();
  Network& network = run.pipeline().network();
  make_meta(network);
  network.set_precision(precision);
  network.set_recompute(recomputes);
  network.train();
  const Batch batch = network.place(make_micro_batch(run.store(), {0, 1, 2}, 1, 0).batch);
  const at::Tensor logits = network.forward(batch);
  kernels::cross_entropy_sum(logits, at::zeros({logits.size(0)}, logits.options().dtype(at::kLong)),
                             -100, 0)
      .backward();
  return logits;
}

TEST(Device, ANetworkRunsWhollyWhereItWasMoved) {
  for (const char* task : {"classify", "ner"}) {
    for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
      for (const bool recomputes : {false, true}) {
        TinyRun run(task);
        const at::Tensor logits = run_on_meta(run, precision, recomputes);
        EXPECT_TRUE(logits.is_meta());
        EXPECT_EQ(logits.scalar_type(), at::kFloat);
        for (const auto& [name, weight] : run.pipeline().network().weights()) {
          EXPECT_TRUE(weight.is_meta()) << name;
          ASSERT_TRUE(weight.grad().defined()) << name;
          EXPECT_TRUE(weight.grad().is_meta() && weight.grad().sizes() == weight.sizes()) << name;
        }
      }
    }
  }
}

TEST(Device, RowBoundariesStayOnTheCpu) {
  TinyRun run;
  run.load_pipeline();
  Network& network = run.pipeline().network();
  const Batch here = make_micro_batch(run.store(), {0, 1}, 1, 0).batch;
  EXPECT_TRUE(network.place(here).streams[0].ids.is_same(here.streams[0].ids))
      << "nothing is copied on the CPU";
  make_meta(network);
  const Batch there = network.place(here);
  for (const at::Tensor& column : {there.streams[0].ids, there.streams[0].positions,
                                   there.streams[0].segments, there.streams[0].keys})
    EXPECT_TRUE(column.is_meta());
  for (const auto& [name, target] : there.targets) EXPECT_TRUE(target.is_meta()) << name;
  EXPECT_TRUE(there.streams[0].cu_seqlens.is_cpu());
  EXPECT_TRUE(there.streams[0].placed_ends.is_meta());
  EXPECT_EQ(there.streams[0].seed, here.streams[0].seed) << "dropout decides as on the CPU";
  EXPECT_EQ(network.place(here).streams[0].drawn, there.streams[0].drawn)
      << "the device itself draws the same for the same batch";
  EXPECT_NE(network.place(make_micro_batch(run.store(), {2, 3}, 1, 0).batch).streams[0].drawn,
            there.streams[0].drawn)
      << "for another micro-batch of the step it draws others";
  EXPECT_TRUE(there.streams[0].first_rows().is_meta());
}

TEST(Device, AStagedBatchIsTheSameInOneStretchOfMemory) {
  TinyRun run("ner");
  run.load_pipeline();
  const Batch plain = make_micro_batch(run.store(), {0, 1, 2}, 1, 0).batch;
  const Batch one = staged(plain, /*is_pinned=*/false);
  const Packed &before = plain.streams[0], &after = one.streams[0];
  for (const auto& [expected, actual] :
       {std::pair(before.ids, after.ids), std::pair(before.positions, after.positions),
        std::pair(before.segments, after.segments), std::pair(before.keys, after.keys),
        std::pair(before.cu_seqlens, after.cu_seqlens)}) {
    EXPECT_TRUE(at::equal(expected, actual));
    EXPECT_TRUE(actual.storage().is_alias_of(one.staged.storage()));
  }
  for (const auto& [name, target] : plain.targets)
    EXPECT_TRUE(at::equal(one.targets.at(name), target)) << name;
}

TEST(Device, TargetsAreCountedWithoutTheDevice) {
  TinyRun run("ner");
  run.load_pipeline();
  Network& network = run.pipeline().network();
  const Batch here = make_micro_batch(run.store(), {0, 1, 2}, 1, 0).batch;
  const double count = run.pipeline().task().targets_in(here);
  make_meta(network);
  const Batch there = network.place(staged(here, /*is_pinned=*/false));  // its values are gone
  EXPECT_GT(count, 0);
  EXPECT_EQ(run.pipeline().task().targets_in(there), count);
  EXPECT_TRUE(there.streams[0].ids.is_meta());
}

TEST(Device, RowsWithATargetAreFoundWithoutTheDevice) {
  Batch batch;
  batch.counted[kNextToken] = at::tensor({kNoTarget, 5.0F, 2.0F, kNoTarget});
  batch.targets[kNextToken] = at::empty({4}, at::TensorOptions(at::kFloat).device(at::kMeta));
  const NextTokens next(batch);
  EXPECT_EQ(next.count, 2);
  EXPECT_TRUE(next.rows.is_meta() && next.ids.is_meta());
  EXPECT_EQ(next.ids.size(0), 2);
}

TEST(Device, TheLossOfAVocabularyAsksTheDeviceForNoValue) {
  const auto there = [](std::vector<int64_t> sizes) {
    return at::empty(sizes, at::TensorOptions(at::kFloat).device(at::kMeta)).requires_grad_();
  };
  const at::Tensor x = there({5000, 8}), weight = there({50, 8}),
                   targets = at::empty({5000}, at::TensorOptions(at::kLong).device(at::kMeta));
  const at::Tensor loss =
      kernels::linear_cross_entropy_sum(x, weight, {}, weight, targets, {.soft_cap = 3});
  loss.backward();
  EXPECT_EQ(loss.dim(), 0);
  EXPECT_EQ(x.grad().sizes(), x.sizes());
  EXPECT_EQ(weight.grad().sizes(), weight.sizes());
}

TEST(Device, NamesAreCheckedAndMustBeThere) {
  for (const char* name : {"auto", "cpu", "cuda", "cuda:0", "cuda:12"})
    EXPECT_TRUE(is_device_name(name)) << name;
  for (const char* name : {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:1x", "cuda:999", "CPU"})
    EXPECT_FALSE(is_device_name(name)) << name;
  EXPECT_EQ(resolve_device("cpu"), at::Device(at::kCPU));
  EXPECT_EQ(error_of([] { resolve_device("gpu"); }),
            "device \"gpu\" is none of auto, cpu, cuda, cuda:N");
  if (at::hasCUDA()) {
    EXPECT_EQ(resolve_device("auto"), at::Device(at::kCUDA, 0));
  } else {
    EXPECT_EQ(resolve_device("auto"), at::Device(at::kCPU));
    EXPECT_EQ(error_of([] { resolve_device("cuda:1"); }),
              "device \"cuda:1\" is not there: libtorch finds no GPU (a libtorch for the CPU alone "
              "never does)");
  }
}

TEST(Device, Tf32IsForAGpu) {
  EXPECT_EQ(error_of([] { use_tf32(true, at::kCPU); }),
            "tf32 is for a GPU: the CPU multiplies fp32 as it is");
  EXPECT_EQ(error_of([] { use_tf32(false, at::kCPU); }), "no error");
}

TEST(Device, GraphsAreForAGpu) {
  TinyRun run;
  TrainOptions options = testing_support::tiny_options();
  options.cuda_graphs = true;
  EXPECT_EQ(error_of([&] { run.train(options); }),
            "cuda_graphs is for a GPU: the CPU has no launches to record");
}

TEST(Device, AnOldCardHasNoBf16) {
  const Gpu old{.name = "Old GPU", .memory_bytes = int64_t{16} << 30, .capability = 75},
      ampere{.name = "GPU", .memory_bytes = int64_t{40} << 30, .capability = 80};
  EXPECT_EQ(precision_on(old, "auto"), Precision::kFp32);
  EXPECT_EQ(error_of([&] { precision_on(old, "bf16"); }),
            "precision \"bf16\" is not for Old GPU, which is older than Ampere: take fp32");
  EXPECT_EQ(precision_on(ampere, "auto"), Precision::kBf16);
  EXPECT_EQ(precision_on(ampere, "bf16"), Precision::kBf16);
}

TEST(Device, DecidesThePrecision) {
  const at::Device gpu(at::kCUDA, 0);
  EXPECT_EQ(resolve_precision("auto", gpu), Precision::kBf16);
  EXPECT_EQ(resolve_precision("fp32", gpu), Precision::kFp32);
  EXPECT_EQ(error_of([&] { resolve_precision("int8", gpu); }),
            "precision \"int8\" is for the CPU: say so (device cpu), or use bf16");
}

}  // namespace
}  // namespace hone
