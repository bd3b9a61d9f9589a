#include "tasks/seq2seq/seq2seq.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "data/tokenizer/special_tokens.h"
#include "models/weights.h"
#include "tasks/causal_lm_head.h"
#include "tasks/fields.h"
#include "tasks/next_token.h"
#include "tasks/seq2seq/scorer.h"
#include "tasks/truncate.h"
#include "tasks/writing.h"

namespace hone::seq2seq {
namespace {

constexpr const char* kStart = "decoder_start_token_id";

// The token of a language. Those that a tokenizer has look alike: "de_DE", "<2de>", ">>de<<".
int64_t language_id(const Tokenizer& tokenizer, const char* key, const std::string& token) {
  if (const std::optional<int32_t> id = tokenizer.id(token)) return *id;
  throw Error(
      ErrorKind::kUsage,
      fmt::format("\"{}\" is \"{}\", which is no token of the model's tokenizer", key, token));
}

// A prefix like Marian's ">>deu<< " is there for its token.
void check_language_code(const Tokenizer& tokenizer, const std::string& prefix) {
  const size_t end = prefix.starts_with(">>") ? prefix.find("<<") : std::string::npos;
  if (end != std::string::npos) language_id(tokenizer, "prefix", prefix.substr(0, end + 2));
}

// What config.json has, -1 where it has none. Beside weights it may be silent, and means the
// family's own then: the tokenizer is of the same checkpoint. Of a folder without weights nothing
// says so.
int64_t token_of(const ModelConfig& config, const char* key, int64_t with_usual,
                 bool is_pretrained) {
  const bool is_there = !config.raw.value(key, Json()).is_null();
  return is_there || is_pretrained ? with_usual : -1;
}

// generation_config.json stands over config.json, as in Transformers.
int64_t start_of(const GenerationSettings& generation, int64_t of_config) {
  const auto found = generation.of_model.find(kStart);
  const bool is_there = found != generation.of_model.end() && found->is_number_integer();
  return is_there ? found->get<int64_t>() : of_config;
}

void check_start(int64_t start, const ModelConfig& config, const std::string& model_folder) {
  if (start >= -1 && start < config.vocab_size) return;
  throw Error(
      ErrorKind::kModel, {model_folder},
      fmt::format("\"{}\" is {} (generation_config.json, else config.json, else as usual of "
                  "the family {}), but the model has target tokens 0 to {}: give the "
                  "number of the token that a target begins with",
                  kStart, start, config.model_type, config.vocab_size - 1));
}

void refuse_other_families(const ModelConfig& config) {
  if (config.encoder_decoder && config.encoder_decoder->reads_text) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("models of the family {} do not read a text and write another; take "
                          "one that does (t5, bart, marian, mbart, pegasus)",
                          config.model_type));
}

Json loss_json(const Row& row) {
  const std::vector<float>& next = row.sample->targets.front().values;
  const auto* losses = row.output.const_data_ptr<float>();
  double sum = 0;
  int64_t tokens = 0;
  for (size_t i = 0; i < next.size(); ++i) {
    if (next[i] == kNoTarget) continue;
    sum += losses[i];
    ++tokens;
  }
  return {{kTokens, tokens},
          {kLoss, tokens == 0 ? Json() : Json(sum / static_cast<double>(tokens))}};
}

}  // namespace

Json Learned::json() const {
  return {{"tokens", tokens.json()},
          {"vocabulary", vocabulary},
          {"source_positions", source_positions}};
}

Learned Learned::from(const Json& json) {
  return {SpecialTokens::from(json.at("tokens")), json.at("vocabulary").get<int64_t>(),
          json.at("source_positions").get<int64_t>()};
}

Seq2Seq::Seq2Seq(Options options, Learned learned)
    : options_(std::move(options)), learned_(std::move(learned)) {}

const TaskInfo& Seq2Seq::info() const { return kInfo; }

