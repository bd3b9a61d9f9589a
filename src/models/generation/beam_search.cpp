// Beam search that gives the tokens of Transformers' (generation/utils.py, _beam_search): the
// candidates of a step are the best num_beams * (1 + end tokens) ways to go on of all beams; of
// those that end, the first num_beams are kept as hypotheses; the others go on.
#include <algorithm>
#include <cmath>
#include <limits>

#include "models/generation/logit_rules.h"
#include "models/generation/search.h"
#include "models/kernels/row_scores.h"

namespace hone {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

struct Beam {
  std::vector<int32_t> ids;  // prompt and answer
  float score = 0;           // sum of the log-probabilities
};

struct Hypothesis {
  std::vector<int32_t> ids;  // of the answer
  std::optional<int32_t> end;
  float score = 0;  // with the length penalty
};

// A way to go on; of equal ones the first beam's, then the first token is better.
struct Candidate {
  float score = 0;
  int64_t beam = 0;
  int32_t token = 0;
};

// The best so many of those given, which come in the order of beams and tokens.
class BestCandidates {
 public:
  explicit BestCandidates(size_t count) : count_(count) {}

  // What a score must be above to be among them.
  float least() const { return heap_.size() == count_ ? heap_.front().score : kNone; }
  // REQUIRES: a score above `least`.
  void add(const Candidate& candidate) {
    if (heap_.size() == count_) {
      std::pop_heap(heap_.begin(), heap_.end(), is_before);
      heap_.pop_back();
    }
    heap_.push_back(candidate);
    std::push_heap(heap_.begin(), heap_.end(), is_before);
  }
  std::vector<Candidate> sorted() {
    std::sort(heap_.begin(), heap_.end(), is_before);
    return std::move(heap_);
  }

 private:
  // The worst one is on top of the heap.
  static bool is_before(const Candidate& a, const Candidate& b) {
    if (a.score != b.score) return a.score > b.score;
    return a.beam != b.beam ? a.beam < b.beam : a.token < b.token;
  }

  size_t count_;
  std::vector<Candidate> heap_;
};

class BeamSearch : public Search {
 public:
  explicit BeamSearch(const SearchTask& task)
      : task_(task), width_(task.options.num_beams), beams_{{task.prompt.ids, 0}} {}

  std::vector<Extension> extend(at::Tensor logits) override {
    take_log_probabilities(logits);
    const std::vector<Candidate> candidates = best_of(logits);
    if (candidates.empty() && hypotheses_.empty()) refuse_all_forbidden(answered_);
    ++answered_;
    const std::vector<Candidate> going_on = sort_out(candidates);
    advance(going_on);
    may_improve_ = may_improve_ && can_improve();
    if (!is_over()) return extensions(going_on);
    found_ = hypotheses_.front();
    return {};
  }
  std::span<const int32_t> settled() const override {
    return found_ ? std::span<const int32_t>(found_->ids) : std::span<const int32_t>();
  }
  Generated answer() const override;

 private:
  size_t prompt() const { return task_.prompt.ids.size(); }
  bool is_full() const { return static_cast<int64_t>(hypotheses_.size()) == width_; }
  // The beams have hypotheses enough, and none is wanted beyond.
  bool has_enough() const {
    return is_full() && task_.options.early_stopping == EarlyStopping::kTrue;
  }
  bool is_over() const { return beams_.empty() || !may_improve_ || has_enough(); }
  float penalised(float score, int64_t tokens) const {
    const double power = std::pow(static_cast<double>(tokens), task_.options.length_penalty);
    return score / static_cast<float>(power);
  }

  void take_log_probabilities(const at::Tensor& logits) const;
  std::vector<Candidate> best_of(const at::Tensor& scores) const;
  std::vector<Candidate> sort_out(const std::vector<Candidate>& candidates);
  void keep(const Candidate& candidate);
  void advance(const std::vector<Candidate>& going_on);
  bool can_improve() const;

  static std::vector<Extension> extensions(const std::vector<Candidate>& going_on) {
    std::vector<Extension> extensions;
    for (const Candidate& candidate : going_on)
      extensions.push_back({candidate.beam, candidate.token});
    return extensions;
  }

