// Names of fields that reach into nested values.
#pragma once

#include <string>

#include "base/json.h"

namespace hone {

// The value of a field whose name may be a path ("answers.text", "pair.0", "tuv[lang=en].seg": the
// first element of a list whose member "lang" is the text "en"); a field of that very name comes
// first. nullptr where there is none.
const Json* value_at(const Json& fields, const std::string& name);

}  // namespace hone
