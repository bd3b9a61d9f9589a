#include "tasks/causal_lm/causal_lm.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "data/tokenizer/special_tokens.h"
#include "tasks/causal_lm/rows.h"
#include "tasks/causal_lm/scorer.h"
#include "tasks/causal_lm_head.h"
#include "tasks/fields.h"
#include "tasks/next_token.h"
#include "tasks/truncate.h"
#include "tasks/writing.h"

namespace hone::causal_lm {
namespace {

// What an evaluation says of a record, added up.
struct RowSums {
  double loss = 0;
  int64_t tokens = 0, bytes = 0;
  std::vector<std::pair<double, int64_t>> by_answer, by_position;

  static void add(double loss, size_t place, std::vector<std::pair<double, int64_t>>& sums) {
    if (sums.size() <= place) sums.resize(place + 1);
    sums[place].first += loss;
    ++sums[place].second;
  }
};

// Adds the tokens of a sample that have a loss. Their bytes are those of the text that they cover:
// pieces of one character cover it together, special tokens are no text.
void add_losses_of(const Row& row, const Tokenizer& tokenizer, RowSums& sums) {
  const Sequence& sequence = row.sample->streams.front();
  const std::vector<float>& next = row.sample->targets.front().values;
  const auto* losses = row.output.const_data_ptr<float>();
  int32_t covered = 0;
  for (size_t i = 0; i + 1 < next.size(); ++i) {
    if (next[i] == kNoTarget) continue;
    const double loss = losses[i];
    sums.loss += loss;
    ++sums.tokens;
    RowSums::add(loss, position_band(static_cast<int64_t>(i) + 1), sums.by_position);
    if (const int32_t answer = sequence.words[i + 1]; answer >= 0)
      RowSums::add(loss, static_cast<size_t>(answer), sums.by_answer);
    const Span span = sequence.offsets[i + 1];
    if (span.end > covered && !is_special(sequence.ids[i + 1], tokenizer)) {
      sums.bytes += span.end - std::max(span.start, covered);
      covered = span.end;
    }
  }
}

Json pairs_json(const std::vector<std::pair<double, int64_t>>& sums) {
  Json list = Json::array();
  for (const auto& [loss, tokens] : sums) list.push_back(Json::array({loss, tokens}));
  return list;
}

Json losses_json(std::span<const Row> rows, const Tokenizer& tokenizer) {
  RowSums sums;
  for (const Row& row : rows) add_losses_of(row, tokenizer, sums);
  return {{kTokens, sums.tokens},
          {kBytes, sums.bytes},
          {kLoss, sums.tokens == 0 ? Json() : Json(sums.loss / static_cast<double>(sums.tokens))},
          {kByAnswer, pairs_json(sums.by_answer)},
          {kByPosition, pairs_json(sums.by_position)}};
}

// Of config.json; a list's first.
int64_t end_of_config(const Json& config) {
  const auto found = config.find("eos_token_id");
  if (found == config.end()) return -1;
  const Json& id = found->is_array() && !found->empty() ? found->front() : *found;
  return id.is_number_integer() ? id.get<int64_t>() : -1;
}

}  // namespace

Json Learned::json() const {
  Json json = {{"end", end},
               {"vocabulary", vocabulary},
               {"positions", positions},
               {"chat_template", template_hash}};
  if (taken > 0) json["positions_taken"] = taken;
  return json;
}

Learned Learned::from(const Json& json) {
  return {json.at("end").get<int64_t>(), json.at("vocabulary").get<int64_t>(),
          json.at("positions").get<int64_t>(), json.value("positions_taken", int64_t{0}),
          json.at("chat_template").get<std::string>()};
}

CausalLm::CausalLm(Options options, Learned learned)
    : options_(std::move(options)), learned_(std::move(learned)) {}

const TaskInfo& CausalLm::info() const { return kInfo; }

std::vector<std::string> CausalLm::text_fields() const {
  if (options_.form == Form::kText) return {options_.text};
  return {options_.form == Form::kCompletion ? options_.prompt : options_.messages};
}

std::vector<std::string> CausalLm::gold_fields() const {
  if (options_.form == Form::kCompletion) return {options_.completion};
  return {};
}

void CausalLm::begin_from(const std::string& model_folder, bool) {
  options_.generation.begin_from(model_folder);
  const ModelConfig config = ModelConfig::load(model_folder);
  learned_.positions = config.max_positions;
  learned_.end = end_of_config(config.raw);
  end_token_ = named_token(read_tokenizer_config(model_folder), "eos_token");
  if (options_.form != Form::kMessages) return;
  template_ = ChatTemplate::load(model_folder, options_.chat_template);
  learned_.template_hash = template_->hash();
}

void CausalLm::reopen(const std::string& model_folder) {
  if (options_.form != Form::kMessages) return;
  template_ = ChatTemplate::load(model_folder);
  if (template_->hash() == learned_.template_hash) return;
  throw Error(ErrorKind::kModel, {template_->file()},
              fmt::format("the chat template, or a special token that it writes, is not the one "
                          "that the model was trained with (SHA-256 {}, but then {}). Take the "
                          "files that training wrote.",
                          template_->hash(), learned_.template_hash));
}

void CausalLm::learn(const Record& gold) { check_row(gold, options_); }

// Of the first record the end of the assistant's turn: an answer ends with it too.
void CausalLm::learn_tokens(const Record& gold, const Tokenizer& tokenizer) {
  if (learned_.vocabulary > 0) return;
  if (const std::optional<int32_t> id = tokenizer.id(end_token_); !end_token_.empty() && id)
    learned_.end = *id;
  const bool is_conversation = options_.form == Form::kMessages;
  if (!is_conversation && learned_.end < 0)
    log_warn(
        "neither tokenizer_config.json (\"eos_token\") nor config.json (\"eos_token_id\") names a "
        "token that ends a text: the model does not learn where one ends");
  const int64_t end =
      is_conversation ? end_of_turn(gold, reading(tokenizer, room(tokenizer))) : learned_.end;
  learned_.vocabulary = tokenizer.vocab_size();  // last: a bad row leaves it to the next one
  if (is_conversation && end < 0)
    log_warn(
        "the last answer of the first conversation does not end with a special token, as the chat "
        "template and the vocabulary have it: the model does not learn where an answer ends, and "
        "may write on up to max_new_tokens");
  std::vector<int64_t>& ends = options_.generation.tokens.eos_token_id;
  if (end < 0 || std::find(ends.begin(), ends.end(), end) != ends.end()) return;
  ends.push_back(end);
  log_info("answers end at \"{}\" too, as those of the training data do",
           tokenizer.token(static_cast<int32_t>(end)));
}

std::vector<std::string> CausalLm::idle_options() const {
  std::vector<std::string> idle;
  const Options usual;
  const auto note = [&](bool is_given, const char* key, const char* form) {
    if (is_given) idle.push_back(fmt::format("\"{}\" changes nothing: rows are not {}", key, form));
  };
  if (options_.form != Form::kMessages) {
    note(options_.turns != usual.turns, "turns", "conversations (form: messages)");
    note(!options_.chat_template.empty(), "chat_template", "conversations (form: messages)");
    note(options_.train_on == TrainOn::kLastAnswer, "train_on", "conversations (form: messages)");
  }
  if (options_.form != Form::kText)
    note(options_.stride != usual.stride, "stride", "texts (form: text)");
  return idle;
}

Reading CausalLm::reading(const Tokenizer& tokenizer, int64_t room) const {
  return {options_, tokenizer, template_.get(), learned_.end, room};
}

int64_t CausalLm::room(const Tokenizer& tokenizer) const {
  return length_limit(options_.max_seq_length, tokenizer);
}

// All positions of the model but those of the answer, which gets half of them at most.
int64_t CausalLm::prompt_room(const Tokenizer& tokenizer) const {
  const int64_t positions =
      learned_.positions > 0 ? learned_.positions - learned_.taken : room(tokenizer);
  return std::max<int64_t>(
      {positions - options_.generation.tokens.max_new_tokens, positions / 2, 1});
}

std::vector<Sample> CausalLm::encode(const Record& record, const Tokenizer& tokenizer,
                                     bool with_targets, bool* truncated) const {
  if (!with_targets) {
    Sample prompt = prompt_sample(record, reading(tokenizer, prompt_room(tokenizer)), truncated);
    add_seed(record, prompt);
    return {std::move(prompt)};
  }
  return learned_samples(record, reading(tokenizer, room(tokenizer)), truncated);
}

std::shared_ptr<Head> CausalLm::make_head(const ModelConfig& config) const {
  return std::make_shared<CausalLmHead>(config);
}

Loss CausalLm::loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const {
  return next_token_loss(logits, batch, options);
}

double CausalLm::targets_in(const Batch& batch) const {
  return static_cast<double>(NextTokens(batch).count);
}

Loss CausalLm::forward_loss(Network& network, const Batch& batch,
                            const LossOptions& options) const {
  return next_token_forward_loss(network, batch, options);
}

Outputs CausalLm::predict(Network& network, const Batch& batch) const {
  return assess(network, batch).first;
}

std::pair<Outputs, Loss> CausalLm::assess(Network& network, const Batch& batch) const {
  return assess_next_tokens(network, batch);
}

AnswerSample CausalLm::answer_sample() const {
  if (!options_.scores_answers()) return {};
  return {options_.generate_rows, static_cast<uint64_t>(options_.generation.tokens.seed)};
}

Json CausalLm::decode(const Record&, std::span<const Row> rows, const Tokenizer& tokenizer) const {
  const Row& first = rows.front();
  if (!first.written) return losses_json(rows, tokenizer);
  Json result = facts_of(*first.written, *first.sample);
  result[kAnswer] = text_of(*first.written, tokenizer, options_.generation.stop_strings);
  return result;
}

std::unique_ptr<Scorer> CausalLm::make_scorer() const {
  return causal_lm::make_scorer(options_, learned_.vocabulary);
}

Json CausalLm::state() const {
  Json state = learned_.json();
  state["options"] = options_json(options_);
  state["generation_config"] = options_.generation.of_model;
  return state;
}

void CausalLm::write_model_config(const ModelConfig& model, Json& config) const {
  const CausalLmStyle& style = *model.causal_lm;
  config["architectures"] = Json::array({model.architecture_stem + style.architecture_end});
  config["tie_word_embeddings"] = style.is_tied;
  for (const char* key : {"id2label", "label2id", "problem_type"}) config.erase(key);
}

void CausalLm::write_files(const ModelConfig&, const std::string& folder) const {
  options_.generation.write(folder);
  if (template_) template_->save(folder);
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<CausalLm>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  auto options = options_from<Options>(state.at("options"));
  options.generation.of_model = state.at("generation_config");
  return std::make_unique<CausalLm>(std::move(options), Learned::from(state));
}

}  // namespace

const TaskInfo kInfo{kTaskName,
                     "instruction tuning, dialogue and pre-training of models that write: "
                     "conversations, prompts with their completions, texts",
                     make, restore};

}  // namespace hone::causal_lm
