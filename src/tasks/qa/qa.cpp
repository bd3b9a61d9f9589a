#include "tasks/qa/qa.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "data/text_bounds.h"
#include "tasks/fields.h"
#include "tasks/heads.h"
#include "tasks/qa/scorer.h"
#include "tasks/qa/spans.h"
#include "tasks/text_places.h"
#include "tasks/truncate.h"
#include "tasks/windows.h"
#include "tasks/within.h"

namespace hone::qa {
namespace {

constexpr const char* kTargets[] = {"start", "end"};  // by column of the logits
constexpr int64_t kOutputs = 2;
constexpr const char* kThreshold = "no_answer_threshold";

int64_t size_of(const Encoding& encoding) { return static_cast<int64_t>(encoding.ids.size()); }

// Transformers' heads for question answering have no dropout of their own but DistilBERT's and
// those with a layer before the last one, whose names they keep.
HeadStyle head_style(const ModelConfig& config) {
  HeadStyle style = config.token_head;
  if (!style.dense.empty()) return style;
  style.out = "qa_outputs";
  style.dropout = config.raw.value("qa_dropout", 0.0);
  return style;
}

// Whether each sample has a target [S], and the row of the batch that its targets are in [S].
struct Aims {
  at::Tensor has_target, rows;
};

Aims aims_of(const Batch& batch, const char* name) {
  const at::Tensor places = batch.targets.at(name).to(at::kLong);
  const at::Tensor has_target = places.ne(static_cast<int64_t>(kNoTarget));
  return {has_target, batch.streams[0].first_rows() + places.clamp_min(0)};
}

// What is learned of an answer that does not begin and end with tokens; "" where it does.
std::string misfit_of(const std::string& context, Span answer, Span tokens) {
  if (visible_part(context, answer) == visible_part(context, tokens)) return "";
  return fmt::format("the answer \"{}\" begins or ends inside a token, and is learned as \"{}\"",
                     shortened(context.substr(answer.start, answer.end - answer.start), 60),
                     shortened(context.substr(tokens.start, tokens.end - tokens.start), 60));
}

// What is learned of a record's answers.
struct Goal {
  bool is_none = false;  // there is no answer
  TokenRange pieces;     // of the context; empty: there is one that cannot be learned
  std::string repair;    // what this does not say as the record does
};

// Where the goal is in a sample that holds a window of the context: start and end.
std::array<float, kOutputs> places_in(const Sequence& sequence, const Window& window,
                                      const Goal& goal) {
  const TokenRange& pieces = goal.pieces;
  if (goal.is_none) return {0, 0};
  if (pieces.is_empty()) return {kNoTarget, kNoTarget};
  if (pieces.end <= window.begin || window.end <= pieces.begin) return {0, 0};
  if (pieces.begin < window.begin || window.end < pieces.end) return {kNoTarget, kNoTarget};
  const auto first = std::find(sequence.texts.begin(), sequence.texts.end(), kContext);
  const int64_t shift = first - sequence.texts.begin() - window.begin;
  return {static_cast<float>(pieces.begin + shift), static_cast<float>(pieces.end - 1 + shift)};
}

}  // namespace

Qa::Qa(Options options, bool may_lack) : options_(std::move(options)), may_lack_(may_lack) {}

const TaskInfo& Qa::info() const { return kInfo; }

std::vector<std::string> Qa::text_fields() const { return {options_.question, options_.context}; }

std::vector<std::string> Qa::gold_fields() const { return {options_.answers}; }

std::string Qa::label_of(const Record& gold) const {
  return answers_of(gold, options_).empty() ? "no answer" : "answer";
}

void Qa::learn(const Record& gold) {
  const std::vector<Answer> answers = answers_of(gold, options_);
  may_lack_ = may_lack_ || answers.empty();
  if (answers.empty()) return;
  const bool is_located =
      locate_first(answers, need_text_as_read(gold, options_.context)).bytes.has_value();
  if (!is_located && answered_ == located_) first_not_located_ = gold.where();
  ++answered_;
  located_ += is_located;
}

void Qa::finish_learning() {
  if (answered_ == 0)
    throw Error(ErrorKind::kData,
                fmt::format("no question of the training data has an answer. Is \"{}\" the right "
                            "field?",
                            options_.answers));
  if (located_ == 0)
    throw Error(ErrorKind::kData, first_not_located_,
                fmt::format("no answer of the training data stands in its text: this one is the "
                            "first. Is \"{}\" the right field?",
                            options_.context));
}

std::vector<std::string> Qa::open_options() const {
  if (!may_lack_ || options_.no_answer_threshold) return {};
  return {kThreshold};
}

// The scorer has looked for it already, where there are questions of both kinds.
std::vector<ChosenOption> Qa::choose_options(const Report& validation) {
  const bool can_tell = std::any_of(validation.metrics.begin(), validation.metrics.end(),
                                    [](const Metric& m) { return m.name == kBestThreshold; });
  if (open_options().empty() || !can_tell) return {};
  options_.no_answer_threshold = validation.value(kBestThreshold);
  return {{kThreshold, *options_.no_answer_threshold, kF1, validation.value(kBestF1),
           validation.value(kF1)}};
}

std::vector<std::string> Qa::idle_options() const {
  if (may_lack_ || options_.no_answer_threshold.value_or(0) == 0) return {};
  return {"no_answer_threshold does nothing: every question of the training data has an answer"};
}

struct Qa::Windows {
  Encoding question, context;
  std::vector<Window> places;  // in the context
  bool is_question_cut = false;
};

Qa::Windows Qa::windows_of(const Record& record, const Tokenizer& tokenizer) const {
  Windows w;
  w.question = encode_field(record, options_.question, tokenizer);
  w.context = encode_field(record, options_.context, tokenizer);
  const int64_t longest = length_limit(options_.max_seq_length, tokenizer);
  const int64_t room = std::max<int64_t>(longest - tokenizer.special_tokens_added(true), 2);
  w.is_question_cut =
      truncate_longest_first(w.question, nullptr, std::min(options_.max_question_length, room / 2));
  const int64_t of_context = room - size_of(w.question);
  const int64_t stride = options_.stride >= 0 ? options_.stride : longest / 4;
  // Cuts may stand within a word: where blanks are rare, a word is a whole sentence.
  std::vector<int32_t> pieces(w.context.ids.size());
  std::iota(pieces.begin(), pieces.end(), 0);
  w.places = cut_windows(pieces, of_context, std::min(stride, of_context / 2));
  return w;
}

std::vector<Sample> Qa::encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                               bool* truncated) const {
  const Windows windows = windows_of(record, tokenizer);
  if (truncated != nullptr) *truncated = windows.is_question_cut;
  std::vector<Sample> samples;
  for (const Window& window : windows.places) {
    Sample sample;
    sample.window = static_cast<int32_t>(samples.size());
    const Encoding part = part_of(windows.context, window);
    sample.streams.push_back(tokenizer.post_process(windows.question, &part));
    samples.push_back(std::move(sample));
  }
  if (with_targets) add_targets(record, windows, samples);
  return samples;
}