void Seq2Seq::begin_from(const std::string& model_folder, bool) {
  const ModelConfig config = ModelConfig::load(model_folder);
  refuse_other_families(config);
  options_.generation.begin_from(model_folder);
  if (!options_.target_tokenizer.empty())
    target_tokenizer_ = Tokenizer::load(options_.target_tokenizer);
  const Json tokenizer = read_tokenizer_config(model_folder);
  end_token_ = named_token(tokenizer, "eos_token");
  tokenizer_class_ = named_token(tokenizer, "tokenizer_class");  // texts as well
  usual_language_ = named_token(tokenizer, "src_lang");
  const EncoderDecoderFacts& facts = *config.encoder_decoder;
  const bool is_pretrained = has_weights(model_folder);
  learned_.tokens.start =
      start_of(options_.generation, token_of(config, kStart, facts.start, is_pretrained));
  check_start(learned_.tokens.start, config, model_folder);
  learned_.tokens.end = token_of(config, "eos_token_id", facts.end, is_pretrained);
  learned_.source_positions = facts.source_positions;
  target_rows_ = config.vocab_size;
  if (options_.max_source_length > facts.source_positions)
    throw Error(ErrorKind::kUsage,
                fmt::format("\"max_source_length\" is {}, but the model has positions for a source "
                            "of {} tokens only",
                            options_.max_source_length, facts.source_positions));
}

void Seq2Seq::reopen(const std::string& model_folder) {
  if (options_.target_tokenizer.empty()) return;
  target_tokenizer_ =
      Tokenizer::load((std::filesystem::path(model_folder) / kTargetFolder).string());
}

// Once: what the tokenizers say of special tokens.
void Seq2Seq::learn_tokens(const Record&, const Tokenizer& tokenizer) {
  if (learned_.vocabulary > 0) return;
  const Tokenizer& target = answer_tokenizer(tokenizer);
  check_vocabulary(target);
  learned_.vocabulary = target.vocab_size();
  learn_end(target);
  if (options_.has_languages())
    learn_languages(tokenizer);
  else
    refuse_unnamed_languages();
  check_language_code(tokenizer, options_.prefix);
  if (learned_.tokens.first() < 0)
    throw Error(ErrorKind::kModel,
                fmt::format("neither config.json nor generation_config.json has \"{}\": it is not "
                            "known which token a target begins with",
                            kStart));
  options_.generation.of_model[kStart] = learned_.tokens.first();
}

void Seq2Seq::check_vocabulary(const Tokenizer& target) const {
  if (target.vocab_size() <= target_rows_) return;
  throw Error(
      ErrorKind::kModel,
      fmt::format("the tokenizer of targets ({}) has {} entries, but the model's table of target "
                  "words has {} rows: they do not belong together (task.target_tokenizer)",
                  options_.target_tokenizer.empty() ? "the model's" : options_.target_tokenizer,
                  target.vocab_size(), target_rows_));
}

void Seq2Seq::learn_end(const Tokenizer& tokenizer) {
  SpecialTokens& tokens = learned_.tokens;
  if (const std::optional<int32_t> id = tokenizer.id(end_token_); !end_token_.empty() && id)
    tokens.end = *id;
  if (tokens.end < 0 || tokens.end >= tokenizer.vocab_size())
    throw Error(ErrorKind::kModel,
                "neither tokenizer_config.json (\"eos_token\") nor config.json (\"eos_token_id\") "
                "names a token of the vocabulary that ends a target: no answer would end");
  std::vector<int64_t>& ends = options_.generation.tokens.eos_token_id;
  if (std::find(ends.begin(), ends.end(), tokens.end) == ends.end()) ends.push_back(tokens.end);
}

// What is written begins with its language's token: the first that the decoder reads, or the first
// that it is made to write.
void Seq2Seq::learn_languages(const Tokenizer& tokenizer) {
  SpecialTokens& tokens = learned_.tokens;
  const Tokenizer& target = answer_tokenizer(tokenizer);
  const bool is_mbart = tokenizer_class_.starts_with("MBartTokenizer");
  tokens.language_is_last = options_.language_place == LanguagePlace::kLast ||
                            (options_.language_place == LanguagePlace::kAuto && is_mbart);
  tokens.source_language = language_id(tokenizer, "source_language", options_.source_language);
  tokens.target_language = language_id(target, "target_language", options_.target_language);
  const std::optional<int32_t> end = tokenizer.id(target.token(static_cast<int32_t>(tokens.end)));
  tokens.source_end = end ? *end : tokens.end;
  const std::vector<std::string>& given = options_.generation.given;
  const bool is_given = std::find(given.begin(), given.end(), "forced_bos_token_id") != given.end();
  if (!is_given)
    options_.generation.tokens.forced_bos_token_id =
        tokens.language_is_last ? -1 : tokens.target_language;
}

// Such a tokenizer puts a source's language around any text, targets among them.
void Seq2Seq::refuse_unnamed_languages() const {
  if (!tokenizer_class_.starts_with("MBart")) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("the model's tokenizer ({}) would put the language {} around sources and "
                          "targets alike; name theirs in the task section: \"source_language\" and "
                          "\"target_language\"",
                          tokenizer_class_, usual_language_.empty() ? "en_XX" : usual_language_));
}

