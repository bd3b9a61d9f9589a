// Rows to be answered: texts that nobody has labelled, read and cleaned some hundred at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/reader.h"
#include "run/reading.h"

namespace hone {

// A record, or what is wrong with it.
struct InputRow {
  Record record;
  std::optional<Error> error;
};

// Unlike labelled data, a file is lines of text unless its name, its first character or the reading
// says otherwise; a plain line stands for the first of the text fields. No row is left out.
class InputRows {
 public:
  InputRows(const Reading& reading, std::vector<std::string> text_fields);

  // The next rows, in order; none at the end. Where the input breaks off, so that no row can be
  // found behind a place, the call after the last row throws.
  std::vector<InputRow> next();

 private:
  std::vector<std::string> text_fields_;
  std::unique_ptr<RecordReader> reader_;
  SplitAudit audit_;
  Cleaner cleaner_;
  std::optional<Error> broken_;
};

}  // namespace hone