namespace {

Goal goal_of(const std::vector<Answer>& answers, const std::string& context,
             const Encoding& pieces) {
  if (answers.empty()) return {true, {}, ""};
  const Located located = locate_first(answers, context);
  if (!located.bytes) return {false, {}, located.repair};
  const TokenRange range = tokens_touching(pieces.offsets, *located.bytes);
  if (!located.repair.empty()) return {false, range, located.repair};
  if (range.is_empty())
    return {false, range, "the tokenizer makes nothing of the answer, and it is not learned"};
  return {false, range,
          misfit_of(context, *located.bytes,
                    {pieces.offsets[range.begin].start, pieces.offsets[range.end - 1].end})};
}

}  // namespace

void Qa::add_targets(const Record& record, const Windows& windows,
                     std::vector<Sample>& samples) const {
  Goal goal = goal_of(answers_of(record, options_), need_text_as_read(record, options_.context),
                      windows.context);
  bool is_learned = goal.is_none || goal.pieces.is_empty();
  for (size_t i = 0; i < samples.size(); ++i) {
    const auto places = places_in(samples[i].streams[0], windows.places[i], goal);
    for (size_t column = 0; column < places.size(); ++column)
      samples[i].targets.push_back({kTargets[column], false, 1, {places[column]}});
    is_learned = is_learned || places[0] > 0;
  }
  if (!is_learned && goal.repair.empty())
    goal.repair =
        "the answer is longer than what windows share, and is not learned: no window "
        "holds it";
  samples.front().repair = goal.repair;
}

std::shared_ptr<Head> Qa::make_head(const ModelConfig& config) const {
  if (!config.has_span_head)
    throw Error(
        ErrorKind::kUsage,
        fmt::format("Transformers has no head for answers in a text that would load a model "
                    "of the family {} from here; take task causal_lm, which writes answers",
                    config.model_type));
  return std::make_shared<TokenHead>(config, head_style(config), kOutputs);
}

bool Qa::can_continue(const ModelConfig& checkpoint) const {
  const Json& config = checkpoint.raw;
  const auto labels = config.find("id2label");  // Transformers leaves out the two it goes by
  return config.value("architectures", Json()) ==
             Json::array({checkpoint.architecture_stem + "ForQuestionAnswering"}) &&
         (labels == config.end() || labels->size() == kOutputs);
}

