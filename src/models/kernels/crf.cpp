#include "models/kernels/crf.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace hone::kernels {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

constexpr int64_t kChainsAtOnce = 4;  // whose gradients of the table are added up in one place

// exp(x - top), with top the greatest: returns it.
double exponentials(const float* x, int64_t count, double* out) {
  const double top = *std::max_element(x, x + count);
  for (int64_t i = 0; i < count; ++i) out[i] = std::exp(x[i] - top);
  return top;
}

// The table's scores, ready for sums over paths.
struct Field {
  explicit Field(const at::Tensor& table)
      : tags(table.size(1)),
        scores(table.const_data_ptr<float>()),
        next(tags * tags),
        before(tags * tags),
        start(tags),
        end(tags) {
    top = exponentials(scores, tags * tags, next.data());
    start_top = exponentials(scores + tags * tags, tags, start.data());
    end_top = exponentials(scores + (tags + 1) * tags, tags, end.data());
    for (int64_t i = 0; i < tags; ++i) {
      for (int64_t j = 0; j < tags; ++j) before[j * tags + i] = next[i * tags + j];
    }
  }

  int64_t tags;
  const float* scores;
  std::vector<double> next, before;  // exponentials [from, to] and [to, from]
  std::vector<double> start, end;
  double top, start_top, end_top;
};

// out += Σ_i by[i] · rows[i]
void add_product(const double* by, const double* rows, int64_t tags, double* out) {
  for (int64_t i = 0; i < tags; ++i) {
    const double factor = by[i];
    for (int64_t j = 0; j < tags; ++j) out[j] += factor * rows[i * tags + j];
  }
}

// One chain: probabilities of its beginnings, then of its tags.
class Lattice {
 public:
  Lattice(const Field& field, const float* emissions, const CrfChain& chain)
      : field_(field),
        n_(chain.end - chain.begin),
        tags_(field.tags),
        emissions_(n_ * tags_),
        forward_(n_ * tags_),
        scale_(n_) {
    for (int64_t t = 0; t < n_; ++t) step(emissions + t * tags_, t, chain.has_start);
    finish(chain.has_end);
  }

  double log_partition() const { return log_partition_; }

  // marginal(t, p): p [T] sums to 1; pair(t, a, b): exp(transitions) · a bᵀ are the probabilities
  // of pairs (t, t + 1).
  template <typename Marginal, typename Pair>
  void backward(Marginal marginal, Pair pair) const {
    std::vector<double> beta = last_, shown(tags_), scaled(tags_);
    for (int64_t t = n_ - 1; t >= 0; --t) {
      const double* alpha = &forward_[t * tags_];
      for (int64_t j = 0; j < tags_; ++j) shown[j] = alpha[j] * beta[j];
      marginal(t, shown.data());
      if (t == 0) break;
      const double* emission = &emissions_[t * tags_];
      for (int64_t j = 0; j < tags_; ++j) scaled[j] = emission[j] * beta[j] / scale_[t];
      pair(t - 1, &forward_[(t - 1) * tags_], scaled.data());
      std::fill(beta.begin(), beta.end(), 0);
      add_product(scaled.data(), field_.before.data(), tags_, beta.data());
    }
  }

 private:
  void step(const float* emissions, int64_t t, bool has_start) {
    double* emission = &emissions_[t * tags_];
    double* alpha = &forward_[t * tags_];
    log_partition_ += exponentials(emissions, tags_, emission);
    if (t > 0) {
      add_product(alpha - tags_, field_.next.data(), tags_, alpha);
      log_partition_ += field_.top;
    } else if (has_start) {
      std::copy(field_.start.begin(), field_.start.end(), alpha);
      log_partition_ += field_.start_top;
    } else {
      std::fill(alpha, alpha + tags_, 1);
    }
    for (int64_t j = 0; j < tags_; ++j) scale_[t] += alpha[j] *= emission[j];
    for (int64_t j = 0; j < tags_; ++j) alpha[j] /= scale_[t];
    log_partition_ += std::log(scale_[t]);
  }

  void finish(bool has_end) {
    last_.assign(tags_, 1);  // the last scale has made the sum 1
    if (!has_end || n_ == 0) return;
    const double* alpha = &forward_[(n_ - 1) * tags_];
    double sum = 0;
    for (int64_t j = 0; j < tags_; ++j) sum += alpha[j] * field_.end[j];
    for (int64_t j = 0; j < tags_; ++j) last_[j] = field_.end[j] / sum;
    log_partition_ += std::log(sum) + field_.end_top;
  }

  const Field& field_;
  int64_t n_, tags_;
  std::vector<double> emissions_, forward_, scale_, last_;
  double log_partition_ = 0;
};

