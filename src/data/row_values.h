// What becomes of a row's values once it is read: texts from files of their own, other forms,
// numbers that stand for names (`texts`, `forms`, `names` of a source).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/reader.h"
#include "data/value_forms.h"

namespace hone {

class RowValues {
 public:
  explicit RowValues(const SourceOptions& options);
  void apply(Record& record);  // Error(kData) for a bad row
  // Fields that are to be converted and that no row had, as sentences.
  std::vector<std::string> advice() const;

 private:
  std::string path_of(const std::string& pattern, const Record& record) const;
  std::string read_text(const std::string& path, size_t most) const;
  void add_texts(Record& record) const;

  SourceOptions options_;
  std::map<std::string, ValueForm> forms_;    // by field
  std::map<std::string, int64_t> converted_;  // rows that had the field, by field
  int64_t rows_ = 0;
};

}  // namespace hone
