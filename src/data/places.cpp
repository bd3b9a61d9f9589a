#include "data/places.h"

namespace hone {

void Places::add(const Record& record) {
  const Where where = record.where();
  const auto [it, is_new] = index_of_.emplace(where.file, static_cast<uint32_t>(files_.size()));
  if (is_new) files_.push_back(where.file);
  places_.push_back({where.line, where.column, it->second});
}

Where Places::at(size_t index) const {
  const Place& place = places_.at(index);
  return {files_[place.file], place.line, place.column};
}

}  // namespace hone
