// What a label field holds, whatever its spelling: one label, several, or a number.
#pragma once

#include <vector>

#include "data/record.h"
#include "tasks/classify/options.h"
#include "tasks/labels.h"

namespace hone::classify {

struct GoldLabels {
  std::vector<Json> present;      // values that Labels knows, without blanks around them
  std::vector<Json> absent;       // those that a mapping or columns name with a zero
  Format format = Format::kAuto;  // what this row shows of how rows are written
  bool was_trimmed = false;
};

// The label field of a gold row, which may stand in several columns. Error(kData) where it is
// absent or null.
Json gold_value(const Record& record, const Options& options);

// The type a value has under kAuto: kMulti for a list, a mapping or with a separator, else kSingle.
Type type_of(const Json& value, const Options& options, const Labels& known);

// The labels in `value`. `known` gives zeros and ones their names; `record` is for messages.
// Error(kData) for a value of the wrong kind, or one that can be read in two ways.
GoldLabels labels_in(const Json& value, Type type, const Options& options, const Labels& known,
                     const Record& record);

// A label that is a number with a decimal point, also as text: the row may want a regression.
bool is_decimal(const Json& label);

// A finite number, also one written as text. Error(kData) otherwise.
double number_in(const Json& value, const Options& options, const Record& record);

}  // namespace hone::classify
