#include "tasks/mlm/mlm.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "data/word_units.h"
#include "models/kernels/cross_entropy.h"
#include "tasks/fields.h"
#include "tasks/masked_lm_head.h"
#include "tasks/mlm/scorer.h"
#include "tasks/truncate.h"
#include "tasks/windows.h"

namespace hone::mlm {
namespace {

constexpr int64_t kRowsAtOnce = 256;  // whose logits exist at a time

// Columns of an output: what became of the token, its loss, then the likeliest tokens and their
// probabilities.
constexpr int64_t kKind = 0, kTokenLoss = 1, kOffered = 2;
constexpr float kGuessed = 1, kOwnMask = 2;  // 0: not chosen

// [R, 2 + 2 k] of rows whose logits are given.
at::Tensor columns_of(const at::Tensor& logits, const at::Tensor& targets, int64_t k) {
  const at::Tensor scores = at::log_softmax(logits, 1);
  const auto [best, ids] = scores.topk(k, 1);
  const at::Tensor has_target = targets.ge(0);
  const at::Tensor loss =
      -scores.gather(1, targets.clamp_min(0).unsqueeze(1)) * has_target.unsqueeze(1);
  const at::Tensor kind = at::where(has_target, kGuessed, kOwnMask).unsqueeze(1);
  return at::cat({kind.to(at::kFloat), loss, ids.to(at::kFloat), best.exp()}, 1);
}

// What a sample says of its record, added up.
struct Sums {
  int64_t tokens = 0, correct = 0;
  double loss = 0;
  Json masks = Json::array();
};

Json offered(const float* columns, int64_t k, const Tokenizer& tokenizer) {
  Json list = Json::array();
  for (int64_t i = 0; i < k; ++i) {
    const auto id = static_cast<int32_t>(columns[kOffered + i]);
    list.push_back({{"token", tokenizer.decode({id}, /*skip_special=*/false)},
                    {"score", probability(columns[kOffered + k + i])}});
  }
  return list;
}

void add_row(const Row& row, const Tokenizer& tokenizer, Sums& sums) {
  const int64_t width = row.output.size(1), k = (width - kOffered) / 2;
  const auto* columns = row.output.const_data_ptr<float>();
  for (const int32_t id : row.sample->streams.front().ids) {
    if (columns[kKind] == kGuessed) {
      ++sums.tokens;
      sums.loss += columns[kTokenLoss];
      sums.correct += static_cast<int32_t>(columns[kOffered]) == id;
    }
    if (columns[kKind] == kOwnMask) sums.masks.push_back(offered(columns, k, tokenizer));
    columns += width;
  }
}

Target words_target(const Sequence& sequence, const Tokenizer& tokenizer) {
  Target words{kWords, /*per_token=*/true, 1, {}, /*is_input=*/true};
  for (size_t i = 0; i < sequence.ids.size(); ++i) {
    const int32_t id = sequence.ids[i];
    const bool is_never_chosen =
        sequence.texts[i] < 0 || id == tokenizer.mask_id() || id == tokenizer.unk_id();
    words.values.push_back(is_never_chosen ? kNoTarget : static_cast<float>(sequence.words[i]));
  }
  return words;
}

}  // namespace

Mlm::Mlm(Options options, int32_t mask_id, int64_t vocabulary)
    : options_(std::move(options)), mask_id_(mask_id), vocabulary_(vocabulary) {}

const TaskInfo& Mlm::info() const { return kInfo; }

void Mlm::learn(const Record& gold) { need_text(gold, options_.text); }

void Mlm::learn_tokens(const Record&, const Tokenizer& tokenizer) {
  if (tokenizer.mask_id() < 0)
    throw Error(ErrorKind::kUsage,
                "the model's tokenizer has no mask token (\"[MASK]\", \"<mask>\"), which task mlm "
                "puts in the place of words; take a model that was trained with one");
  mask_id_ = tokenizer.mask_id();
  vocabulary_ = tokenizer.vocab_size();
}

// The pieces of a text; `words` are those that are guessed as one.
Encoding Mlm::pieces_of(const std::string& text, const Tokenizer& tokenizer) const {
  Encoding pieces = tokenizer.encode(text);
  if (options_.whole_words)
    pieces.words = words_of_pieces(text, pieces);
  else
    std::iota(pieces.words.begin(), pieces.words.end(), 0);
  return pieces;
}

std::vector<Sample> Mlm::encode(const Record& record, const Tokenizer& tokenizer, bool,
                                bool*) const {
  const Encoding pieces = pieces_of(need_text(record, options_.text), tokenizer);
  const int64_t room = std::max<int64_t>(
      length_limit(options_.max_seq_length, tokenizer) - tokenizer.special_tokens_added(false), 1);
  std::vector<Sample> samples;
  for (const Window& window : cut_windows(pieces.words, room, /*stride=*/0)) {
    Sample sample;
    sample.window = static_cast<int32_t>(samples.size());
    sample.streams.push_back(tokenizer.post_process(part_of(pieces, window)));
    sample.targets.push_back(words_target(sample.streams.front(), tokenizer));
    samples.push_back(std::move(sample));
  }
  return samples;
}

std::shared_ptr<Head> Mlm::make_head(const ModelConfig& config) const {
  return std::make_shared<MaskedLmHead>(config);
}

Masking Mlm::masking() const { return {options_.mlm_probability, mask_id_, vocabulary_}; }

// Of all rows of a batch that was masked before: for small vocabularies. Training and evaluation
// mask by themselves, and take no logits but those of the rows chosen.
Loss Mlm::loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const {
  const Masked masked = fixed_masks(batch, masking());
  return {kernels::cross_entropy_sum(logits[0].index_select(0, masked.rows), masked.targets, -100,
                                     options.label_smoothing),
          static_cast<double>(masked.count)};
}

double Mlm::targets_in(const Batch& batch) const {
  return static_cast<double>(draw_masks(batch, masking()).count);
}

Loss Mlm::forward_loss(Network& network, const Batch& batch, const LossOptions& options) const {
  Masked masked =
      network.is_training() ? draw_masks(batch, masking()) : fixed_masks(batch, masking());
  if (masked.rows.numel() == 0) {  // texts without a word: a loss of nothing that has a gradient
    masked.rows = at::zeros({1}, masked.rows.options());
    masked.targets = masked.rows - 100;
  }
  auto& head = static_cast<MaskedLmHead&>(network.head());
  const at::Tensor states = head.states(network.backbone(), masked.batch, masked.rows);
  return {head.loss(network.backbone(), states, masked.targets, options.label_smoothing),
          static_cast<double>(masked.count)};
}

Outputs Mlm::predict(Network& network, const Batch& batch) const {
  return assess(network, batch).first;
}

std::pair<Outputs, Loss> Mlm::assess(Network& network, const Batch& batch) const {
  const Masked masked = fixed_masks(batch, masking());
  const at::TensorOptions fp32 = masked.rows.options().dtype(at::kFloat);
  const int64_t k = std::min(options_.top_k, vocabulary_), count = masked.rows.numel();
  at::Tensor output = at::zeros({batch.streams.front().tokens(), kOffered + 2 * k}, fp32);
  if (count == 0) return {Outputs({{output, RowOf::kToken}}), {at::zeros({}, fp32), 0}};
  auto& head = static_cast<MaskedLmHead&>(network.head());
  const at::Tensor states = head.states(network.backbone(), masked.batch, masked.rows);
  for (int64_t begin = 0; begin < count; begin += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, count - begin);
    const at::Tensor logits = head.logits(network.backbone(), states.narrow(0, begin, rows));
    output.index_copy_(0, masked.rows.narrow(0, begin, rows),
                       columns_of(logits, masked.targets.narrow(0, begin, rows), k));
  }
  const at::Tensor sum = output.select(1, kTokenLoss).sum();
  return {Outputs({{output, RowOf::kToken}}), {sum, static_cast<double>(masked.count)}};
}