  SearchTask task_;
  int64_t width_;
  int64_t answered_ = 0;                // tokens of each beam's answer
  std::vector<Beam> beams_;             // that go on, the best first
  std::vector<Hypothesis> hypotheses_;  // that have ended, the best first
  bool may_improve_ = true;             // a running beam may give a better hypothesis
  std::optional<Hypothesis> found_;     // the best one, in the end
};

// In the logits' place, as the rules leave them; -inf: forbidden.
void BeamSearch::take_log_probabilities(const at::Tensor& logits) const {
  for (size_t beam = 0; beam < beams_.size(); ++beam) {
    const LogitRow row = row_of_logits(logits, static_cast<int64_t>(beam), answered_);
    if (row.largest > kNone)
      kernels::log_softmax_row(row.scores.data(), static_cast<int64_t>(row.scores.size()),
                               row.largest);
    apply_rules(task_.options, {beams_[beam].ids, static_cast<int64_t>(prompt()), task_.room},
                row.scores);
  }
}

std::vector<Candidate> BeamSearch::best_of(const at::Tensor& scores) const {
  const auto ends = static_cast<int64_t>(task_.options.eos_token_id.size());
  BestCandidates best(static_cast<size_t>(width_ * std::max<int64_t>(2, 1 + ends)));
  const auto* values = scores.const_data_ptr<float>();
  const int64_t width = scores.size(1);
  for (size_t beam = 0; beam < beams_.size(); ++beam, values += width) {
    const float so_far = beams_[beam].score;
    // Nearly all are passed over. The bound is a little low, as it was rounded.
    const auto next = [&](int64_t token) {
      return kernels::next_above(values, token, width,
                                 std::nextafter(best.least() - so_far, kNone));
    };
    for (int64_t token = next(0); token < width; token = next(token + 1)) {
      const float score = values[token] + so_far;
      if (score > best.least())
        best.add({score, static_cast<int64_t>(beam), static_cast<int32_t>(token)});
    }
  }
  return best.sorted();
}

// Keeps those that end; gives those that go on.
std::vector<Candidate> BeamSearch::sort_out(const std::vector<Candidate>& candidates) {
  const bool may_keep = may_improve_ && !has_enough();
  std::vector<Candidate> going_on;
  for (size_t rank = 0; rank < candidates.size(); ++rank) {
    const Candidate& candidate = candidates[rank];
    const bool ends = answered_ == task_.room || is_end(task_.options, candidate.token);
    if (ends && may_keep && static_cast<int64_t>(rank) < width_) keep(candidate);
    if (!ends && static_cast<int64_t>(going_on.size()) < width_) going_on.push_back(candidate);
  }
  return going_on;
}

// Among the hypotheses, of which the best num_beams stay.
void BeamSearch::keep(const Candidate& candidate) {
  const std::vector<int32_t>& ids = beams_[candidate.beam].ids;
  Hypothesis hypothesis;
  hypothesis.ids.assign(ids.begin() + prompt(), ids.end());
  if (is_end(task_.options, candidate.token))
    hypothesis.end = candidate.token;
  else
    hypothesis.ids.push_back(candidate.token);
  hypothesis.score = penalised(candidate.score, answered_);
  const auto place =
      std::upper_bound(hypotheses_.begin(), hypotheses_.end(), hypothesis,
                       [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
  hypotheses_.insert(place, std::move(hypothesis));
  if (static_cast<int64_t>(hypotheses_.size()) > width_) hypotheses_.pop_back();
}

void BeamSearch::advance(const std::vector<Candidate>& going_on) {
  std::vector<Beam> beams;
  for (const Candidate& candidate : going_on) {
    beams.push_back({beams_[candidate.beam].ids, candidate.score});
    beams.back().ids.push_back(candidate.token);
  }
  beams_ = std::move(beams);
}

// Whether the best beam, as it stands or as long as it may become, could be better than the worst
// hypothesis.
bool BeamSearch::can_improve() const {
  if (beams_.empty() || !is_full()) return !beams_.empty();
  const bool grows =
      task_.options.early_stopping == EarlyStopping::kNever && task_.options.length_penalty > 0;
  const float best = penalised(beams_.front().score, grows ? task_.room : answered_);
  return best > hypotheses_.back().score;
}

// Before the end, the best there is.
Generated BeamSearch::answer() const {
  Generated answer;
  if (hypotheses_.empty()) {
    const Beam& beam = beams_.front();
    answer.ids.assign(beam.ids.begin() + prompt(), beam.ids.end());
    answer.score = answered_ == 0 ? 0 : penalised(beam.score, answered_);
    return answer;
  }
  const Hypothesis& best = hypotheses_.front();
  answer.ids = best.ids;
  answer.end = best.end;
  answer.score = best.score;
  if (found_)
    answer.reason = best.end ? reason_of_end(task_, static_cast<int64_t>(best.ids.size()))
                             : reason_of_room(task_);
  return answer;
}

}  // namespace

std::unique_ptr<Search> make_beam_search(const SearchTask& task) {
  return std::make_unique<BeamSearch>(task);
}

}  // namespace hone
