// A random BERT small enough for unit tests, in a folder of its own: config.json,
// model.safetensors, vocab.txt. And rows it can learn.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"
#include "data/record.h"
#include "models/backbone.h"
#include "models/weights.h"

namespace hone::testing_support {

struct TinyBert {
  int64_t hidden = 16, layers = 2, heads = 2, intermediate = 24, words = 40;
  double dropout = 0.1;
};

// Words of the vocabulary: "word0", "word1", …
inline std::string tiny_word(uint64_t index) { return "word" + std::to_string(index); }

inline void write_tiny_bert(const std::string& folder, const TinyBert& tiny = {},
                            uint64_t seed = 1) {
  std::filesystem::create_directories(folder);
  std::string vocabulary = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  for (int64_t i = 0; i < tiny.words; ++i) vocabulary += tiny_word(static_cast<uint64_t>(i)) + "\n";
  write_file(folder + "/vocab.txt", vocabulary);
  write_file(
      folder + "/tokenizer_config.json",
      R"({"tokenizer_class": "BertTokenizer", "do_lower_case": true, "model_max_length": 48})");
  const Json config = {{"model_type", "bert"},
                       {"architectures", {"BertModel"}},
                       {"vocab_size", tiny.words + 5},
                       {"hidden_size", tiny.hidden},
                       {"num_hidden_layers", tiny.layers},
                       {"num_attention_heads", tiny.heads},
                       {"intermediate_size", tiny.intermediate},
                       {"max_position_embeddings", 48},
                       {"type_vocab_size", 2},
                       {"hidden_dropout_prob", tiny.dropout},
                       {"attention_probs_dropout_prob", tiny.dropout},
                       {"initializer_range", 0.1},
                       {"hidden_act", "gelu"},
                       {"layer_norm_eps", 1e-12},
                       {"pad_token_id", 0}};
  write_file(folder + "/config.json", config.dump(1));
  const auto backbone = make_backbone(ModelConfig::load(folder));
  backbone->initialise(seed);
  StateDict weights;
  for (const auto& item : backbone->named_parameters())
    weights["bert." + item.key()] = item.value().detach();
  write_safetensors(folder + "/model.safetensors", weights);
}

// Rows of 2 to 16 words whose label ("a", "b" or "c") follows from the first word, so that a few
// epochs learn something.
inline std::vector<Record> tiny_texts(int64_t rows, const std::string& file, uint64_t seed = 5) {
  const auto name = std::make_shared<const std::string>(file);
  RandomStream random(seed);
  std::vector<Record> records;
  for (int64_t row = 0; row < rows; ++row) {
    const uint64_t first = random.below(30);
    std::string text = tiny_word(first);
    for (uint64_t more = 1 + random.below(15); more > 0; --more)
      text += " " + tiny_word(random.below(40));
    records.push_back(
        {{{"text", text}, {"label", std::string(1, static_cast<char>('a' + first % 3))}},
         name,
         row + 1});
  }
  return records;
}

// The same as tokens with IOB2 tags: words below 10 are a PER, those below 20 a LOC; every seventh
// begins a longer entity.
inline std::vector<Record> tiny_sentences(int64_t rows, const std::string& file,
                                          uint64_t seed = 6) {
  const auto name = std::make_shared<const std::string>(file);
  RandomStream random(seed);
  std::vector<Record> records;
  for (int64_t row = 0; row < rows; ++row) {
    Json tokens = Json::array(), tags = Json::array();
    for (uint64_t count = 2 + random.below(12); count > 0; --count) {
      const uint64_t word = random.below(40);
      const std::string before = tags.empty() ? "O" : tags.back().get<std::string>();
      const std::string type = word < 10 ? "PER" : word < 20 ? "LOC" : "";
      const bool continues = !type.empty() && before.ends_with(type) && word % 7 != 0;
      tokens.push_back(tiny_word(word));
      tags.push_back(type.empty() ? "O" : (continues ? "I-" : "B-") + type);
    }
    records.push_back({{{"tokens", tokens}, {"tags", tags}}, name, row + 1});
  }
  return records;
}

}  // namespace hone::testing_support
