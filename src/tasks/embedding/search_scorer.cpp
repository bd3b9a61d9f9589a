#include "tasks/embedding/search_scorer.h"

#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_map>

#include "tasks/embedding/head.h"
#include "tasks/embedding/rows.h"
#include "tasks/fields.h"
#include "tasks/metrics/bootstrap.h"
#include "tasks/metrics/retrieval.h"
#include "tasks/mistakes.h"

namespace hone::embedding {
namespace {

constexpr size_t kShownQuery = 300;
constexpr int64_t kQueriesAtOnce = 256;

Error bad_result(const Record& gold, const std::string& what) {
  return Error(ErrorKind::kData, gold.where(), "in the result for this row, " + what);
}

// Texts, each once, with their vectors.
class TextVectors {
 public:
  // The number of `text`; a new one gets `vector`.
  int32_t add(const std::string& text, const std::vector<float>& vector) {
    const auto [found, is_new] = index_.emplace(text, static_cast<int32_t>(index_.size()));
    if (is_new) values_.insert(values_.end(), vector.begin(), vector.end());
    return found->second;
  }
  int64_t size() const { return static_cast<int64_t>(index_.size()); }
  // [size, width] of length 1.
  at::Tensor vectors() const {
    const int64_t width = static_cast<int64_t>(values_.size()) / std::max<int64_t>(size(), 1);
    auto* values = const_cast<float*>(values_.data());  // not written to
    return unit(at::from_blob(values, {size(), width}, at::kFloat));
  }

 private:
  std::unordered_map<std::string, int32_t> index_;
  std::vector<float> values_;
};

struct Query {
  Where where;
  std::string text;            // its beginning
  std::set<int32_t> relevant;  // candidates
};

struct Ranked {
  metrics::SearchScores scores, random;
};

class SearchScorer : public Scorer {
 public:
  explicit SearchScorer(const Options& options) : options_(options) {}

  void check(const Record& gold) const override { texts_of(gold, options_, true); }

  void add(const Record& gold, const Json& result) override {
    const std::vector<std::string> texts = texts_of(gold, options_, true).list(SIZE_MAX);
    const std::vector<std::vector<float>> vectors = vectors_in(gold, result, texts.size());
    const auto query = static_cast<size_t>(anchors_.add(texts[0], vectors[0]));
    if (query == queries_.size())
      queries_.push_back({gold.where(), shortened(texts[0], kShownQuery), {}});
    for (size_t i = 1; i < vectors.size(); ++i) {
      const int32_t candidate = candidates_.add(texts[i], vectors[i]);
      if (candidate == static_cast<int32_t>(shown_.size()))
        shown_.push_back(shortened(texts[i], kShownQuery));
      if (i == 1) queries_[query].relevant.insert(candidate);
    }
    ++rows_;
  }

  Report report() const override {
    Report report;
    report.task = kTaskName;
    const std::vector<std::string> names = {fmt::format("ndcg@{}", options_.k),
                                            fmt::format("mrr@{}", options_.k),
                                            fmt::format("recall@{}", options_.k), "accuracy@1"};
    report.metric = names.front();
    report.n = rows_;
    MistakeList mistakes;
    const std::vector<Ranked> ranked = rank(mistakes);
    const auto mean = [&](std::span<const int32_t> weights) {
      return mean_of(ranked, weights, &Ranked::scores);
    };
    const std::vector<int32_t> once(ranked.size(), 1);
    if (report.n > 0) report.baseline = "texts in random order";
    report.add({names[0].c_str(), names[1].c_str(), names[2].c_str(), names[3].c_str()}, mean(once),
               metrics::bootstrap(static_cast<int64_t>(ranked.size()), mean),
               ranked.empty() ? std::vector<double>() : mean_of(ranked, once, &Ranked::random));
    report.sections.push_back(
        mistakes.section("searches that found another text first", "similarity"));
    return report;
  }

 private:
  std::vector<std::vector<float>> vectors_in(const Record& gold, const Json& result, size_t most) {
    const Json& list = need_result(gold, result, "embeddings");
    if (!list.is_array() || list.size() < 2 || list.size() > most)
      throw bad_result(gold, fmt::format("\"embeddings\" must be a list of vectors, one for each "
                                         "text of the row ({})",
                                         most));
    std::vector<std::vector<float>> vectors;
    for (const Json& one : list) vectors.push_back(vector_in(gold, one));
    return vectors;
  }

  // Of the width that all have.
  std::vector<float> vector_in(const Record& gold, const Json& value) {
    std::vector<float> vector;
    for (const Json& number : value) {
      if (!number.is_number())
        throw bad_result(gold,
                         fmt::format("an embedding has {}, which is no number", dump(number)));
      vector.push_back(number.get<float>());
    }
    if (width_ == 0) width_ = vector.size();
    if (vector.empty() || vector.size() != width_)
      throw bad_result(gold, fmt::format("an embedding has {} numbers, those before have {}",
                                         vector.size(), width_));
    return vector;
  }

  // Of each query; a search whose first text is not relevant is a mistake.
  std::vector<Ranked> rank(MistakeList& mistakes) const {
    std::vector<Ranked> ranked;
    const at::Tensor anchors = anchors_.vectors(), candidates = candidates_.vectors().t();
    for (size_t begin = 0; begin < queries_.size(); begin += kQueriesAtOnce) {
      const auto first = static_cast<int64_t>(begin);
      const at::Tensor scores =
          anchors.slice(0, first, first + kQueriesAtOnce).matmul(candidates).contiguous();
      for (int64_t i = 0; i < scores.size(0); ++i) {
        const std::span row(scores.const_data_ptr<float>() + i * scores.size(1),
                            static_cast<size_t>(scores.size(1)));
        ranked.push_back(rank_one(queries_[begin + static_cast<size_t>(i)], row, mistakes));
      }
    }
    return ranked;
  }

  Ranked rank_one(const Query& query, std::span<const float> scores, MistakeList& mistakes) const {
    const std::vector<int32_t> relevant(query.relevant.begin(), query.relevant.end());
    const std::vector<int64_t> ranks = metrics::ranks_of(scores, relevant);
    const size_t top = std::max_element(scores.begin(), scores.end()) - scores.begin();
    if (ranks.front() > 1 && mistakes.wants(scores[top]))
      mistakes.add({query.where, query.text, shown_[relevant.front()], shown_[top], scores[top]});
    return {metrics::search_scores(ranks, options_.k),
            metrics::random_search(static_cast<int64_t>(relevant.size()), candidates_.size(),
                                   options_.k)};
  }

  static std::vector<double> mean_of(const std::vector<Ranked>& ranked,
                                     std::span<const int32_t> weights,
                                     metrics::SearchScores Ranked::* which) {
    std::vector<double> sums(4, 0);
    for (size_t i = 0; i < ranked.size(); ++i) {
      const metrics::SearchScores& one = ranked[i].*which;
      const double values[] = {one.ndcg, one.mrr, one.recall, one.accuracy};
      for (size_t j = 0; j < sums.size(); ++j) sums[j] += weights[i] * values[j];
    }
    for (double& sum : sums) sum /= std::max<double>(1, static_cast<double>(ranked.size()));
    return sums;
  }

  Options options_;
  TextVectors anchors_, candidates_;
  std::vector<Query> queries_;
  std::vector<std::string> shown_;  // of the candidates
  size_t width_ = 0;
  int64_t rows_ = 0;
};

}  // namespace

std::unique_ptr<Scorer> make_search_scorer(const Options& options) {
  return std::make_unique<SearchScorer>(options);
}

}  // namespace hone::embedding
