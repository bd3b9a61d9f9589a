#include "conformance/cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "data/reader.h"
#include "models/weights.h"
#include "support/word_tokenizer.h"

namespace hone::conformance {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRecords = 60, kSpecialTokens = 5;

std::vector<Record> read(const std::string& path) {
  SourceOptions source;
  source.path = path;
  const auto reader = open_reader(source);
  std::vector<Record> records;
  while (records.size() < kRecords) {
    auto record = reader->next();
    if (!record) break;
    records.push_back(std::move(*record));
  }
  return records;
}

// The first records of the example.
Case example_of(const TaskInfo& info) {
  const std::string folder = std::string("examples/") + info.name, train = folder + "/train.jsonl";
  if (!fs::exists(train))
    throw Error(ErrorKind::kInternal, {train},
                fmt::format("task {} has no example: conformance needs one", info.name));
  const std::string config = folder + "/config.yaml";
  return {info.name, &info, fs::exists(config) ? read_file(config, ErrorKind::kUsage) : "",
          read(train)};
}

std::map<std::string, MakeVariants>& all_variants() {
  static std::map<std::string, MakeVariants> all;
  return all;
}

void collect_words(const Json& value, std::vector<std::string>& words) {
  if (value.is_string()) {
    std::string word;
    for (const char c : value.get_ref<const std::string&>() + " ") {
      if (c >= 'a' && c <= 'z') {
        word += c;
      } else {
        if (word.size() > 1) words.push_back(word);
        word.clear();
      }
    }
  }
  if (value.is_structured()) {
    for (const Json& item : value) collect_words(item, words);
  }
}

std::vector<std::string> vocabulary_of(const std::vector<Record>& records) {
  std::vector<std::string> tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}, words;
  for (char c = '!'; c <= '~'; ++c) {
    tokens.emplace_back(1, c);
    tokens.push_back(std::string("##") + c);
  }
  for (const Record& record : records) collect_words(record.fields, words);
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  tokens.insert(tokens.end(), words.begin(), words.end());
  return tokens;
}

// Random weights for the folder's config.json, under the names of its family.
void write_random_weights(const std::string& folder) {
  const ModelConfig config = ModelConfig::load(folder);
  const auto backbone = make_backbone(config);
  backbone->initialise(1);
  StateDict weights;
  for (const auto& item : backbone->named_parameters()) {
    const std::string name = config.base_prefix + "." + item.key();
    weights[name] = config.stored(name, item.value()).detach().contiguous();
  }
  write_safetensors(folder + "/model.safetensors", weights);
}

// Keys of all families: each reads its own.
Json tiny_config(const std::string& family, size_t words) {
  return {{"model_type", family},
          {"vocab_size", words},
          {"hidden_size", 32},
          {"dim", 32},
          {"n_embd", 32},
          {"embedding_size", 16},
          {"num_hidden_layers", 2},
          {"n_layers", 2},
          {"n_layer", 2},
          {"num_attention_heads", 4},
          {"n_heads", 4},
          {"n_head", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 8},
          {"intermediate_size", 48},
          {"hidden_dim", 48},
          {"max_position_embeddings", 68},  // some keep the first ones for themselves
          {"n_positions", 68},
          {"type_vocab_size", 2},
          {"hidden_dropout_prob", 0.1},
          {"attention_probs_dropout_prob", 0.1},
          {"attention_dropout", 0.1},
          {"initializer_range", 0.1},
          {"hidden_act", family == "bert" ? "gelu" : ""},
          {"d_model", 32},
          {"d_kv", 8},
          {"d_ff", 48},
          {"num_heads", 4},
          {"num_layers", 2},
          {"encoder_layers", 2},
          {"decoder_layers", 2},
          {"encoder_attention_heads", 4},
          {"decoder_attention_heads", 4},
          {"encoder_ffn_dim", 48},
          {"decoder_ffn_dim", 48},
          {"scale_embedding", true},
          {"init_std", 0.1},
          {"decoder_start_token_id", 2},
          {"layer_norm_eps", 1e-12},
          {"relative_attention", true},
          {"pos_att_type", "p2c|c2p"},
          {"position_buckets", 8},
          {"norm_rel_ebd", "layer_norm"},
          {"share_att_key", true},
          {"rms_norm_eps", 1e-6},
          {"tie_word_embeddings", true},
          {"eos_token_id", 3},
          {"pad_token_id", 0}};
}

