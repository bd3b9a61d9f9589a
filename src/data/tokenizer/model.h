// What turns one word (pre-token) into pieces of the vocabulary. A new kind of model is one file
// and one line in model.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/json_node.h"
#include "data/tokenizer/vocabulary.h"

namespace hone {

// A token and the bytes [begin, end) of the word it covers.
struct Piece {
  int32_t id, begin, end;
};

class Model {
 public:
  virtual ~Model() = default;

  // Appends the word's pieces. Thread-safe. REQUIRES: the word is not empty.
  virtual void tokenize(std::string_view word, std::vector<Piece>& out) const = 0;

  // Whether a word that has `mark` after something else may as well be cut in two before it.
  virtual bool cuts_before(std::string_view) const { return false; }

  virtual const Vocabulary& vocabulary() const = 0;
  virtual void append_json(std::string& out) const = 0;  // the value of "model" in tokenizer.json
  virtual void save_files(const std::string& folder)
      const = 0;  // the older form: vocab.txt, or vocab.json and merges.txt
};

// Throws Error(kModel) where "model" of tokenizer.json is of a type that is not supported: what a
// user should hear first.
void require_known_model(const JsonNode& model);

// `model` is the value of "model" in tokenizer.json. `is_byte_level`: words are raw bytes, and
// tokens are written in the alphabet of byte_level.h. Throws Error(kModel) for the first defect.
std::unique_ptr<Model> make_model(const JsonNode& model, bool is_byte_level);

// {"token": id, …}. An id below 0, too large, or given twice is an error.
Vocabulary read_vocabulary(const JsonNode& vocab);
void append_json(const Vocabulary& vocabulary, std::string& out);  // in the order of ids
void append_json(std::string_view text, std::string& out);         // as a JSON string

// Whether `mark` stands in `piece` after anything but itself.
bool has_mark_after_other(std::string_view piece, std::string_view mark);

}  // namespace hone