// visit(place in the table) for each part of it that a chain's path takes.
template <typename Visit>
void for_each_part(const CrfChain& chain, const int64_t* path, int64_t tags, Visit&& visit) {
  const int64_t n = chain.end - chain.begin;
  for (int64_t t = 1; t < n; ++t) visit(path[t - 1] * tags + path[t]);
  if (chain.has_start) visit(tags * tags + path[0]);
  if (chain.has_end) visit((tags + 1) * tags + path[n - 1]);
}

struct Inputs {
  const Field& field;
  const float* emissions;
  const int64_t* tags;
};

double path_score(const Inputs& in, const CrfChain& chain) {
  double score = 0;
  for (int64_t r = chain.begin; r < chain.end; ++r)
    score += in.emissions[r * in.field.tags + in.tags[r]];
  for_each_part(chain, in.tags + chain.begin, in.field.tags,
                [&](int64_t part) { score += in.field.scores[part]; });
  return score;
}

// What a chain adds to the gradients: probabilities of the model less what is. demissions [M, T];
// dtable [T + 2, T], but that the pairs of tags are still without the field's exponentials.
void add_gradients(const Inputs& in, const CrfChain& chain, const Lattice& lattice,
                   float* demissions, double* pairs, double* dtable) {
  const int64_t tags = in.field.tags, n = chain.end - chain.begin;
  const int64_t* path = in.tags + chain.begin;
  const auto marginal = [&](int64_t t, const double* p) {
    float* row = demissions + (chain.begin + t) * tags;
    for (int64_t j = 0; j < tags; ++j)
      row[j] = static_cast<float>(chain.weight * (p[j] - (path[t] == j)));
    for (int64_t j = 0; j < tags; ++j) {
      if (t == 0 && chain.has_start) dtable[tags * tags + j] += chain.weight * p[j];
      if (t == n - 1 && chain.has_end) dtable[(tags + 1) * tags + j] += chain.weight * p[j];
    }
  };
  lattice.backward(marginal, [&](int64_t, const double* a, const double* b) {
    for (int64_t i = 0; i < tags; ++i) {
      const double factor = chain.weight * a[i];
      for (int64_t j = 0; j < tags; ++j) pairs[i * tags + j] += factor * b[j];
    }
  });
  for_each_part(chain, path, tags, [&](int64_t part) { dtable[part] -= chain.weight; });
}

struct Sums {
  double loss = 0;
  std::vector<double> dtable;  // [T + 2, T], empty where no gradient is wanted
};

Sums sums_of(const Inputs& in, std::span<const CrfChain> chains, float* demissions) {
  const int64_t tags = in.field.tags;
  Sums sums;
  std::vector<double> pairs;
  if (demissions != nullptr) {
    sums.dtable.resize((tags + 2) * tags);
    pairs.resize(tags * tags);
  }
  for (const CrfChain& chain : chains) {
    if (chain.begin == chain.end) continue;
    const Lattice lattice(in.field, in.emissions + chain.begin * tags, chain);
    sums.loss += chain.weight * (lattice.log_partition() - path_score(in, chain));
    if (demissions != nullptr)
      add_gradients(in, chain, lattice, demissions, pairs.data(), sums.dtable.data());
  }
  for (size_t i = 0; i < pairs.size(); ++i) sums.dtable[i] += pairs[i] * in.field.next[i];
  return sums;
}

// In groups of fixed size, added up in their order: the same whatever the number of threads.
Sums sums_of_all(const Inputs& in, const std::vector<CrfChain>& chains, float* demissions) {
  const auto count = static_cast<int64_t>(chains.size()),
             groups = (count + kChainsAtOnce - 1) / kChainsAtOnce;
  std::vector<Sums> parts(groups);
  at::parallel_for(0, groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      const int64_t first = g * kChainsAtOnce;
      parts[g] = sums_of(
          in, std::span(chains).subspan(first, std::min(kChainsAtOnce, count - first)), demissions);
    }
  });
  Sums all;
  if (demissions != nullptr) all.dtable.resize((in.field.tags + 2) * in.field.tags);
  for (const Sums& part : parts) {
    all.loss += part.loss;
    for (size_t i = 0; i < all.dtable.size(); ++i) all.dtable[i] += part.dtable[i];
  }
  return all;
}

