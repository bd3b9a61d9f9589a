// Where many rows stand, in 24 bytes each.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/record.h"

namespace hone {

class Places {
 public:
  void add(const Record& record);
  size_t size() const { return places_.size(); }
  Where at(size_t index) const;  // of the record that was added so many records after the first

 private:
  struct Place {
    int64_t line, column;
    uint32_t file;
  };
  std::vector<Place> places_;
  std::vector<std::string> files_;
  std::map<std::string, uint32_t> index_of_;  // of each of files_
};

}  // namespace hone
