// Tokens found in the text before (or just after) it is normalised, whatever the model would make
// of them: [SEP], <mask>, user's own.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/json_node.h"
#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/vocabulary.h"

namespace hone {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool single_word = false;             // only between non-word characters
  bool lstrip = false, rstrip = false;  // takes the white space on that side with it
  bool normalized = false;  // looked for in the normalised text, in its own normalised form; else
                            // in the text as given
  bool special = false;     // left out by decode(…, skip_special)
};

// Leftmost, longest occurrences of a set of tokens.
class TokenMatcher {
 public:
  // Bytes [begin, end) of the text: a token (its index), or text between tokens (-1).
  struct Part {
    int32_t begin, end, token;
  };

  void add(const std::string& pattern, int32_t token);
  bool is_empty() const { return patterns_.empty(); }
  bool any_has(std::string_view part) const;  // whether a pattern has this in it
  bool is_in(std::string_view text) const;    // whether any pattern stands there

  // Whether bytes [begin, end) of the text may be this token.
  using Allowed = std::function<bool(size_t begin, size_t end, const AddedToken& token)>;

  // Appends parts that cover the text; a text without tokens, the usual case, is one part. `tokens`
  // says what to strip; `allowed`, where it is given, which occurrences count.
  void split(std::string_view text, const std::vector<AddedToken>& tokens, std::vector<Part>& out,
             const Allowed& allowed = nullptr) const;

 private:
  struct Pattern {
    std::string text;
    int32_t token;
  };
  std::vector<Pattern> patterns_;
  std::array<std::vector<int32_t>, 256> by_first_byte_;  // indices into patterns_, longest first
  int only_first_byte_ = -1;  // where all patterns begin alike; -2 where they do not

  size_t next_candidate(std::string_view text, size_t from) const;
  template <typename IsAllowed>
  const Pattern* longest_at(std::string_view text, size_t at, const IsAllowed& is_allowed) const;
};

class AddedTokens {
 public:
  AddedTokens() = default;

  // `list` is "added_tokens" of tokenizer.json. As in the reference a token that the model knows
  // has the model's id, and others follow after the model's ids in their order; where the file says
  // otherwise a warning tells.
  AddedTokens(const JsonNode& list, const Vocabulary& vocabulary, const Normalizer* normalizer);

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  const TokenMatcher& in_text() const { return in_text_; }
  const TokenMatcher& in_normalized() const { return in_normalized_; }

  const AddedToken* find(std::string_view content) const;
  const AddedToken* find(int32_t id) const;

 private:
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, int32_t> by_content_;
  std::unordered_map<int32_t, int32_t> by_id_;
  TokenMatcher in_text_, in_normalized_;

  void add(AddedToken token, const Normalizer* normalizer);
};

}  // namespace hone
