// What a label field holds, whatever its spelling: one label, several, or a number.
#pragma once

#include <optional>
#include <vector>

#include "data/record.h"
#include "tasks/classify/options.h"
#include "tasks/labels.h"

namespace hone::classify {

// The type a value has under kAuto: kMulti for a list or with a separator, else kSingle.
Type type_of(const Json& value, const Options& options);

// The labels in `value`, as values that Labels knows. `record` is for messages. Error(kData) for a
// value of the wrong kind.
std::vector<Json> labels_in(const Json& value, Type type, const Options& options,
                            const Record& record);

// A finite number, also one written as text. Error(kData) otherwise.
double number_in(const Json& value, const Options& options, const Record& record);

}  // namespace hone::classify
