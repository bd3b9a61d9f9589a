// Each kernel beside the ATen operations it replaces, in one run, after their results were
// compared. Prints JSON, with the GEMM peak of the same run to measure against.
//
//     kernels_bench [--threads N] [--filter TEXT] [--seconds S]
//
// Times are the smallest of many rounds that alternate between the two. With one thread they are
// CPU time, so that a busy machine disturbs them less.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "models/kernels/activation.h"
#include "models/kernels/attention.h"
#include "models/kernels/crf.h"
#include "models/kernels/cross_entropy.h"
#include "models/kernels/dropout.h"
#include "models/kernels/embedding.h"
#include "models/kernels/int8_product.h"
#include "models/kernels/norm.h"
#include "models/kernels/product.h"
#include "tune/optim/adamw.h"

namespace hone::bench {
namespace {

using Json = nlohmann::ordered_json;
using kernels::DropoutOptions;

struct Settings {
  int threads = 1;
  double seconds = 0.5;
  std::string filter;
};

double now(const Settings& settings) {
  timespec time;
  clock_gettime(settings.threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

using Work = std::function<void()>;

// Smallest time of each, in seconds.
std::vector<double> best_times(const Settings& settings, const std::vector<Work>& all) {
  std::vector<double> best(all.size(), 1e30);
  for (const Work& work : all) work();
  const double start = now(settings);
  for (int round = 0;
       round < 3 || now(settings) - start < settings.seconds * static_cast<double>(all.size());
       ++round) {
    for (size_t i = 0; i < all.size(); ++i) {
      const double before = now(settings);
      all[i]();
      best[i] = std::min(best[i], now(settings) - before);
    }
  }
  return best;
}

at::Tensor normal(at::IntArrayRef shape, at::ScalarType type) {
  return at::randn(shape, at::TensorOptions(at::kFloat)).to(type);
}
at::Tensor leaf(const at::Tensor& x) { return x.detach().clone().requires_grad_(); }

class Bench {
 public:
  explicit Bench(Settings settings) : settings_(std::move(settings)) {}

  bool takes(const std::string& name) const {
    return name.find(settings_.filter) != std::string::npos;
  }

  // `amount` of `unit` (GFLOP or GB) per call.
  void compare(const std::string& name, double amount, const char* unit, const Work& ours,
               const Work& theirs) {
    if (!takes(name)) return;
    const std::vector<double> times = best_times(settings_, {ours, theirs});
    results_.push_back({{"name", name},
                        {"microseconds", times[0] * 1e6},
                        {"aten_microseconds", times[1] * 1e6},
                        {"times_faster", times[1] / times[0]},
                        {std::string(unit) + "/s", amount / times[0]}});
    std::fprintf(stderr, "%-58s %10.1f us  aten %10.1f us  x%6.2f  %8.1f %s/s\n", name.c_str(),
                 times[0] * 1e6, times[1] * 1e6, times[1] / times[0], amount / times[0], unit);
  }

  void peak() {
    for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
      const at::Tensor a = normal({2048, 1024}, type), b = normal({1024, 2048}, type);
      const double time = best_times(settings_, {[&] { at::mm(a, b); }})[0];
      const double rate = 2e-9 * 2048 * 1024 * 2048 / time;
      peak_[type == at::kFloat ? "fp32" : "bf16"] = rate;
      std::fprintf(stderr, "GEMM peak %s: %.0f GFLOP/s\n", type == at::kFloat ? "fp32" : "bf16",
                   rate);
    }
  }

  Json report() const {
    return {{"threads", settings_.threads}, {"gemm_peak_gflops", peak_}, {"results", results_}};
  }

 private:
  Settings settings_;
  Json results_ = Json::array(), peak_;
};

struct Model {
  const char* name;
  int64_t hidden, inner, heads;
};
constexpr Model kModels[] = {{"MiniLM", 384, 1536, 12}, {"BERT-base", 768, 3072, 12}};
struct Load {
  int64_t sequences, length;
};
constexpr Load kLoads[] = {{1, 12}, {32, 14}, {32, 32}, {32, 128}, {8, 512}};

std::string title(const char* what, const Model& model, const Load& load, at::ScalarType type) {
  return std::string(what) + " " + model.name + " " + std::to_string(load.sequences) + "x" +
         std::to_string(load.length) + (type == at::kFloat ? " fp32" : " bf16");
}

// Uniform lengths: the best case for ATen, which would have to pad.
void attention(Bench& bench, const Model& model, const Load& load, at::ScalarType type) {
  const int64_t tokens = load.sequences * load.length, dim = model.hidden / model.heads;
  const at::Tensor starts =
      at::arange(load.sequences + 1, at::kInt) * static_cast<int>(load.length);
  const auto input = [&] { return normal({tokens, model.heads, dim}, type); };
  const at::Tensor q = input(), k = input(), v = input(), gradient = input();
  const auto as_batch = [&](const at::Tensor& x) {
    return x.view({load.sequences, load.length, model.heads, dim}).transpose(1, 2);
  };
  const at::Tensor lq = leaf(q), lk = leaf(k), lv = leaf(v), pq = leaf(as_batch(q)),
                   pk = leaf(as_batch(k)), pv = leaf(as_batch(v));
  const double flops =
      4e-9 * static_cast<double>(load.sequences * load.length * load.length * model.hidden);
  for (const double dropout : {0.0, 0.1}) {
    const kernels::AttentionOptions options{
        .dropout = dropout, .seed = 1, .site = 2, .keys = at::arange(tokens, at::kLong)};
    const std::string suffix = dropout > 0 ? " dropout" : "";
    const kernels::Stretches of_q{starts, load.length};
    const kernels::AttentionInputs inputs{.q = q, .k = k, .v = v, .of_q = of_q},
        leaves{.q = lq, .k = lk, .v = lv, .of_q = of_q};
    bench.compare(
        title("attention forward", model, load, type) + suffix, flops, "GFLOP",
        [&] { kernels::attention(inputs, options); },
        [&] {
          at::scaled_dot_product_attention(as_batch(q), as_batch(k), as_batch(v), {}, dropout);
        });
    bench.compare(
        title("attention forward+backward", model, load, type) + suffix, 3.5 * flops, "GFLOP",
        [&] { kernels::attention(leaves, options).backward(gradient); },
        [&] {
          at::scaled_dot_product_attention(pq, pk, pv, {}, dropout).backward(as_batch(gradient));
        });
  }
}

// Buckets of DeBERTa-v3: distances up to 128 each by themselves, farther ones by their logarithm.
int64_t deberta_bucket(int64_t distance) {
  constexpr int64_t kNear = 128, kMost = 512, kReach = 256;
  const double far = static_cast<double>(std::abs(distance));
  int64_t bucket = std::abs(distance);
  if (bucket > kNear)
    bucket = kNear + std::llround(std::ceil(std::log(far / kNear) /
                                            std::log((kMost - 1.0) / kNear) * (kNear - 1)));
  return std::clamp<int64_t>(kReach + (distance > 0 ? -bucket : bucket), 0, 2 * kReach - 1);
}

// Attention with DeBERTa's relative positions, beside what Transformers composes of ATen: products
// with all positions, of which scores are gathered.
void positions(Bench& bench, const Model& model, const Load& load, at::ScalarType type) {
  const int64_t tokens = load.sequences * load.length, dim = model.hidden / model.heads,
                length = load.length;
  const at::Tensor starts = at::arange(load.sequences + 1, at::kInt) * static_cast<int>(length);
  const auto input = [&](int64_t rows) { return leaf(normal({rows, model.heads, dim}, type)); };
  const at::Tensor q = input(tokens), k = input(tokens), v = input(tokens), keys = input(512),
                   queries = input(512), gradient = normal({tokens, model.heads, dim}, type);
  const double scale = 1 / std::sqrt(3.0 * static_cast<double>(dim));
  const kernels::AttentionInputs inputs{.q = q,
                                        .k = k,
                                        .v = v,
                                        .of_q = {starts, length},
                                        .bucket_of = deberta_bucket,
                                        .position_keys = keys,
                                        .position_queries = queries};
  at::Tensor bucket = at::empty({length, length}, at::kLong);
  for (int64_t i = 0; i < length; ++i) {
    for (int64_t j = 0; j < length; ++j)
      bucket.data_ptr<int64_t>()[i * length + j] = deberta_bucket(j - i);
  }
  const auto as_batch = [&](const at::Tensor& x) {
    return x.view({load.sequences, length, model.heads, dim}).transpose(1, 2);
  };
  const at::Tensor index = bucket.expand({load.sequences, model.heads, length, length});
  const auto composed = [&] {
    const at::Tensor bq = as_batch(q), bk = as_batch(k);
    const at::Tensor by_query = at::matmul(bq, keys.permute({1, 2, 0})).gather(3, index),
                     by_key = at::matmul(bk, queries.permute({1, 2, 0}))
                                  .gather(3, index.transpose(2, 3))
                                  .transpose(2, 3);
    const at::Tensor scores = (at::matmul(bq, bk.transpose(2, 3)) + by_query + by_key) * scale;
    return at::matmul(at::dropout(at::softmax(scores, -1), 0.1, true), as_batch(v))
        .transpose(1, 2)
        .reshape({tokens, model.heads, dim});
  };
  const kernels::AttentionOptions options{
      .scale = scale, .dropout = 0.1, .seed = 1, .site = 2, .keys = at::arange(tokens, at::kLong)};
  const double flops = 12e-9 * static_cast<double>(tokens * length * model.hidden);
  bench.compare(
      title("attention with positions forward", model, load, type), flops, "GFLOP",
      [&] { kernels::attention(inputs, options); }, [&] { composed(); });
  bench.compare(
      title("attention with positions forward+backward", model, load, type), 3 * flops, "GFLOP",
      [&] { kernels::attention(inputs, options).backward(gradient); },
      [&] { composed().backward(gradient); });
}

// A layer from hidden to inner. ATen's bf16 gradient of the weight is rounded to bf16 before it is
// fp32.
void product(Bench& bench, const Model& model, const Load& load, at::ScalarType type) {
  const int64_t tokens = load.sequences * load.length;
  const at::Tensor x = normal({tokens, model.hidden}, type),
                   weight = normal({model.inner, model.hidden}, type);
  const at::Tensor bias = normal({model.inner}, at::kFloat), typed_bias = bias.to(type),
                   g = normal({tokens, model.inner}, type);
  const double flops = 2e-9 * static_cast<double>(tokens * model.hidden * model.inner);
  const auto name = [&](const char* what) { return title(what, model, load, type); };
  bench.compare(
      name("linear forward"), flops, "GFLOP", [&] { kernels::product(x, weight, bias); },
      [&] { at::linear(x, weight, typed_bias); });
  if (!kernels::has_product_gradients(x, weight)) return;
  bench.compare(
      name("linear gradient of x"), flops, "GFLOP",
      [&] { kernels::product_input_gradient(g, weight); }, [&] { at::mm(g, weight); });
  bench.compare(
      name("linear gradient of weight"), flops, "GFLOP",
      [&] { kernels::product_weight_gradient(g, x); }, [&] { at::mm(g.t(), x).to(at::kFloat); });
}

void norm(Bench& bench, const Model& model, const Load& load, at::ScalarType type) {
  const int64_t tokens = load.sequences * load.length;
  const at::Tensor x = leaf(normal({tokens, model.hidden}, type)),
                   residual = leaf(normal({tokens, model.hidden}, type));
  const at::Tensor weight = leaf(at::ones({model.hidden})), bias = leaf(at::zeros({model.hidden})),
                   gradient = normal({tokens, model.hidden}, type);
  const at::Tensor typed_weight = leaf(weight.to(type)), typed_bias = leaf(bias.to(type));
  const DropoutOptions dropout{
      .p = 0.1, .seed = 1, .site = 2, .keys = at::arange(tokens, at::kLong)};
  const double bytes = 1e-9 * static_cast<double>(x.nbytes());
  const auto ours = [&] {
    return kernels::dropout_add_layer_norm(x, residual, weight, bias, 1e-12, dropout);
  };
  const auto theirs = [&] {
    return at::layer_norm(residual + at::dropout(x, 0.1, true), {model.hidden}, typed_weight,
                          typed_bias, 1e-12);
  };
  bench.compare(
      title("dropout+add+norm forward", model, load, type), 3 * bytes, "GB", [&] { ours(); },
      [&] { theirs(); });
  bench.compare(
      title("dropout+add+norm forward+backward", model, load, type), 8 * bytes, "GB",
      [&] { ours().backward(gradient); }, [&] { theirs().backward(gradient); });
}

void activation(Bench& bench, const Model& model, const Load& load, at::ScalarType type) {
  const int64_t tokens = load.sequences * load.length;
  const at::Tensor x = leaf(normal({tokens, model.inner}, type)),
                   bias = leaf(at::zeros({model.inner})), typed_bias = leaf(bias.to(type));
  const at::Tensor gradient = normal({tokens, model.inner}, type);
  const double bytes = 1e-9 * static_cast<double>(x.nbytes());
  const auto ours = [&] { return kernels::bias_activation(x, bias, kernels::Activation::kGelu); };
  const auto theirs = [&] { return at::gelu(x + typed_bias); };
  bench.compare(
      title("bias+gelu forward", model, load, type), 2 * bytes, "GB", [&] { ours(); },
      [&] { theirs(); });
  bench.compare(
      title("bias+gelu forward+backward", model, load, type), 5 * bytes, "GB",
      [&] { ours().backward(gradient); }, [&] { theirs().backward(gradient); });
}

void dropout(Bench& bench, const Model& model, const Load& load, at::ScalarType type) {
  const int64_t tokens = load.sequences * load.length;
  const at::Tensor x = normal({tokens, model.hidden}, type);
  const DropoutOptions options{
      .p = 0.1, .seed = 1, .site = 2, .keys = at::arange(tokens, at::kLong)};
  bench.compare(
      title("dropout", model, load, type), 2e-9 * static_cast<double>(x.nbytes()), "GB",
      [&] { kernels::dropout(x, options); }, [&] { at::dropout(x, 0.1, true); });
}

void embedding(Bench& bench, const Model& model, const Load& load) {
  const int64_t tokens = load.sequences * load.length;
  const at::Tensor table = leaf(normal({30522, model.hidden}, at::kFloat)), other = leaf(table),
                   gradient = normal({tokens, model.hidden}, at::kFloat);
  const at::Tensor ids = (at::rand({tokens}).pow(4) * 30522).to(at::kLong);
  const auto rows = c10::make_intrusive<kernels::TableRows>();
  bench.compare(
      title("embedding forward+backward", model, load, at::kFloat),
      4e-9 * static_cast<double>(gradient.nbytes()), "GB",
      [&] {
        table.mutable_grad() = at::Tensor();
        kernels::embedding(table, ids, rows).backward(gradient);
      },
      [&] {
        other.mutable_grad() = at::Tensor();
        at::embedding(other, ids).backward(gradient);
      });
}

void cross_entropy(Bench& bench, int64_t rows, int64_t classes) {
  const at::Tensor logits = leaf(normal({rows, classes}, at::kFloat)),
                   targets = at::randint(classes, {rows}, at::kLong);
  bench.compare(
      "cross-entropy forward+backward " + std::to_string(rows) + "x" + std::to_string(classes),
      5e-9 * static_cast<double>(logits.nbytes()), "GB",
      [&] { kernels::cross_entropy_sum(logits, targets).backward(); },
      [&] { at::cross_entropy_loss(logits, targets, {}, at::Reduction::Sum).backward(); });
}

// Chains of one length, beside the usual form of it: logarithms, position by position, for all
// chains at once.
void crf(Bench& bench, int64_t chains, int64_t length, int64_t tags) {
  const at::Tensor emissions = leaf(normal({chains * length, tags}, at::kFloat)),
                   table = leaf(normal({tags + 2, tags}, at::kFloat)),
                   gold = at::randint(tags, {chains * length}, at::kLong);
  std::vector<kernels::CrfChain> all;
  for (int64_t i = 0; i < chains; ++i) all.push_back({i * length, (i + 1) * length});
  const auto log_partitions = [&] {
    const at::Tensor x = emissions.view({chains, length, tags}),
                     transitions = table.slice(0, 0, tags).unsqueeze(0);
    at::Tensor alpha = x.select(1, 0) + table[tags];
    for (int64_t t = 1; t < length; ++t)
      alpha = (alpha.unsqueeze(2) + transitions).logsumexp(1) + x.select(1, t);
    return (alpha + table[tags + 1]).logsumexp(1).sum();
  };
  bench.compare(
      "CRF forward+backward " + std::to_string(chains) + "x" + std::to_string(length) + ", " +
          std::to_string(tags) + " tags",
      6e-9 * static_cast<double>(chains * length * tags * tags), "GFLOP",
      [&] { kernels::crf_loss_sum(emissions, table, gold, all).backward(); },
      [&] { log_partitions().backward(); });
}

void adamw(Bench& bench, const Model& model) {
  const int64_t count = 12 * model.hidden * model.hidden * 2;
  const at::Tensor value = leaf(normal({count}, at::kFloat)),
                   shadow = at::empty({count}, at::kBFloat16),
                   gradient = normal({count}, at::kFloat);
  value.mutable_grad() = gradient;
  const Parameter parameter{.name = "x", .value = value, .shadow = shadow, .weight_decay = 0.01};
  AdamW optimizer({parameter}, {});
  const at::Tensor theirs = value.detach().clone(), m = at::zeros({count}), v = at::zeros({count}),
                   step = at::ones({});
  bench.compare(
      std::string("AdamW and bf16 copy, ") + model.name, 30e-9 * static_cast<double>(count), "GB",
      [&] { optimizer.step(1e-5, 0.5); },
      [&] {
        at::_fused_adamw_({theirs}, {gradient}, {m}, {v}, {}, {step}, 1e-5, 0.9, 0.999, 0.01, 1e-8,
                          false, false);
        shadow.copy_(theirs);
      });
  bench.compare(
      std::string("gradient norm, ") + model.name, 4e-9 * static_cast<double>(count), "GB",
      [&] { gradient_norm({parameter}); }, [&] { gradient.norm().item<float>(); });
}

// A table of 30522 rows in a step that looks 448 tokens up: looked-up rows repeat as words do.
void table_step(Bench& bench, const Model& model) {
  const at::Tensor table = leaf(normal({30522, model.hidden}, at::kFloat)),
                   gradient = normal({448, model.hidden}, at::kFloat);
  const at::Tensor other = leaf(table), m = at::zeros_like(other.detach()),
                   v = at::zeros_like(other.detach()), step = at::ones({});
  Parameter known{.name = "table", .value = table, .weight_decay = 0.01};
  known.rows = c10::make_intrusive<kernels::TableRows>();
  AdamW optimizer({known}, {.lazy_rows = true});
  const auto ids = [&] { return (at::rand({448}).pow(4) * 30522).to(at::kLong); };
  bench.compare(
      std::string("embedding, norm and AdamW of a table, lazy, ") + model.name,
      1e-9 * static_cast<double>(table.nbytes()), "GB",
      [&] {
        table.mutable_grad() = at::Tensor();
        kernels::embedding(table, ids(), known.rows).backward(gradient);
        gradient_norm({known});
        optimizer.step(1e-5, 1);
      },
      [&] {
        other.mutable_grad() = at::Tensor();
        at::embedding(other, ids()).backward(gradient);
        other.grad().norm().item<float>();
        at::_fused_adamw_({other.detach()}, {other.grad()}, {m}, {v}, {}, {step}, 1e-5, 0.9, 0.999,
                          0.01, 1e-8, false, false);
      });
}

// ---- a decoder's step ----

constexpr Model kDecoders[] = {{"SmolLM2-135M", 576, 1536, 9}, {"Qwen2-0.5B", 896, 4864, 14}};
constexpr int64_t kStepRows[] = {1, 4, 16};

// Weights of so many layers that no cache keeps what was read before.
std::vector<at::Tensor> layers_of(const Model& model, at::ScalarType type) {
  constexpr int64_t kBytes = int64_t{512} << 20;
  const at::Tensor one = normal({model.inner, model.hidden}, type);
  std::vector<at::Tensor> layers;
  for (int64_t bytes = 0; bytes < kBytes; bytes += static_cast<int64_t>(one.nbytes()))
    layers.push_back(one.clone());
  return layers;
}

std::string step_title(const char* what, const Model& model, int64_t rows, const char* type) {
  return std::string(what) + " " + model.name + " " + std::to_string(rows) + " rows " + type;
}

// A product of few rows reads its weight and does little with it: its measure is memory.
void step_product(Bench& bench, const Model& model, at::ScalarType type) {
  std::vector<at::Tensor> layers;
  for (const int64_t rows : kStepRows) {
    const std::string name =
        step_title("linear of a step", model, rows, type == at::kFloat ? "fp32" : "bf16");
    if (!bench.takes(name)) continue;
    if (layers.empty()) layers = layers_of(model, type);
    const at::Tensor x = normal({rows, model.hidden}, type);
    size_t ours = 0, theirs = layers.size() / 2;  // neither reads what the other just has
    bench.compare(
        name, 1e-9 * static_cast<double>(layers[0].nbytes()), "GB",
        [&] { kernels::product(x, layers[ours++ % layers.size()], std::nullopt); },
        [&] { at::linear(x, layers[theirs++ % layers.size()]); });
  }
}

void step_int8_product(Bench& bench, const Model& model) {
  std::vector<at::Tensor> layers;
  const at::Tensor scales = at::ones({model.inner});
  for (const int64_t rows : kStepRows) {
    const std::string name = step_title("linear of a step", model, rows, "int8");
    if (!bench.takes(name)) continue;
    if (layers.empty()) layers = layers_of(model, at::kChar);
    const at::Tensor x = normal({rows, model.hidden}, at::kFloat), rounded = x.to(at::kChar);
    size_t ours = 0, theirs = layers.size() / 2;  // neither reads what the other just has
    bench.compare(
        name, 1e-9 * static_cast<double>(layers[0].nbytes()), "GB",
        [&] {
          const kernels::Int8Rows weight{layers[ours++ % layers.size()], scales};
          kernels::int8_product(x, weight, at::Tensor());
        },
        [&] { at::_int_mm(rounded, layers[theirs++ % layers.size()].t()); });
  }
}

// One query of each sequence before its keys, of which a third as many heads.
void step_attention(Bench& bench, int64_t sequences, int64_t keys) {
  constexpr int64_t kHeads = 9, kKeyHeads = 3, kDim = 64;
  const at::Tensor q = normal({sequences, kHeads, kDim}, at::kFloat),
                   k = normal({sequences * keys, kKeyHeads, kDim}, at::kFloat),
                   v = normal(k.sizes(), at::kFloat);
  const auto ends = [&](int64_t length) {
    return kernels::Stretches{at::arange(sequences + 1, at::kInt) * static_cast<int>(length),
                              length};
  };
  const kernels::AttentionInputs inputs{
      .q = q, .k = k, .v = v, .of_q = ends(1), .of_k = ends(keys)};
  const auto as_batch = [&](const at::Tensor& x, int64_t heads) {
    return x.view({sequences, -1, heads, kDim}).transpose(1, 2);
  };
  bench.compare(
      "attention of a step " + std::to_string(sequences) + "x" + std::to_string(keys) + " keys",
      2e-9 * static_cast<double>(k.nbytes()), "GB",
      [&] { kernels::attention(inputs, {.is_causal = true}); },
      [&] {
        at::scaled_dot_product_attention(as_batch(q, kHeads), as_batch(k, kKeyHeads),
                                         as_batch(v, kKeyHeads), {}, 0, false, std::nullopt,
                                         /*enable_gqa=*/true);
      });
}

// AdamW with moments of each type, beside that with fp32 ones.
void narrow_adamw(Bench& bench, const Model& model, MomentType type, const char* name) {
  const int64_t count = 8 * model.hidden * model.inner;
  const auto parameter = [&] {
    const at::Tensor value = leaf(normal({count}, at::kFloat));
    value.mutable_grad() = normal({count}, at::kFloat);
    return Parameter{.name = "x", .value = value, .weight_decay = 0.01};
  };
  AdamW narrow({parameter()}, {.moments = type}), wide({parameter()}, {});
  bench.compare(
      std::string("AdamW with moments in ") + name + ", " + model.name,
      12e-9 * static_cast<double>(count), "GB", [&] { narrow.step(1e-5, 1); },
      [&] { wide.step(1e-5, 1); });
}

void steps_of_decoders(Bench& bench) {
  for (const Model& model : kDecoders) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) step_product(bench, model, type);
    step_int8_product(bench, model);
    narrow_adamw(bench, model, MomentType::kBf16, "bf16");
    narrow_adamw(bench, model, MomentType::kInt8, "int8");
  }
  for (const int64_t sequences : {1, 16}) {
    for (const int64_t keys : {200, 1000, 4000}) step_attention(bench, sequences, keys);
  }
}

Json run(const Settings& settings) {
  at::set_num_threads(settings.threads);
  Bench bench(settings);
  bench.peak();
  for (const Model& model : kModels) {
    for (const Load& load : kLoads) {
      for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
        attention(bench, model, load, type);
        positions(bench, model, load, type);
        if (load.length == 512) continue;  // the rest sees tokens only
        norm(bench, model, load, type);
        activation(bench, model, load, type);
        dropout(bench, model, load, type);
        product(bench, model, load, type);
      }
      embedding(bench, model, load);
    }
    adamw(bench, model);
    table_step(bench, model);
  }
  steps_of_decoders(bench);
  cross_entropy(bench, 32, 77);
  cross_entropy(bench, 256, 30522);
  crf(bench, 32, 30, 9);
  crf(bench, 32, 30, 72);
  return bench.report();
}

Settings read_arguments(int count, char** arguments) {
  Settings settings;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string name = arguments[i];
    if (name == "--threads") settings.threads = std::stoi(arguments[i + 1]);
    if (name == "--seconds") settings.seconds = std::stod(arguments[i + 1]);
    if (name == "--filter") settings.filter = arguments[i + 1];
  }
  return settings;
}

}  // namespace
}  // namespace hone::bench

int main(int count, char** arguments) {
  std::printf("%s\n",
              hone::bench::run(hone::bench::read_arguments(count, arguments)).dump(2).c_str());
}
