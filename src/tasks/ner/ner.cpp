#include "tasks/ner/ner.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "data/text_bounds.h"
#include "tasks/averages.h"
#include "tasks/divergence.h"
#include "tasks/fields.h"
#include "tasks/heads.h"
#include "tasks/labels.h"
#include "tasks/ner/bio.h"
#include "tasks/ner/crf.h"
#include "tasks/ner/scorer.h"
#include "tasks/ner/text.h"
#include "tasks/windows.h"

namespace hone::ner {
namespace {

constexpr const char* kTarget = "tags";

void append(const Encoding& pieces, int32_t word, int32_t offset, Encoding& all) {
  for (size_t i = 0; i < pieces.ids.size(); ++i) {
    all.ids.push_back(pieces.ids[i]);
    all.words.push_back(word);
    all.offsets.push_back({pieces.offsets[i].start + offset, pieces.offsets[i].end + offset});
  }
}

// Each token apart, as Transformers does with is_split_into_words; offsets are bytes of the tokens
// joined by a space.
Encoding encode_tokens(const std::vector<std::string>& tokens, const std::vector<Span>& spans,
                       const Tokenizer& tokenizer) {
  Encoding all, pieces;
  for (size_t i = 0; i < tokens.size(); ++i) {
    tokenizer.encode(tokens[i], pieces);
    append(pieces, static_cast<int32_t>(i), spans[i].start, all);
  }
  return all;
}

// The tokens of a text, numbered without gaps: its pre-tokens that have pieces, or the pieces
// themselves, where those that share a character are one.
void number_tokens(bool by_pieces, Encoding& pieces) {
  int32_t token = -1, word_before = -1, end = 0;
  for (size_t i = 0; i < pieces.ids.size(); ++i) {
    const Span& span = pieces.offsets[i];
    const bool begins = by_pieces ? span.start >= end : pieces.words[i] != word_before;
    token += begins || token < 0;
    word_before = pieces.words[i];
    end = std::max(end, span.end);
    pieces.words[i] = token;
  }
}

std::vector<std::vector<int32_t>> words_of_all(const std::vector<Sample>& samples) {
  std::vector<std::vector<int32_t>> words;
  for (const Sample& sample : samples) words.push_back(words_of(sample.streams[0]));
  return words;
}

// Each token's tag by itself: the likeliest one.
kernels::CrfPath likeliest_tags(const std::vector<float>& logits, size_t tags) {
  kernels::CrfPath path;
  for (const float* row = logits.data(); row < logits.data() + logits.size(); row += tags) {
    const auto best = std::max_element(row, row + tags) - row;
    double sum = 0;
    for (size_t i = 0; i < tags; ++i) sum += std::exp(static_cast<double>(row[i]) - row[best]);
    path.tags.push_back(best);
    path.probabilities.push_back(1 / sum);
  }
  return path;
}

// All tokens' tags as one chain; `table` as the head gave it.
kernels::CrfPath best_chain(std::vector<float>& logits, const at::Tensor& table) {
  const int64_t tags = table.size(1);
  return kernels::crf_best_path(
      at::from_blob(logits.data(), {static_cast<int64_t>(logits.size()) / tags, tags}), table);
}

// How many tags each token's sample has: a mean over samples counts a token by its inverse.
at::Tensor tags_beside(const at::Tensor& has_tag, const Packed& tokens) {
  const at::Tensor ends = tokens.cu_seqlens.to(has_tag.device(), at::kLong);
  const at::Tensor counts = at::segment_reduce(has_tag, "sum", /*lengths=*/{}, /*indices=*/{}, ends,
                                               /*axis=*/0, /*unsafe=*/true);
  return at::repeat_interleave(counts, ends.diff());
}

at::Tensor chain_loss(const Outputs& logits, const Chains& c, const LossOptions& options) {
  return kernels::crf_loss_sum(logits[0].index_select(0, c.rows), logits[1], c.tags, c.chains,
                               options.label_smoothing);
}

std::vector<std::string> tag_names(const std::set<std::string>& types) {
  std::vector<std::string> tags = {"O"};
  for (const std::string& type : types) {
    tags.push_back("B-" + type);
    tags.push_back("I-" + type);
  }
  return tags;
}

// Which tokens have pieces.
std::vector<bool> with_pieces(const std::vector<int32_t>& words, size_t tokens) {
  std::vector<bool> result(tokens);
  for (const int32_t word : words) result[word] = true;
  return result;
}

// The tags of entities where not every token carries one: an entity begins at its first that does.
std::vector<std::string> carried_tags(const std::vector<TagSpan>& spans,
                                      const std::vector<bool>& carries, std::string& repair) {
  std::vector<std::string> tags = tags_of(spans, static_cast<int64_t>(carries.size()));
  std::vector<std::string> misfits;
  for (const TagSpan& span : spans) {
    int64_t first = span.start;
    while (first < span.end && !carries[first]) ++first;
    if (first < span.end) tags[first] = "B-" + span.label;
    if (first > span.start || !carries[span.end - 1])
      misfits.push_back(
          fmt::format("the entity \"{}\" of tokens {} to {} begins or ends with a token that the "
                      "tokenizer makes nothing of, and is learned without it",
                      span.label, span.start, span.end));
  }
  repair = repair_of(misfits);
  return tags;
}

// The tags of all tokens, from those (IOB2) of the tokens that carry one: what lies within an
// entity belongs to it.
std::vector<std::string> spread_tags(const std::vector<std::string>& carried,
                                     const std::vector<bool>& carries) {
  std::vector<std::string> tags(carries.size(), "O");
  size_t next = 0;
  for (size_t i = 0; i < tags.size(); ++i) {
    const bool is_within = next < carried.size() && carried[next].starts_with('I');
    if (carries[i] || is_within) tags[i] = carried[next];
    next += carries[i];
  }
  return tags;
}

}  // namespace

Ner::Ner(Options options) : options_(std::move(options)) {}

Ner::Ner(Options options, const std::vector<std::string>& types, bool by_pieces)
    : options_(std::move(options)),
      types_(types.begin(), types.end()),
      tags_(tag_names(types_)),
      by_pieces_(by_pieces) {}

const TaskInfo& Ner::info() const { return kInfo; }

std::vector<std::string> Ner::text_fields() const { return {options_.text, options_.tokens}; }

std::vector<std::string> Ner::gold_fields() const { return {options_.tags, options_.entities}; }

std::vector<std::string> Ner::labels_of(const Record& gold) const {
  std::vector<std::string> types;
  if (has_tokens(gold, options_)) {
    for (const TagSpan& span : spans_of(to_iob2(tags_of_record(gold, options_)).tags))
      types.push_back(span.label);
  } else {
    for (const Entity& entity : entities_of(gold, options_)) types.push_back(entity.label);
  }
  return types;
}

void Ner::learn(const Record& gold) {
  if (!has_tokens(gold, options_)) {
    for (const Entity& entity : entities_of(gold, options_)) types_.insert(entity.label);
    return;
  }
  const Iob2 iob2 = to_iob2(tags_of_record(gold, options_));
  for (const std::string& tag : iob2.tags) {
    if (tag != "O") types_.insert(std::string(type_of(tag)));
  }
  if (iob2.repaired > 0 && repaired_records_++ == 0) first_repaired_ = gold.where();
}

struct Ner::Tokenized {
  Encoding pieces;           // words: the token of each piece
  std::vector<Span> tokens;  // bytes of the text, or of the tokens joined by spaces
};

Ner::Tokenized Ner::tokenize(const Record& record, const Tokenizer& tokenizer,
                             bool by_pieces) const {
  if (has_tokens(record, options_)) {
    const std::vector<std::string> tokens = tokens_of(record, options_);
    const std::vector<Span> spans = spans_in_joined(tokens);
    return {encode_tokens(tokens, spans, tokenizer), spans};
  }
  Encoding pieces = encode_field(record, options_.text, tokenizer);
  number_tokens(by_pieces, pieces);
  std::vector<Span> tokens =
      word_spans({pieces.words}, {pieces.offsets}, text_of(record, options_));
  return {std::move(pieces), std::move(tokens)};
}

// In both ways, of which one is taken when all rows are known.
void Ner::count_tags(const Record& gold, const Tokenizer& tokenizer) {
  for (const bool by_pieces : {false, true}) {
    const Tokenized tokenized = tokenize(gold, tokenizer, by_pieces);
    const std::vector<bool> carries = with_pieces(tokenized.pieces.words, tokenized.tokens.size());
    std::string repair;
    const std::vector<std::string> tags = tags_for(gold, tokenized, &repair);
    for (size_t i = 0; i < tags.size(); ++i) {
      if (carries[i]) ++counts_[by_pieces][tags[i]];
    }
  }
}

void Ner::learn_tokens(const Record& gold, const Tokenizer& tokenizer) {
  if (options_.balance.counts_rows()) count_tags(gold, tokenizer);
  if (by_pieces_ || has_tokens(gold, options_)) return;
  const std::vector<Entity> entities = entities_of(gold, options_);
  if (entities.empty()) return;
  const auto misfits = [&](bool by_pieces) {
    return align(entities, tokenize(gold, tokenizer, by_pieces).tokens, text_of(gold, options_))
        .misfits.size();
  };
  const size_t of_words = misfits(false);
  if (of_words == 0 || misfits(true) >= of_words) return;
  by_pieces_ = true;
  first_by_pieces_ = gold.where();
}

void Ner::finish_learning() {
  if (types_.empty()) {
    throw Error(
        ErrorKind::kData,
        fmt::format(
            "the training data has no entity at all: every tag is O. Is \"{}\" the right field?",
            options_.tags));
  }
  if (repaired_records_ > 0) {
    log_warn(
        "{} training rows have entities that begin with I- (the first at {}); they are read as B-, "
        "as IOB1 and seqeval do",
        repaired_records_, first_repaired_.str());
  }
  if (by_pieces_)
    log_info(
        "{}: an entity begins or ends inside a word; every sub-word of a text carries a tag of its "
        "own",
        first_by_pieces_.str());
  tags_ = tag_names(types_);
  tag_rows_.clear();
  for (const std::string& tag : tags_) tag_rows_.push_back(counts_[by_pieces_][tag]);
}

std::vector<Sample> Ner::encode(const Record& record, const Tokenizer& tokenizer, bool with_targets,
                                bool* truncated) const {
  if (truncated != nullptr) *truncated = false;
  const Tokenized tokenized = tokenize(record, tokenizer, by_pieces_);
  const Encoding& all = tokenized.pieces;
  std::vector<Sample> samples;
  for (const Window& window : windows_of(all, options_, tokenizer)) {
    Sample sample;
    sample.window = static_cast<int32_t>(samples.size());
    sample.streams.push_back(tokenizer.post_process(part_of(all, window)));
    samples.push_back(std::move(sample));
  }
  if (!with_targets) return samples;
  add_targets(gold_tags(record, tokenized, &samples.front().repair), samples);
  return samples;
}

void Ner::add_targets(const std::vector<float>& gold, std::vector<Sample>& samples) const {
  for (Sample& sample : samples) {
    sample.targets.push_back(
        {kTarget, true, 1, std::vector<float>(sample.streams[0].size(), kNoTarget)});
    if (options_.crf) sample.targets.push_back({kChainEnds, false, 2, {0, 0}});
  }
  std::vector<Place> places =
      answering_places(words_of_all(samples), static_cast<int64_t>(gold.size()));
  for (size_t i = 0; i < gold.size(); ++i) {
    if (places[i].window >= 0)
      samples[places[i].window].targets[0].values[places[i].piece] = gold[i];
  }
  std::erase_if(places, [](const Place& place) { return place.window < 0; });
  if (!options_.crf || places.empty()) return;
  samples[places.front().window].targets[1].values[0] = 1;
  samples[places.back().window].targets[1].values[1] = 1;
}

std::vector<std::string> Ner::tags_for(const Record& record, const Tokenized& tokenized,
                                       std::string* repair) const {
  if (has_tokens(record, options_))
    return carried_tags(spans_of(tags_of_record(record, options_)),
                        with_pieces(tokenized.pieces.words, tokenized.tokens.size()), *repair);
  const Alignment alignment =
      align(entities_of(record, options_), tokenized.tokens, text_of(record, options_));
  std::vector<std::string> misfits;
  for (const Misfit& misfit : alignment.misfits) misfits.push_back(misfit_text(misfit));
  *repair = repair_of(misfits);
  return tags_of(alignment.spans, static_cast<int64_t>(tokenized.tokens.size()));
}

std::vector<float> Ner::gold_tags(const Record& record, const Tokenized& tokenized,
                                  std::string* repair) const {
  std::vector<float> indices;
  for (const std::string& tag : tags_for(record, tokenized, repair))
    indices.push_back(tag_index(tag, record));
  return indices;
}

float Ner::tag_index(const std::string& tag, const Record& record) const {
  const auto found = std::find(tags_.begin(), tags_.end(), tag);
  if (found != tags_.end()) return static_cast<float>(found - tags_.begin());
  if (options_.unknown_labels == "count") return kNoTarget;
  throw unknown_type(std::string(type_of(tag)), {types_.begin(), types_.end()},
                     has_tokens(record, options_) ? options_.tags : options_.entities, record);
}

std::shared_ptr<Head> Ner::make_head(const ModelConfig& config) const {
  if (options_.crf) return std::make_shared<CrfHead>(config, tags_);
  return std::make_shared<TokenHead>(config, config.token_head, static_cast<int64_t>(tags_.size()));
}

Loss Ner::loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const {
  const at::Tensor& targets = batch.targets.at(kTarget);  // [N]
  if (options_.crf)
    return {chain_loss(logits, chains_of(batch, targets), options), targets_in(batch)};
  return {class_loss(logits, targets, options_.balance, tag_rows_, options), targets_in(batch)};
}

at::Tensor Ner::losses(const at::Tensor& logits, const at::Tensor& targets,
                       const LossOptions& options) const {
  return balanced_losses(logits, targets.to(at::kLong),
                         options.trains ? options_.balance : ClassBalance(), tag_rows_,
                         options.label_smoothing);
}

double Ner::targets_in(const Batch& batch) const { return count_targets(batch, kTarget); }

at::Tensor Ner::mean_losses(const Outputs& logits, const Batch& batch,
                            const LossOptions& options) const {
  const at::Tensor& targets = batch.targets.at(kTarget);
  if (options_.crf) {
    Chains c = chains_of(batch, targets);
    for (kernels::CrfChain& chain : c.chains)
      chain.weight = 1 / std::max(static_cast<double>(chain.end - chain.begin), 1.0);
    return chain_loss(logits, c, options);
  }
  const at::Tensor has_tag = targets.ne(kNoTarget).to(at::kFloat),
                   share = has_tag / tags_beside(has_tag, batch.streams[0]).clamp_min(1);
  return (losses(logits[0], targets, options) * share).sum();
}

Average Ner::average() const {
  if (options_.crf) return nullptr;  // chains of several models have no chain of their own
  return average_of_classes;
}

Divergence Ner::divergence() const {
  if (options_.crf) return nullptr;
  return [](const at::Tensor& a, const at::Tensor& b, const Batch& batch) {
    return class_divergence(a, b, batch.targets.at(kTarget).ne(kNoTarget));
  };
}

namespace {

// A record's answer while it is put together.
struct Tagged {
  std::vector<std::string> tokens;
  std::vector<Span> spans;  // bytes of `text`
  std::string text;
  std::vector<std::string> tags;      // IOB2
  std::vector<bool> carries;          // of each token: it has a tag of its own
  std::vector<double> probabilities;  // of each token's tag; 0 where it carries none
  std::vector<int64_t> without_pieces;
};

Json entity_json(const Tagged& t, const TagSpan& span, const Characters& characters) {
  const int32_t start = t.spans[span.start].start, end = t.spans[span.end - 1].end;
  double sum = 0, count = 0;
  for (int64_t i = span.start; i < span.end; ++i) {
    sum += t.probabilities[i];
    count += t.carries[i];
  }
  return {{"label", span.label},
          {"text", t.text.substr(start, end - start)},
          {"start", characters.at_byte(start)},
          {"end", characters.at_byte(end)},
          {"token_start", span.start},
          {"token_end", span.end},
          {"score", probability(sum / count)}};
}

// `path`: of the tokens that carry a tag.
void fill_tags(const kernels::CrfPath& path, const std::vector<std::string>& tags, Tagged& t) {
  std::vector<std::string> carried;
  for (size_t i = 0; i < t.carries.size(); ++i) {
    if (!t.carries[i]) continue;
    t.probabilities[i] = path.probabilities[carried.size()];
    carried.push_back(tags[path.tags[carried.size()]]);
  }
  t.tags = spread_tags(to_iob2(carried).tags, t.carries);
}

Json result_json(const Tagged& t, const Options& options, bool from_text) {
  Json entities = Json::array();
  const Characters characters(t.text);
  for (const TagSpan& span : spans_of(t.tags)) entities.push_back(entity_json(t, span, characters));
  Json result = Json::object();
  if (from_text) result[options.text] = t.text;
  result[options.tokens] = t.tokens;
  result[options.tags] = t.tags;
  result[options.entities] = entities;
  if (!t.without_pieces.empty()) result[kWithoutPieces] = t.without_pieces;
  return result;
}

// Tokens and where they stand, from the record where it has them, else from what the pieces of its
// rows cover.
Tagged tokens_of_rows(const Record& record, std::span<const Row> rows,
                      const std::vector<std::vector<int32_t>>& words, const Options& options) {
  Tagged t;
  if (has_tokens(record, options)) {
    t.tokens = tokens_of(record, options);
    t.spans = spans_in_joined(t.tokens);
    t.text = joined(t.tokens);
    return t;
  }
  std::vector<std::vector<Span>> offsets;
  for (const Row& row : rows) offsets.push_back(row.sample->streams[0].offsets);
  t.text = text_of(record, options);
  t.spans = word_spans(words, offsets, t.text);
  for (const Span& span : t.spans)
    t.tokens.push_back(t.text.substr(span.start, span.end - span.start));
  return t;
}

}  // namespace

Json Ner::decode(const Record& record, std::span<const Row> rows, const Tokenizer&) const {
  std::vector<std::vector<int32_t>> words;
  for (const Row& row : rows) words.push_back(words_of(row.sample->streams[0]));
  Tagged t = tokens_of_rows(record, rows, words, options_);
  const std::vector<Place> places = answering_places(words, static_cast<int64_t>(t.tokens.size()));
  const bool from_text = !has_tokens(record, options_);
  std::vector<float> logits;  // of the tokens that carry a tag
  for (size_t i = 0; i < places.size(); ++i) {
    if (places[i].window < 0) t.without_pieces.push_back(static_cast<int64_t>(i));
    const Span seen = visible_part(t.text, t.spans[i]);
    t.carries.push_back(places[i].window >= 0 && !(from_text && seen.start == seen.end));
    t.probabilities.push_back(0);
    if (!t.carries.back()) continue;
    const float* all = rows[places[i].window].output.data_ptr<float>();
    const float* row = all + places[i].piece * tags_.size();
    logits.insert(logits.end(), row, row + tags_.size());
  }
  fill_tags(options_.crf ? best_chain(logits, rows.front().more.at(0))
                         : likeliest_tags(logits, tags_.size()),
            tags_, t);
  return result_json(t, options_, from_text);
}

std::unique_ptr<Scorer> Ner::make_scorer() const { return ner::make_scorer(options_); }

Json Ner::state() const {
  return {{"options", options_json(options_)},
          {"types", std::vector<std::string>(types_.begin(), types_.end())},
          {"by_pieces", by_pieces_}};
}

void Ner::write_model_config(const ModelConfig& model, Json& config) const {
  config["architectures"] = Json::array({model.architecture_stem + "ForTokenClassification"});
  write_label_maps(tags_, config);
  config.erase("problem_type");
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<Ner>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  return std::make_unique<Ner>(restored(options_from<Options>(state.at("options")), state));
}

}  // namespace

Ner restored(const Options& options, const Json& state) {
  return {options, state.at("types").get<std::vector<std::string>>(),
          state.value("by_pieces", false)};
}

const TaskInfo kInfo{kTaskName,
                     "named-entity recognition: a tag for every token, entities with offsets", make,
                     restore};

}  // namespace hone::ner
