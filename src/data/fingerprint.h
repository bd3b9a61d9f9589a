// What makes two texts the same: normalised forms, their fingerprints, and sketches that tell how
// much two texts share.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/record.h"

namespace hone {

// NFKC, case folded, runs of white space as one space, none at the ends.
std::string normalised_text(std::string_view text);

// The named text fields of a record as one text: lists joined by spaces, what is no text as JSON
// writes it. Absent fields count as empty.
std::string text_of_fields(const Record& record, const std::vector<std::string>& text_fields);

uint64_t hash_bytes(
    std::string_view bytes);  // the same on all machines and in all versions: splits depend on it

// MinHash over shingles of four characters by one permutation (Li, Owen and Zhang 2012, "One
// permutation hashing"), empty bins filled as Shrivastava 2017 ("Optimal densification for fast and
// accurate minwise hashing") does, one byte kept of each bin (Li and König 2010, "b-bit minwise
// hashing"). Two sketches agree in a share of bytes near the Jaccard similarity of the shingles.
using Sketch = std::array<uint8_t, 128>;
Sketch sketch_of(std::string_view normalised);
double similarity(const Sketch& a, const Sketch& b);

// Finds sketches like one seen before (locality-sensitive hashing). Bands of eight bytes: of two
// texts with similarity s, a share of 1 - (1 - s^8)^16 meet in a band (0.9999 at 0.9, 0.06 at 0.5);
// those that meet are compared in full.
class NearIndex {
 public:
  explicit NearIndex(double threshold) : threshold_(threshold) {}
  void add(const Sketch& sketch, int64_t tag);  // REQUIRES: fewer than 2^27 sketches
  // Calls `found` with the tags of the sketches at least so similar, until it returns false. A tag
  // may come more than once.
  void each(const Sketch& sketch, const std::function<bool(int64_t)>& found) const;

 private:
  struct Slot {
    uint32_t check = 0;
    int32_t sketch = -1;  // -1: free
  };
  void insert(uint64_t key, int32_t sketch);
  void grow();

  double threshold_;
  std::vector<Sketch> sketches_;
  std::vector<int64_t> tags_;
  std::vector<Slot> slots_;  // open addressing, at most half full
  size_t used_ = 0;
};

}  // namespace hone
