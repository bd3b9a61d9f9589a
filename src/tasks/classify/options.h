// What the `task` section of classification may say.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tasks/class_balance.h"
#include "tasks/options.h"

namespace hone::classify {

// kAuto becomes kMulti with the first label that is a list (or with a label_separator), else
// kSingle; never kRegression.
enum class Type { kAuto, kSingle, kMulti, kRegression };

// How a row of several labels is written: by their names or numbers, or as a zero or one for each
// label. kAuto becomes one of the two with the first row that can be read in one way only.
enum class Format { kAuto, kList, kMultiHot };

// How the model is told which part of a text the label is about: as the second text of a pair (Song
// et al. 2019, https://arxiv.org/abs/1902.09314: BERT-SPC), or by marks around it.
enum class AspectAs { kPair, kMark };

struct Options {
  std::string text = "text";  // field of the text
  std::string text_pair;      // field of a second text, or "": sentence pairs
  std::string aspect;         // field of the part of the text that the label is about
  AspectAs aspect_as = AspectAs::kPair;
  int64_t history = 0;  // above 0: the text is a list of turns of a dialogue, of which the last has
                        // the label; so many before it are seen
  std::string label = "label";             // field of the label, also in results
  std::vector<std::string> label_columns;  // fields that each hold a zero or one, named as labels
  Type type = Type::kAuto;
  Format label_format = Format::kAuto;
  std::string label_separator;      // "," where several labels stand in one string
  std::vector<std::string> labels;  // names in their order; "": those of the training data. In the
                                    // file: a list, or the path of a file
  int64_t label_ids_from = 0;       // the number of the first of `labels`, where data holds numbers
  // multi: a label is given from this probability on. Nothing: from what gives the best micro F1 on
  // validation data; until then from 0.5.
  std::optional<double> threshold = 0.5;
  // single: what logits are divided by before they become probabilities. Nothing: what gives the
  // lowest loss on validation data; until then 1.
  std::optional<double> temperature = 1;
  ClassBalance balance;  // of classes of different size; of several labels focal_gamma alone
  std::string unknown_labels =
      "error";  // error | count: a gold label that training did not have is scored as missed
  int64_t max_seq_length =
      0;  // tokens with special ones; longer texts are cut, the longer of two first

  static Options read(Config& section, int64_t max_seq_length);
};

const std::vector<std::string>& option_names(Type);    // "auto", "single", …
const std::vector<std::string>& option_names(Format);  // "auto", "list", "multi_hot"
const std::vector<std::string>& option_names(AspectAs);

// See tasks/options.h. `labels` and `label_ids_from` are kept with the labels that they name.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  visit("text", o.text);
  visit("text_pair", o.text_pair);
  visit("aspect", o.aspect);
  visit("aspect_as", o.aspect_as);
  visit("history", o.history);
  visit("label", o.label);
  visit("label_columns", o.label_columns);
  visit("type", o.type);
  visit("label_separator", o.label_separator);
  visit("label_format", o.label_format);
  visit("threshold", o.threshold);
  visit("temperature", o.temperature);
  for_each_balance_option(o.balance, visit);
  visit("unknown_labels", o.unknown_labels, Choices{"error", "count"});
  visit("max_seq_length", o.max_seq_length);
}

constexpr const char* kTaskName = "classify";

std::string type_name(Type type);
Type type_named(const std::string& name);  // Error(kModel) for another

}  // namespace hone::classify
