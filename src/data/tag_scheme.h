// Schemes that write spans as one tag per token, and their conversion to IOB2. Pure functions on
// the tags of one sentence.
//
//   IOB1           I-X inside; B-X only where two spans of one type touch
//   IOB2 (BIO)     B-X begins every span
//   IOE1           I-X inside; E-X ends a span only where another of its type follows
//   IOE2           E-X ends every span
//   BMES, BMEWO    begin, middle, end, single (whole)
//   BIOES, BILOU   begin, inside, end (last), single (unit)
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hone {

enum class TagScheme { kNone, kIob1, kIob2, kIoe1, kIoe2, kBmes, kBmewo, kBioes, kBilou };

const char* name_of(TagScheme scheme);
// In any case, and by other names that are in use ("BIO" is IOB2, "IOBES" is BIOES, "BILUO" is
// BILOU); nothing for "auto" and unknown names.
std::optional<TagScheme> tag_scheme_of(const std::string& name);

struct TagFault {
  size_t index = 0;  // of the tag
  std::string reason;
  bool is_readable = true;  // a span can still be read (as conlleval does); false: the tag is of
                            // another scheme altogether
};

// Rewrites the tags as IOB2 and gives the first that breaks the scheme. A broken span is read as
// conlleval reads it: a tag that cannot go on with the span before it begins a new one. Unreadable
// tags are left as they are.
std::optional<TagFault> to_iob2(TagScheme scheme, std::vector<std::string>& tags);

// Sees the tags of all sentences, then says which scheme fits best: kNone where most tags are of no
// scheme (parts of speech, say).
class TagSchemeDetector {
 public:
  void add(const std::vector<std::string>& tags);
  TagScheme scheme() const;

 private:
  std::array<int64_t, 256> prefixes_{};
  int64_t strangers_ = 0, iob1_faults_ = 0, iob2_faults_ = 0;
};

}  // namespace hone