Loss Qa::loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const {
  const Packed& tokens = batch.streams[0];
  const at::Tensor log_p = log_softmax_within(logits, tokens.cu_seqlens);
  const at::Tensor means = mean_within(log_p, tokens.cu_seqlens);
  at::Tensor sum;
  for (int64_t column = 0; column < kOutputs; ++column) {
    const Aims aims = aims_of(batch, kTargets[column]);
    const at::Tensor hit = log_p.select(1, column).index_select(0, aims.rows);
    const at::Tensor both =
        (1 - options.label_smoothing) * hit + options.label_smoothing * means.select(1, column);
    const at::Tensor part = -both.masked_fill(~aims.has_target, 0).sum() / kOutputs;
    sum = column == 0 ? part : sum + part;
  }
  return {sum, targets_in(batch)};
}

// Starts and ends are known of the same samples.
double Qa::targets_in(const Batch& batch) const { return count_targets(batch, kTargets[0]); }

Divergence Qa::divergence() const {
  return [](const at::Tensor& a, const at::Tensor& b, const Batch& batch) {
    const at::Tensor& ends = batch.streams[0].cu_seqlens;
    const at::Tensor log_p = log_softmax_within(a, ends), log_q = log_softmax_within(b, ends);
    const at::Tensor apart = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(1);  // [N]
    const at::Tensor lacks_target = batch.targets.at(kTargets[0]).eq(kNoTarget);
    return apart.masked_fill(spread_within(lacks_target, ends, apart.size(0)), 0).sum() /
           (2 * kOutputs);
  };
}

namespace {

struct Shown {
  std::string text;
  int64_t start = 0;  // characters
  double probability = 0;
};

// Candidates with their texts, most likely first; that there is no answer is one of them, with an
// empty text, where `may_lack`.
std::vector<Shown> shown(const Candidates& found, const std::string& context, bool may_lack) {
  const Characters characters(context);
  std::vector<std::pair<double, Shown>> scored;
  for (const Candidate& c : found.spans) {
    std::string text = context.substr(c.bytes.start, c.bytes.end - c.bytes.start);
    scored.push_back({c.score, {std::move(text), characters.at_byte(c.bytes.start), 0}});
  }
  if (may_lack || scored.empty()) scored.push_back({found.none, {"", -1, 0}});
  std::stable_sort(scored.begin(), scored.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  double sum = 0;
  for (const auto& [score, one] : scored) sum += std::exp(score - scored.front().first);
  std::vector<Shown> all;
  for (auto& [score, one] : scored) {
    one.probability = std::exp(score - scored.front().first) / sum;
    all.push_back(std::move(one));
  }
  return all;
}

// As a result says it: thresholds are chosen by results.
double as_reported(double margin) {
  const Json shown = number(static_cast<float>(margin));
  return shown.is_number() ? shown.get<double>() : margin;
}

Json candidates_json(const std::vector<Shown>& all) {
  Json list = Json::array();
  for (const Shown& one : all) {
    Json entry = {{"text", one.text}};
    if (one.start >= 0) entry["answer_start"] = one.start;
    entry["score"] = probability(one.probability);
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

Json Qa::decode(const Record& record, std::span<const Row> rows, const Tokenizer&) const {
  const std::string& context = need_text_as_read(record, options_.context);
  const Candidates found =
      find_candidates(rows, context, options_.n_best, options_.max_answer_length);
  const std::vector<Shown> all = shown(found, context, may_lack_);
  const double margin =
      found.spans.empty() ? 0 : as_reported(found.none - found.spans.front().score);
  const bool is_none =
      found.spans.empty() || (may_lack_ && margin > options_.no_answer_threshold.value_or(0));
  const auto chosen = std::find_if(all.begin(), all.end(),
                                   [&](const Shown& one) { return (one.start < 0) == is_none; });
  Json result = Json::object();
  result[options_.answers] = {{"text", Json::array()}, {"answer_start", Json::array()}};
  if (!is_none) {
    result[options_.answers]["text"].push_back(chosen->text);
    result[options_.answers]["answer_start"].push_back(chosen->start);
  }
  result[kScore] = probability(chosen->probability);
  if (may_lack_ && !found.spans.empty()) result[kMargin] = number(static_cast<float>(margin));
  result[kCandidates] = candidates_json(all);
  return result;
}

std::unique_ptr<Scorer> Qa::make_scorer() const { return qa::make_scorer(options_); }

Json Qa::state() const {
  return {{"options", options_json(options_)}, {"questions_without_answer", may_lack_}};
}

void Qa::write_model_config(const ModelConfig& model, Json& config) const {
  config["architectures"] = Json::array({model.architecture_stem + "ForQuestionAnswering"});
  for (const char* key : {"id2label", "label2id", "problem_type"}) config.erase(key);
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<Qa>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  return std::make_unique<Qa>(options_from<Options>(state.at("options")),
                              state.at("questions_without_answer").get<bool>());
}

}  // namespace

const TaskInfo kInfo{kTaskName,
                     "extractive question answering: the part of a text that answers a question",
                     make, restore};

}  // namespace hone::qa