void write_bert_tokenizer(const std::vector<std::string>& vocabulary, const std::string& folder) {
  write_file(folder + "/vocab.txt", fmt::format("{}\n", fmt::join(vocabulary, "\n")));
  write_file(
      folder + "/tokenizer_config.json",
      R"({"tokenizer_class": "BertTokenizer", "do_lower_case": false, "model_max_length": 64})");
}

// Of a model that writes: nothing is put around a text, a chat template marks turns.
void write_chat_tokenizer(const std::vector<std::string>& vocabulary, const std::string& folder) {
  const Json tokenizer = testing_support::word_tokenizer(vocabulary, kSpecialTokens,
                                                         "BertPreTokenizer", /*cleans_up=*/true);
  write_file(folder + "/tokenizer.json", tokenizer.dump(1));
  const Json options = {
      {"tokenizer_class", "PreTrainedTokenizerFast"},
      {"model_max_length", 64},
      {"eos_token", "[SEP]"},
      {"pad_token", "[SEP]"},  // as often: the end has a loss all the same
      {"unk_token", "[UNK]"},
      {"chat_template",
       "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}"
       "[SEP]{% endgeneration %}{% else %}[CLS]{{ m['content'] }}[MASK]{% endif %}{% endfor %}"}};
  write_file(folder + "/tokenizer_config.json", options.dump(1));
}

void write_tiny_model(const std::vector<std::string>& vocabulary, const std::string& folder,
                      const std::string& family, bool writes) {
  fs::create_directories(folder);
  (writes ? write_chat_tokenizer : write_bert_tokenizer)(vocabulary, folder);
  Json json = tiny_config(family, vocabulary.size());
  if (json["hidden_act"] == "") json.erase("hidden_act");  // the family's own
  write_file(folder + "/config.json", json.dump(1));
  write_random_weights(folder);
}

}  // namespace

bool add_variants(const std::string& task, MakeVariants make) {
  return all_variants().emplace(task, std::move(make)).second;
}

std::vector<Record> edited(std::vector<Record> records,
                           const std::function<void(Json& fields, size_t index)>& edit) {
  for (size_t i = 0; i < records.size(); ++i) edit(records[i].fields, i);
  return records;
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const TaskInfo& info : tasks()) {
    cases.push_back(example_of(info));
    const auto make = all_variants().find(info.name);
    if (make == all_variants().end()) continue;
    const std::vector<Record> example = cases.back().records;
    for (Variant& v : make->second(example))
      cases.push_back({fmt::format("{}, {}", info.name, v.name), &info, "task: " + v.options,
                       std::move(v.records)});
  }
  return cases;
}

std::shared_ptr<Task> make_task(const Case& c, const std::string& folder,
                                const Tokenizer& tokenizer) {
  Config root = Config::parse(c.config, c.name);
  Config section = root.section(root.has("tasks") ? "tasks" : "task");
  if (!root.has("tasks")) section.get("name", "");
  std::shared_ptr<Task> task = c.info->make(section, kLongest);
  section.refuse_unknown();
  task->begin_from(folder, /*has_length=*/true);
  for (const Record& record : c.records) {
    task->learn(record);
    task->learn_tokens(record, tokenizer);
  }
  task->finish_learning();
  return task;
}

std::unique_ptr<Pipeline> make_pipeline(const Case& c, const std::string& folder,
                                        const Form& form) {
  const std::string name = c.info->name;
  const bool has_source = name == "seq2seq", writes = name == "causal_lm" || has_source;
  const std::string usual = has_source ? "marian" : writes ? "llama" : "bert";
  write_tiny_model(vocabulary_of(c.records), folder, form.family.empty() ? usual : form.family,
                   writes);
  const auto tokenizer = Tokenizer::load(folder);
  std::optional<PeftOptions> peft;
  if (!form.peft.empty()) {
    Config section = Config::parse(form.peft, "peft");
    peft = PeftOptions::read(section);
    section.refuse_unknown();
    peft->base = folder;
  }
  return Pipeline::create(folder, tokenizer, make_task(c, folder, *tokenizer), /*seed=*/7, {},
                          peft);
}

}  // namespace hone::conformance
