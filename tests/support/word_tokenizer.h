// tokenizer.json of a vocabulary of whole words, for models that write: nothing is put around a
// text.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace hone::testing_support {

// `words` by id, of which the first `special` are special tokens and one is "[UNK]".
inline Json word_tokenizer(const std::vector<std::string>& words, size_t special,
                           const std::string& pre_tokenizer, bool cleans_up) {
  Json ids = Json::object(), added = Json::array();
  for (size_t id = 0; id < words.size(); ++id) ids[words[id]] = id;
  for (size_t id = 0; id < special; ++id)
    added.push_back({{"id", id},
                     {"content", words[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  return {{"version", "1.0"},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", pre_tokenizer}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", cleans_up}}},
          {"model",
           {{"type", "WordPiece"},
            {"unk_token", "[UNK]"},
            {"continuing_subword_prefix", "##"},
            {"max_input_chars_per_word", 100},
            {"vocab", ids}}}};
}

}  // namespace hone::testing_support
