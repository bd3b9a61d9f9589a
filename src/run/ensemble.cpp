#include "run/ensemble.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "run/tested.h"
#include "tasks/ensemble.h"
#include "tasks/pipeline.h"

namespace hone {
namespace {

// Word tables of models that began with one base stay alike: training moves each row a little, or
// not at all. Those of two bases are alike by chance.
constexpr double kLeastAlike = 0.9;

using SoupWeights = std::vector<std::pair<std::string, at::Tensor>>;

SoupWeights weights_copy(const Network& network) {
  SoupWeights copies;
  for (const auto& [name, value] : network.weights())
    copies.emplace_back(name, value.detach().clone());
  return copies;
}

void require_one_shape(const SoupWeights& first, const SoupWeights& other,
                       const std::vector<std::string>& models) {
  const bool is_alike = std::equal(
      first.begin(), first.end(), other.begin(), other.end(), [](const auto& a, const auto& b) {
        return a.first == b.first && a.second.sizes() == b.second.sizes();
      });
  if (!is_alike)
    throw Error(ErrorKind::kUsage, {models[1]},
                fmt::format("its weights are not those of {} in names or shapes: they have no mean",
                            models[0]));
}

void require_one_origin(const Pipeline& first, const Pipeline& other,
                        const std::vector<std::string>& models) {
  const at::Tensor a = first.network().backbone().word_table().flatten().to(at::kDouble),
                   b = other.network().backbone().word_table().flatten().to(at::kDouble);
  const double alike = (a.dot(b) / (a.norm() * b.norm())).item<double>();
  if (!(alike >= kLeastAlike))
    throw Error(
        ErrorKind::kUsage, {models[1]},
        fmt::format("began with another base model than {} (the cosine of their word tables "
                    "is {:.2f}): a mean of their weights would be no model. Average their "
                    "probabilities instead (--as probabilities)",
                    models[0], alike));
}

// A plain model in fp32: what weights are added up in.
std::unique_ptr<Pipeline> load_ingredient(const std::string& model,
                                          const std::vector<std::string>& task) {
  if (is_ensemble_folder(model))
    throw Error(ErrorKind::kUsage, {model}, "is an ensemble already; name its members");
  std::unique_ptr<Pipeline> pipeline = Pipeline::load(model, task);
  if (pipeline->adapted()) pipeline->merge_adapters();
  return pipeline;
}

// A mean of weights that grows.
class Soup {
 public:
  Soup(const std::vector<std::string>& models, const LoadOptions& options)
      : pipeline_(load_ingredient(models.front(), options.task)) {
    for (const std::string& model : models) {
      const auto one = load_ingredient(model, options.task);
      all_.push_back(weights_copy(one->network()));
      require_one_shape(all_.front(), all_.back(), {models.front(), model});
      require_one_origin(*pipeline_, *one, {models.front(), model});
    }
  }

  // The network with the mean of these models' weights.
  Pipeline& of(const std::vector<size_t>& chosen) {
    const c10::AutoGradMode no_grad(false);
    auto weights = pipeline_->network().weights();
    for (size_t i = 0; i < weights.size(); ++i) {
      at::Tensor sum = at::zeros_like(weights[i].second, at::kDouble);
      for (const size_t model : chosen) sum += all_[model][i].second.to(at::kDouble);
      weights[i].second.copy_(sum / static_cast<double>(chosen.size()));
    }
    pipeline_->network().refresh_shadows();
    return *pipeline_;
  }

 private:
  std::unique_ptr<Pipeline> pipeline_;
  std::vector<SoupWeights> all_;
};

// What a report says of a model, greater being better.
double merit_of(const Pipeline& pipeline, const Reading& data, int64_t max_tokens,
                std::string& metric) {
  const Report report = test_on(pipeline, data, max_tokens, "").report;
  const Metric* main = report.main();
  if (main == nullptr)
    throw Error(ErrorKind::kUsage, fmt::format("task {} has no metric to choose by; take --as soup",
                                               pipeline.info().name));
  metric = main->name;
  return main->greater_is_better ? main->value : -main->value;
}

// From the best model on, each is taken that makes the soup no worse.
std::vector<size_t> choose_greedily(Soup& soup, Ensemble& ensemble, const Reading& data,
                                    int64_t max_tokens) {
  std::vector<Ingredient>& all = ensemble.ingredients;
  for (size_t i = 0; i < all.size(); ++i)
    all[i].score = merit_of(soup.of({i}), data, max_tokens, ensemble.metric);
  std::vector<size_t> order(all.size()), chosen;
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return all[a].score > all[b].score; });
  double best = 0;
  std::vector<Ingredient> in_order;
  for (const size_t i : order) {
    std::vector<size_t> tried = chosen;
    tried.push_back(i);
    all[i].with_it =
        chosen.empty() ? all[i].score : merit_of(soup.of(tried), data, max_tokens, ensemble.metric);
    all[i].is_in = chosen.empty() || all[i].with_it >= best;
    if (all[i].is_in) {
      chosen = tried;
      best = all[i].with_it;
    }
    in_order.push_back(all[i]);
  }
  all = in_order;
  return chosen;
}

void save_members(const std::vector<std::string>& models, const std::vector<std::string>& task,
                  const std::string& out) {
  std::vector<std::string> names;
  for (const std::string& model : models) {
    names.push_back(fmt::format("member-{}", names.size() + 1));
    load_ingredient(model, task)->save(out + "/" + names.back());
  }
  write_ensemble(out, names);
}

void refuse_unfit_models(const std::vector<std::string>& models, EnsembleAs as, bool has_data,
                         const LoadOptions& options, const std::string& out) {
  if (models.size() < 2) throw Error(ErrorKind::kUsage, "an ensemble has two models or more");
  if (std::filesystem::exists(out) && !std::filesystem::is_empty(out))
    throw Error(ErrorKind::kUsage, {out}, "is there already; name a new folder");
  if ((as == EnsembleAs::kGreedySoup) != has_data)
    throw Error(ErrorKind::kUsage,
                has_data ? "--data is for a greedy soup, which it chooses the models of"
                         : "a greedy soup needs labelled data to choose by: --data FILE, of which "
                           "none is test data");
  for (const std::string& model : models) require_one_task(models.front(), model, options.task);
  if (as == EnsembleAs::kProbabilities) require_average(*load_task(models.front(), options.task));
}

}  // namespace

Ensemble make_ensemble(const std::vector<std::string>& models, EnsembleAs as,
                       const std::optional<Reading>& data, const LoadOptions& options,
                       int64_t max_tokens, const std::string& out) {
  refuse_unfit_models(models, as, data.has_value(), options, out);
  Ensemble ensemble;
  for (const std::string& model : models) ensemble.ingredients.push_back({model});
  if (as == EnsembleAs::kProbabilities) {
    save_members(models, options.task, out);
    return ensemble;
  }
  Soup soup(models, options);
  std::vector<size_t> chosen(models.size());
  std::iota(chosen.begin(), chosen.end(), size_t{0});
  if (as == EnsembleAs::kGreedySoup) chosen = choose_greedily(soup, ensemble, *data, max_tokens);
  soup.of(chosen).save(out);
  return ensemble;
}

}  // namespace hone
