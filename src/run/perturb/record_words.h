// The words of a record that may be written otherwise, and the record with others in their place.
// What points into a text (entities, answers) goes on pointing at the same place: it counts in the
// text as it was read, which the record keeps (TextEdits).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/record.h"

namespace hone {

struct RecordWord {
  std::string field;
  int64_t token = -1;  // of a list of tokens the place; -1: the field is a text
  Span bytes;          // of the text; of tokens joined by blanks
};

// Other words by their place in RecordWords::all().
using OtherWords = std::map<size_t, std::string>;

class RecordWords {
 public:
  // Words of the text fields that are texts, and of those that are tokens: a list as long as one of
  // tags among the gold fields. What carries a label stays: words that touch a span which another
  // field names ({"start", "end"}, {"from", "to"}, answers with answer_start; all in characters),
  // tokens whose tag is not O. Lists of whole texts (choices) are not looked at.
  RecordWords(Record record, const std::vector<std::string>& text_fields,
              const std::vector<std::string>& gold_fields);

  const Record& record() const { return record_; }
  const std::vector<RecordWord>& all() const { return words_; }  // in the order of fields and texts
  const std::string& text_of(const RecordWord& word) const { return texts_.at(word.field); }
  // Whether this may stand there: a token holds no blank, and is not empty.
  static bool fits(const RecordWord& word, const std::string& other);
  // An empty other leaves a word of a text out, with the blank before it (of a text's first word:
  // the one behind it), unless that carries a label.
  Record with(const OtherWords& others) const;
  // The text of a field with others in place, tokens joined by blanks.
  std::string text_with(const std::string& field, const OtherWords& others) const;

 private:
  void add_text(const std::string& field);
  void add_tokens(const std::string& field, const std::vector<std::string>& gold_fields);
  bool is_labelled(const std::string& field, Span bytes) const;
  struct Replaced {
    Span bytes;  // of the text
    const std::string& other;
  };
  std::vector<Replaced> replaced_in(const std::string& field, const OtherWords& others) const;
  // What goes with a word of a text, where `from` on is left of it.
  Span with_blank(const RecordWord& word, int32_t from, bool is_first) const;
  Json tokens_with(const std::string& field, const OtherWords& others) const;

  Record record_;
  std::vector<RecordWord> words_;
  std::map<std::string, std::string> texts_;           // by field
  std::map<std::string, std::vector<Span>> labelled_;  // bytes of the text as read, by field
};

}  // namespace hone