std::vector<std::string> Seq2Seq::idle_options() const {
  std::vector<std::string> idle;
  if (options_.language_place != LanguagePlace::kAuto && !options_.has_languages())
    idle.push_back("\"language_place\" changes nothing: no languages are named");
  if (options_.scores.metrics.empty() && options_.generate_rows > 0 &&
      options_.generate_rows != Options().generate_rows)
    idle.push_back("\"generate_rows\" changes nothing: \"metrics\" names no scores of texts");
  return idle;
}

Reading Seq2Seq::reading(const Tokenizer& tokenizer) const {
  const int64_t source = length_limit(options_.source_limit(), tokenizer);
  return {options_,
          tokenizer,
          answer_tokenizer(tokenizer),
          learned_.tokens,
          learned_.source_positions > 0 ? std::min(source, learned_.source_positions) : source,
          length_limit(options_.target_limit(), answer_tokenizer(tokenizer))};
}

std::vector<Sample> Seq2Seq::encode(const Record& record, const Tokenizer& tokenizer,
                                    bool with_targets, bool* truncated) const {
  if (with_targets) return {learned_sample(record, reading(tokenizer), truncated)};
  Sample prompt = prompt_sample(record, reading(tokenizer), truncated);
  add_seed(record, prompt);
  return {std::move(prompt)};
}

std::shared_ptr<Head> Seq2Seq::make_head(const ModelConfig& config) const {
  refuse_other_families(config);
  return std::make_shared<CausalLmHead>(config, /*streams=*/2);
}

Loss Seq2Seq::loss(const Outputs& logits, const Batch& batch, const LossOptions& options) const {
  return next_token_loss(logits, batch, options);
}

double Seq2Seq::targets_in(const Batch& batch) const {
  return static_cast<double>(NextTokens(batch).count);
}

Loss Seq2Seq::forward_loss(Network& network, const Batch& batch, const LossOptions& options) const {
  return next_token_forward_loss(network, batch, options);
}

Outputs Seq2Seq::predict(Network& network, const Batch& batch) const {
  return assess(network, batch).first;
}

std::pair<Outputs, Loss> Seq2Seq::assess(Network& network, const Batch& batch) const {
  return assess_next_tokens(network, batch);
}

AnswerSample Seq2Seq::answer_sample() const {
  if (options_.scores.metrics.empty()) return {};
  return {options_.generate_rows, static_cast<uint64_t>(options_.generation.tokens.seed)};
}

Json Seq2Seq::decode(const Record&, std::span<const Row> rows, const Tokenizer& tokenizer) const {
  const Row& row = rows.front();
  if (!row.written) return loss_json(row);
  Json result = facts_of(*row.written, *row.sample);
  result[options_.target] =
      text_of(*row.written, answer_tokenizer(tokenizer), options_.generation.stop_strings);
  return result;
}

std::unique_ptr<Scorer> Seq2Seq::make_scorer() const {
  return seq2seq::make_scorer(options_, learned_.vocabulary);
}

Json Seq2Seq::state() const {
  Json state = learned_.json();
  state["options"] = options_json(options_);
  state["generation_config"] = options_.generation.of_model;
  return state;
}

void Seq2Seq::write_model_config(const ModelConfig& model, Json& config) const {
  config["architectures"] =
      Json::array({model.architecture_stem + model.causal_lm->architecture_end});
  config[kStart] = learned_.tokens.first();
  config["eos_token_id"] = learned_.tokens.end;
  config["is_encoder_decoder"] = true;
  for (const char* key : {"id2label", "label2id", "problem_type"}) config.erase(key);
}

void Seq2Seq::write_files(const ModelConfig&, const std::string& folder) const {
  options_.generation.write(folder);
  if (!target_tokenizer_) return;
  const std::filesystem::path target = std::filesystem::path(folder) / kTargetFolder;
  std::filesystem::create_directories(target);
  target_tokenizer_->save(target.string());
}

namespace {

std::unique_ptr<Task> make(Config& section, int64_t max_seq_length) {
  return std::make_unique<Seq2Seq>(Options::read(section, max_seq_length));
}

std::unique_ptr<Task> restore(const Json& state) {
  auto options = options_from<Options>(state.at("options"));
  options.generation.of_model = state.at("generation_config");
  return std::make_unique<Seq2Seq>(std::move(options), Learned::from(state));
}

}  // namespace

const TaskInfo kInfo{kTaskName,
                     "translation and summarization: a model that reads a text and writes another",
                     make, restore};

}  // namespace hone::seq2seq
