#include "tasks/choice/choice.h"

#include <fmt/format.h>

#include <algorithm>

#include "tasks/choice/scorer.h"
#include "tasks/choice/texts.h"
#include "tasks/fields.h"
#include "tasks/heads.h"
#include "tasks/text_places.h"
#include "tasks/truncate.h"
#include "tasks/windows.h"
#include "tasks/within.h"

namespace hone::choice {
namespace {

constexpr const char* kTarget = "answer";
constexpr int64_t kOutputs = 1;

// Where the samples of a batch end, in choices.
const at::Tensor& ends_of(const Batch& batch) { return batch.streams[0].cu_samples; }

struct Aims {
  at::Tensor has_target, rows;  // of each sample [B]; the row of its right choice [B]
};

Aims aims_of(const Batch& batch) {
  const at::Tensor places = batch.targets.at(kTarget).to(at::kLong);
  const at::Tensor first = ends_of(batch).slice(0, 0, places.size(0)).to(places.options());
  return {places.ne(static_cast<int64_t>(kNoTarget)), first + places.clamp_min(0)};
}

// The pieces of a part, and which of them are the choice.
struct Pieces {
  Encoding all;
  Window choice;

  int64_t size() const { return static_cast<int64_t>(all.ids.size()); }
  int64_t least() const { return choice.end - choice.begin; }
  // To `room` pieces, but never within the choice.
  void cut(int64_t room) {
    room = std::max(room, least());
    if (size() > room) all = part_of(all, window_around(size(), choice, room));
  }
};

Pieces pieces_of(const Part& part, const Tokenizer& tokenizer) {
  Pieces pieces{tokenizer.encode(part.text), {}};
  if (part.choice.start == part.choice.end) return pieces;
  const TokenRange range = tokens_touching(pieces.all.offsets, part.choice);
  pieces.choice = {range.begin, range.end};
  return pieces;
}

// What the model reads of a choice; cut to `longest` tokens, the first text before the second.
Sequence sequence_of(const Record& record, const std::string& choice, const Tokenizer& tokenizer,
                     const Options& options, int64_t longest, bool& was_cut) {
  std::vector<Pieces> parts;
  for (const Part& part : parts_of(record, choice, options))
    parts.push_back(pieces_of(part, tokenizer));
  const bool is_pair = parts.size() == 2;
  const int64_t room = longest - tokenizer.special_tokens_added(is_pair);
  Pieces none;
  Pieces &first = parts[0], &second = is_pair ? parts[1] : none;
  if (first.least() + second.least() > room)
    throw field_error(
        record, options.choices.front(),
        fmt::format("has the choice \"{}\" of {} tokens, but only {} fit; a choice "
                    "is never cut (train.max_seq_length is {})",
                    shortened(choice, 60), first.least() + second.least(), room, longest));
  was_cut = was_cut || first.size() + second.size() > room;
  first.cut(room - second.size());
  second.cut(room - first.size());
  return tokenizer.post_process(first.all, is_pair ? &second.all : nullptr);
}

std::string repair_of(const Choices& choices) {
  if (choices.size() == 1) return "has one choice, from which nothing is learned";
  for (int64_t i = 0; i < choices.size(); ++i) {
    if (choices.same_as[i] != i)
      return fmt::format("choices {} and {} have the same text, and are taken as one",
                         choices.same_as[i] + 1, i + 1);
  }
  return "";
}

ModelConfig with_choice_head(ModelConfig config) {
  if (config.choice_head) config.sentence_head = *config.choice_head;
  return config;
}

}  // namespace

Choice::Choice(Options options) : options_(std::move(options)) {}

const TaskInfo& Choice::info() const { return kInfo; }

std::vector<std::string> Choice::text_fields() const {
  std::vector<std::string> fields;
  for (const std::string& field : {options_.context, options_.question}) {
    if (!field.empty()) fields.push_back(field);
  }
  for (const std::string& field : options_.choices) fields.push_back(field);
  return fields;
}

std::vector<std::string> Choice::gold_fields() const { return {options_.answer}; }

void Choice::learn(const Record& gold) {
  const Choices choices = choices_of(gold, options_);
  parts_of(gold, choices.texts.front(), options_);
  learn_form(readings_of(need_field(gold, options_.answer), choices, gold, options_), gold);
  ++rows_;
  with_choice_ += choices.distinct().size() > 1;
}

void Choice::learn_form(const Readings& readings, const Record& gold) {
  Readings left;
  for (size_t i = 0; i < forms_.size(); ++i) {
    forms_[i] = forms_[i] && readings[i];
    if (forms_[i]) left[i] = readings[i];
  }
  if (std::find(forms_.begin(), forms_.end(), true) == forms_.end())
    throw field_error(gold, options_.answer,
                      fmt::format("is {}: answers are numbers, letters or texts of choices, and "
                                  "all are written alike; this one is not as those before",
                                  dump(need_field(gold, options_.answer))));
  if (!ambiguous_ && !do_agree(left)) ambiguous_ = gold.where();
}

// The text before the letter before the number, where no row tells them apart.
void Choice::finish_learning() {
  if (with_choice_ == 0)
    throw Error(ErrorKind::kData,
                rows_ == 0 ? "there is no training data."
                           : "every row of the training data has one choice only: there is nothing "
                             "to learn.");
  if (options_.answer_as != AnswerAs::kAuto) return;
  const auto left = std::count(forms_.begin(), forms_.end(), true);
  if (left > 1 && ambiguous_)
    throw Error(
        ErrorKind::kData, *ambiguous_,
        fmt::format("\"{}\" may be the number, the letter or the text of a choice, here and "
                    "in all other rows; say which with task.answer_as.",
                    options_.answer));
  for (size_t i = forms_.size(); i > 0 && options_.answer_as == AnswerAs::kAuto; --i) {
    if (forms_[i - 1]) options_.answer_as = static_cast<AnswerAs>(i);
  }
}

std::vector<Sample> Choice::encode(const Record& record, const Tokenizer& tokenizer,
                                   bool with_targets, bool* truncated) const {
  const Choices choices = choices_of(record, options_);
  const std::vector<int64_t> distinct = choices.distinct();
  Sample sample;
  Sequence& all = sample.streams.emplace_back();
  bool was_cut = false;
  for (const int64_t choice : distinct)
    all.append(sequence_of(record, choices.texts[choice], tokenizer, options_,
                           length_limit(options_.max_seq_length, tokenizer), was_cut));
  if (truncated != nullptr) *truncated = was_cut;
  if (with_targets) {
    const int64_t right = answer_of(need_field(record, options_.answer), choices, record, options_);
    const auto place = std::find(distinct.begin(), distinct.end(), right) - distinct.begin();
    sample.targets.push_back({kTarget, false, 1, {static_cast<float>(place)}});
    sample.repair = repair_of(choices);
  }
  return {std::move(sample)};
}

std::shared_ptr<Head> Choice::make_head(const ModelConfig& config) const {
  return std::make_shared<SentenceHead>(with_choice_head(config), kOutputs);
}

bool Choice::can_continue(const ModelConfig& checkpoint) const {
  return checkpoint.raw.value("architectures", Json()) ==
         Json::array({checkpoint.architecture_stem + "ForMultipleChoice"});
}

Loss Choice::loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const {
  const at::Tensor log_p = log_softmax_within(logits, ends_of(batch));
  const Aims aims = aims_of(batch);
  const at::Tensor hit = log_p.index_select(0, aims.rows),
                   means = mean_within(log_p, ends_of(batch));
  const at::Tensor both = (1 - options.label_smoothing) * hit + options.label_smoothing * means;
  return {-both.squeeze(1).masked_fill(~aims.has_target, 0).sum(), targets_in(batch)};
}

double Choice::targets_in(const Batch& batch) const { return count_targets(batch, kTarget); }

Divergence Choice::divergence() const {
  return [](const Outputs& a, const Outputs& b, const Batch& batch) {
    const at::Tensor& ends = ends_of(batch);
    const at::Tensor log_p = log_softmax_within(a, ends), log_q = log_softmax_within(b, ends);
    const at::Tensor apart = ((log_p.exp() - log_q.exp()) * (log_p - log_q)).squeeze(1);
    const at::Tensor lacks_target = ~aims_of(batch).has_target;
    return apart.masked_fill(spread_within(lacks_target, ends, apart.size(0)), 0).sum() / 2;
  };
}

Json Choice::decode(const Record& record, std::span<const Row> rows, const Tokenizer&) const {
  const Choices choices = choices_of(record, options_);
  const std::vector<int64_t> distinct = choices.distinct();
  const std::vector<double> p = probabilities_of(rows.front().output);
  const auto best = std::max_element(p.begin(), p.end()) - p.begin();
  Json scores = Json::array();
  for (const int64_t first : choices.same_as) {
    const auto place = std::lower_bound(distinct.begin(), distinct.end(), first);
    scores.push_back(probability(p[place - distinct.begin()]));
  }
  return {{options_.answer, answer_json(distinct[best], choices, options_)}, {kScores, scores}};
}

std::unique_ptr<Scorer> Choice::make_scorer() const { return choice::make_scorer(options_); }

Json Choice::state() const { return {{"options", options_json(options_)}}; }

void Choice::write_model_config(const ModelConfig& model, Json& config) const {
  config["architectures"] = Json::array({model.architecture_stem + "ForMultipleChoice"});
  for (const char* key : {"id2label", "label2id", "problem_type"}) config.erase(key);
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<Choice>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  return std::make_unique<Choice>(options_from<Options>(state.at("options")));
}

}  // namespace

const TaskInfo kInfo{kTaskName, "multiple choice, and blanks that one of several texts fills", make,
                     restore};

}  // namespace hone::choice