Json Mlm::decode(const Record&, std::span<const Row> rows, const Tokenizer& tokenizer) const {
  Sums sums;
  for (const Row& row : rows) add_row(row, tokenizer, sums);
  Json result = {
      {kTokens, sums.tokens},
      {kLoss, sums.tokens == 0 ? Json() : Json(sums.loss / static_cast<double>(sums.tokens))},
      {kCorrect, sums.correct}};
  if (!sums.masks.empty()) result[kMasks] = std::move(sums.masks);
  return result;
}

std::unique_ptr<Scorer> Mlm::make_scorer() const { return mlm::make_scorer(options_, vocabulary_); }

Json Mlm::state() const {
  return {{"options", options_json(options_)}, {"mask_id", mask_id_}, {"vocabulary", vocabulary_}};
}

void Mlm::write_model_config(const ModelConfig& model, Json& config) const {
  config["architectures"] = Json::array({model.architecture_stem + "ForMaskedLM"});
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<Mlm>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  return std::make_unique<Mlm>(options_from<Options>(state.at("options")),
                               state.at("mask_id").get<int32_t>(),
                               state.at("vocabulary").get<int64_t>());
}

}  // namespace

const TaskInfo kInfo{kTaskName,
                     "masked-language-model training on texts of a domain: words to be guessed",
                     make, restore};

}  // namespace hone::mlm
