// What stands beside a tokenizer's own file: tokenizer_config.json, special_tokens_map.json and
// added_tokens.json, put together as Transformers does.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/tokenizer/hf_tokenizer.h"
#include "data/tokenizer/json_node.h"
#include "data/tokenizer/vocabulary.h"

namespace hone {

// tokenizer_config.json, completed from special_tokens_map.json; an empty object where neither is
// there.
Json read_tokenizer_config(const std::filesystem::path& folder);

// The text of a token of that object, which stands as a string or as {"content": …}; "" where there
// is none.
std::string named_token(const Json& config, const char* name);

// The text of a token that stands as a string or as {"content": …}.
std::string token_text(const JsonNode& config, const std::string& name,
                       const std::string& fallback);

// `known` (the added tokens of tokenizer.json), then "added_tokens_decoder" or added_tokens.json,
// then `usual` ones and those that the configuration names ("pad_token"), then those that it lists
// ("additional_special_tokens", "extra_special_tokens"). A listed token that the vocabulary lacks
// gets the next id, with a warning.
Json with_added_tokens(Json known, const JsonNode& config, const std::filesystem::path& folder,
                       const Vocabulary& vocabulary, const std::vector<std::string>& usual = {});

// Where tokenizer_config.json contradicts tokenizer.json (`root`) the latter is followed, also in
// what is saved, and a warning says so.
void settle_conflicts(TokenizerParts& parts, const JsonNode& root);

}  // namespace hone
