#include "data/tokenizer/vocabulary.h"

#include <algorithm>
#include <utility>

namespace hone {

bool Vocabulary::set(std::string_view token, int32_t id) {
  if (2 * (used_ + 1) > slots_.size()) grow();
  const uint64_t hash = hash_bytes(token.data(), token.size());
  Slot& slot = slots_[slot_of(token, hash)];
  const bool is_new = slot.id == kNone;
  if (!is_new) places_[slot.id].size = kNoToken;
  place(token, hash, id, slot);
  return is_new;
}

bool Vocabulary::append(std::string_view token) {
  if (2 * (used_ + 1) > slots_.size()) grow();
  const uint64_t hash = hash_bytes(token.data(), token.size());
  Slot& slot = slots_[slot_of(token, hash)];
  const bool is_new = slot.id == kNone;
  place(token, hash, end_id(), slot);
  return is_new;
}

void Vocabulary::place(std::string_view token, uint64_t hash, int32_t id, Slot& slot) {
  used_ += slot.id == kNone ? 1 : 0;
  if (id >= end_id()) places_.resize(id + 1);
  slot = {static_cast<uint32_t>(hash >> 32), id};
  places_[id] = {static_cast<uint32_t>(pool_.size()), static_cast<uint32_t>(token.size())};
  pool_ += token;
  longest_ = std::max(longest_, token.size());
}

std::string_view Vocabulary::token(int32_t id) const {
  return has(id) ? std::string_view(pool_).substr(places_[id].start, places_[id].size)
                 : std::string_view();
}

void Vocabulary::grow() {
  const std::vector<Slot> old =
      std::exchange(slots_, std::vector<Slot>(std::max<size_t>(64, 2 * slots_.size())));
  for (const Slot& slot : old) {
    if (slot.id == kNone) continue;
    const std::string_view known = token(slot.id);
    slots_[slot_of(known, hash_bytes(known.data(), known.size()))] = slot;
  }
}

}  // namespace hone
