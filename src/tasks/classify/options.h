// What the `task` section of classification may say.
#pragma once

#include <string>
#include <vector>

#include "base/config.h"

namespace hone::classify {

// kAuto becomes kMulti with the first label that is a list (or with a label_separator), else
// kSingle; never kRegression.
enum class Type { kAuto, kSingle, kMulti, kRegression };

// How a row of several labels is written: by their names or numbers, or as a zero or one for each
// label. kAuto becomes one of the two with the first row that can be read in one way only.
enum class Format { kAuto, kList, kMultiHot };

struct Options {
  std::string text = "text";               // field of the text
  std::string text_pair;                   // field of a second text, or "": sentence pairs
  std::string label = "label";             // field of the label, also in results
  std::vector<std::string> label_columns;  // fields that each hold a zero or one, named as labels
  Type type = Type::kAuto;
  Format label_format = Format::kAuto;
  std::string label_separator;      // "," where several labels stand in one string
  std::vector<std::string> labels;  // names in their order; "": those of the training data. In the
                                    // file: a list, or the path of a file
  int64_t label_ids_from = 0;       // the number of the first of `labels`, where data holds numbers
  double threshold = 0.5;           // multi: a label is given from this probability on
  std::string unknown_labels =
      "error";  // error | count: a gold label that training did not have is scored as missed
  int64_t max_seq_length =
      0;  // tokens with special ones; longer texts are cut, the longer of two first

  static Options read(Config& section, int64_t max_seq_length);
  Json json() const;
  static Options from_json(const Json& json);
};

constexpr const char* kTaskName = "classify";

std::string type_name(Type type);
Type type_named(const std::string& name);  // REQUIRES: a name that type_name gives

}  // namespace hone::classify