struct CrfLoss : torch::autograd::Function<CrfLoss> {
  static Variable forward(AutogradContext* context, const Variable& emissions,
                          const Variable& table, const at::Tensor& tags,
                          const std::vector<CrfChain>& chains, bool wants_gradient) {
    const Field field(table);
    const Inputs in{field, emissions.const_data_ptr<float>(), tags.const_data_ptr<int64_t>()};
    at::Tensor demissions = wants_gradient ? at::zeros_like(emissions) : at::Tensor();
    const Sums sums =
        sums_of_all(in, chains, wants_gradient ? demissions.data_ptr<float>() : nullptr);
    if (wants_gradient) {
      context->saved_data["demissions"] = demissions;
      context->saved_data["dtable"] =
          at::tensor(sums.dtable, at::kDouble).to(at::kFloat).view(table.sizes());
    }
    return at::scalar_tensor(sums.loss, at::kFloat);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    return {context->saved_data["demissions"].toTensor() * gradients[0],
            context->saved_data["dtable"].toTensor() * gradients[0], Variable(), Variable(),
            Variable()};
  }
};

// best[j]: the score of the best path to tag j at the place before; from[j]: that path's tag there.
void take_step(const Field& field, const float* x, std::vector<double>& best, int64_t* from) {
  std::vector<double> next(field.tags, -std::numeric_limits<double>::infinity());
  for (int64_t i = 0; i < field.tags; ++i) {
    for (int64_t j = 0; j < field.tags; ++j) {
      const double score = best[i] + field.scores[i * field.tags + j];
      if (score <= next[j]) continue;
      next[j] = score;
      from[j] = i;
    }
  }
  for (int64_t j = 0; j < field.tags; ++j) best[j] = next[j] + x[j];
}

std::vector<int64_t> best_tags(const Field& field, const float* x, int64_t n) {
  const int64_t tags = field.tags;
  std::vector<double> best(tags);
  std::vector<int64_t> from(n * tags), path(n);
  for (int64_t j = 0; j < tags; ++j) best[j] = double{x[j]} + field.scores[tags * tags + j];
  for (int64_t t = 1; t < n; ++t) take_step(field, x + t * tags, best, &from[t * tags]);
  for (int64_t j = 0; j < tags; ++j) best[j] += field.scores[(tags + 1) * tags + j];
  path[n - 1] = std::max_element(best.begin(), best.end()) - best.begin();
  for (int64_t t = n - 1; t > 0; --t) path[t - 1] = from[t * tags + path[t]];
  return path;
}

}  // namespace

at::Tensor crf_loss_sum(const at::Tensor& emissions, const at::Tensor& table,
                        const at::Tensor& tags, const std::vector<CrfChain>& chains) {
  TORCH_CHECK(emissions.dim() == 2 && table.dim() == 2 && table.size(1) == emissions.size(1) &&
                  table.size(0) == table.size(1) + 2,
              "[crf] expected emissions [M, T] and a table [T + 2, T], received ",
              emissions.sizes(), " and ", table.sizes());
  TORCH_CHECK(tags.dim() == 1 && tags.size(0) == emissions.size(0) &&
                  tags.scalar_type() == at::kLong && tags.is_cpu(),
              "[crf] expected int64 tags [", emissions.size(0), "] on the CPU, received ",
              tags.sizes());
  const auto here = [](const at::Tensor& x) { return x.to(at::kCPU, at::kFloat).contiguous(); };
  const bool wants_gradient =
      c10::GradMode::is_enabled() && (emissions.requires_grad() || table.requires_grad());
  return CrfLoss::apply(here(emissions), here(table), tags.contiguous(), chains, wants_gradient)
      .to(emissions.device());
}

// Where all scores are zero, the gradient of the plain loss is how often an even draw of paths has
// each part, less how often `tags` have it: its product with the scores is the mean score of all
// paths less that of `tags`.
at::Tensor crf_loss_sum(const at::Tensor& emissions, const at::Tensor& table,
                        const at::Tensor& tags, const std::vector<CrfChain>& chains,
                        double smoothing) {
  const at::Tensor loss = crf_loss_sum(emissions, table, tags, chains);
  if (smoothing == 0) return loss;
  at::Tensor even = at::zeros_like(emissions.detach()),
             allowed = at::zeros_like(table.detach())
                           .masked_fill(table.detach().le(kForbidden), kForbidden);
  even.requires_grad_();
  allowed.requires_grad_();
  const at::AutoGradMode recorded(true);
  crf_loss_sum(even, allowed, tags, chains).backward();
  const at::Tensor above = (even.grad() * emissions).sum() + (allowed.grad() * table).sum();
  return loss - smoothing * above;
}

CrfPath crf_best_path(const at::Tensor& emissions, const at::Tensor& table) {
  const int64_t n = emissions.size(0);
  if (n == 0) return {};
  const Field field(table);
  const float* x = emissions.const_data_ptr<float>();
  CrfPath path{best_tags(field, x, n), std::vector<double>(n)};
  Lattice(field, x, CrfChain{0, n})
      .backward([&](int64_t t, const double* p) { path.probabilities[t] = p[path.tags[t]]; },
                [](int64_t, const double*, const double*) {});
  return path;
}

}  // namespace hone::kernels
