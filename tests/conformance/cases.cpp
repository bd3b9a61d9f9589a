#include "conformance/cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "data/reader.h"
#include "models/weights.h"

namespace hone::conformance {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRecords = 60;

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

void write_tiny_bert(const std::vector<std::string>& vocabulary, const std::string& folder) {
  fs::create_directories(folder);
  write_file(folder + "/vocab.txt", fmt::format("{}\n", fmt::join(vocabulary, "\n")));
  write_file(
      folder + "/tokenizer_config.json",
      R"({"tokenizer_class": "BertTokenizer", "do_lower_case": false, "model_max_length": 64})");
  const Json config = {{"model_type", "bert"},
                       {"architectures", Json::array({"BertModel"})},
                       {"vocab_size", vocabulary.size()},
                       {"hidden_size", 32},
                       {"num_hidden_layers", 2},
                       {"num_attention_heads", 4},
                       {"intermediate_size", 48},
                       {"max_position_embeddings", 64},
                       {"type_vocab_size", 2},
                       {"hidden_dropout_prob", 0.1},
                       {"attention_probs_dropout_prob", 0.1},
                       {"initializer_range", 0.1},
                       {"hidden_act", "gelu"},
                       {"layer_norm_eps", 1e-12},
                       {"pad_token_id", 0}};
  write_file(folder + "/config.json", config.dump(1));
  const auto backbone = make_backbone(ModelConfig::load(folder));
  backbone->initialise(1);
  StateDict weights;
  for (const auto& item : backbone->named_parameters())
    weights["bert." + item.key()] = item.value().detach();
  write_safetensors(folder + "/model.safetensors", weights);
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

std::shared_ptr<Task> make_task(const Case& c, const Tokenizer& tokenizer) {
  Config root = Config::parse(c.config, c.name);
  Config section = root.section(root.has("tasks") ? "tasks" : "task");
  if (!root.has("tasks")) section.get("name", "");
  std::shared_ptr<Task> task = c.info->make(section, kLongest);
  section.refuse_unknown();
  for (const Record& record : c.records) {
    task->learn(record);
    task->learn_tokens(record, tokenizer);
  }
  task->finish_learning();
  return task;
}

std::unique_ptr<Pipeline> make_pipeline(const Case& c, const std::string& folder) {
  write_tiny_bert(vocabulary_of(c.records), folder);
  const auto tokenizer = Tokenizer::load(folder);
  return Pipeline::create(folder, tokenizer, make_task(c, *tokenizer), /*seed=*/7);
}

}  // namespace hone::conformance
