// Other forms that values of data files have, turned into those that tasks read
// (`forms: {entities: by_type}`; docs/formats.md lists them).
#pragma once

#include <string>
#include <vector>

#include "data/record.h"

namespace hone {

// A form as a configuration names it: its name, and behind a blank the name of a further field.
struct ValueForm {
  std::string name, of;

  static ValueForm parse(const std::string& text);
};

// Those there are, with "FIELD" where a field must be named.
std::vector<std::string> value_form_names();

// What is wrong with a form; "" where nothing is.
std::string fault_of(const ValueForm& form);

// `field` of the record, which it has, in the form that tasks read. Error(kData) at the record
// where it has another one.
void convert_value(const ValueForm& form, const std::string& field, Record& record);

// A number, its digits as a text, or a list of such, as names: 0 is the first.
void name_value(const std::vector<std::string>& names, const std::string& field, Record& record);

}  // namespace hone
