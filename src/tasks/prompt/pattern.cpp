#include "tasks/prompt/pattern.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "tasks/fields.h"
#include "tasks/text_places.h"

namespace hone::prompt {
namespace {

constexpr const char* kMask = "mask";

Error wrong_pattern(const std::string& text, const std::string& what) {
  return {ErrorKind::kUsage,
          fmt::format("the pattern \"{}\" {}; it is written as \"{{text}} It was {{mask}}.\", with "
                      "fields of the data and one mask in braces",
                      text, what)};
}

// What `count` pieces of each field are cut to, so that they are `excess` fewer: the longest ones
// first.
void cut_longest(std::vector<int64_t>& counts, int64_t excess) {
  for (; excess > 0; --excess) --*std::max_element(counts.begin(), counts.end());
}

// The field that each piece is wholly of; -1: the pattern's own.
std::vector<int64_t> owners_of(const Encoding& pieces, const std::vector<Span>& fields) {
  std::vector<int64_t> owners(pieces.ids.size(), -1);
  for (size_t i = 0; i < owners.size(); ++i) {
    for (size_t f = 0; f < fields.size(); ++f) {
      if (pieces.offsets[i].start >= fields[f].start && pieces.offsets[i].end <= fields[f].end &&
          pieces.offsets[i].start < pieces.offsets[i].end)
        owners[i] = static_cast<int64_t>(f);
    }
  }
  return owners;
}

// The first `counts[f]` pieces of each field, and all others.
Encoding kept(const Encoding& pieces, const std::vector<int64_t>& owners,
              std::vector<int64_t> counts) {
  Encoding out;
  for (size_t i = 0; i < owners.size(); ++i) {
    if (owners[i] >= 0 && counts[owners[i]]-- <= 0) continue;
    out.ids.push_back(pieces.ids[i]);
    out.offsets.push_back(pieces.offsets[i]);
    out.words.push_back(pieces.words[i]);
  }
  return out;
}

// Whether pieces begin and end with the word; a blank before it may belong to the first one.
bool is_clean(const Encoding& pieces, const TokenRange& range, Span word, const std::string& text) {
  if (range.is_empty()) return false;
  const int32_t start = pieces.offsets[range.begin].start, end = pieces.offsets[range.end - 1].end;
  return end <= word.end &&
         (start >= word.start || text.find_first_not_of(' ', static_cast<size_t>(start)) >=
                                     static_cast<size_t>(word.start));
}

}  // namespace

Pattern::Pattern(const std::string& text) {
  bool has_mask = false;
  size_t at = 0;
  for (size_t open = text.find('{'); open != text.npos; open = text.find('{', at)) {
    const size_t close = text.find('}', open);
    if (close == text.npos) throw wrong_pattern(text, "has a brace that is not closed");
    const std::string name = text.substr(open + 1, close - open - 1);
    if (name.empty()) throw wrong_pattern(text, "has braces without a name");
    if (name == kMask && has_mask) throw wrong_pattern(text, "has several masks");
    add(Kind::kText, text.substr(at, open - at));
    if (name == kMask && !parts_.empty() && parts_.back().kind == Kind::kText)
      before_mask_ = parts_.back().text;
    add(name == kMask ? Kind::kMask : Kind::kField, name);
    has_mask = has_mask || name == kMask;
    at = close + 1;
  }
  add(Kind::kText, text.substr(at));
  if (!has_mask) throw wrong_pattern(text, "has no mask");
  if (fields().empty()) throw wrong_pattern(text, "has no field of the data");
}

void Pattern::add(Kind kind, const std::string& text) {
  if (kind != Kind::kText || !text.empty()) parts_.push_back({kind, text});
}

std::vector<std::string> Pattern::fields() const {
  std::vector<std::string> names;
  for (const Part& part : parts_) {
    if (part.kind == Kind::kField &&
        std::find(names.begin(), names.end(), part.text) == names.end())
      names.push_back(part.text);
  }
  return names;
}

Pattern::Filled Pattern::fill(const Record& record, const std::string& mask) const {
  Filled filled;
  for (const Part& part : parts_) {
    const auto start = static_cast<int32_t>(filled.text.size());
    filled.text += part.kind == Kind::kText    ? part.text
                   : part.kind == Kind::kField ? need_text(record, part.text)
                                               : mask;
    const Span bytes{start, static_cast<int32_t>(filled.text.size())};
    if (part.kind == Kind::kField) filled.fields.push_back(bytes);
    if (part.kind == Kind::kMask) filled.mask = bytes;
  }
  return filled;
}

Prompt prompt_of(const Record& record, const Pattern& pattern, int64_t masks, int64_t room,
                 const Tokenizer& tokenizer) {
  std::string mask;
  for (int64_t i = 0; i < masks; ++i) mask += tokenizer.token(tokenizer.mask_id());
  const Pattern::Filled filled = pattern.fill(record, mask);
  Prompt prompt{tokenizer.encode(filled.text), {}, false};
  const std::vector<int64_t> owners = owners_of(prompt.pieces, filled.fields);
  std::vector<int64_t> counts(filled.fields.size());
  for (const int64_t owner : owners) {
    if (owner >= 0) ++counts[owner];
  }
  const auto total = static_cast<int64_t>(owners.size()),
             own = std::count(owners.begin(), owners.end(), -1);
  if (own > room)
    throw Error(ErrorKind::kData, record.where(),
                fmt::format("the pattern without its fields has {} tokens, but only {} fit (see "
                            "train.max_seq_length).",
                            own, room));
  prompt.was_cut = total > room;
  cut_longest(counts, total - room);
  if (prompt.was_cut) prompt.pieces = kept(prompt.pieces, owners, counts);
  const TokenRange at = tokens_touching(prompt.pieces.offsets, filled.mask);
  for (int64_t i = at.begin; i < at.end; ++i) {
    if (prompt.pieces.ids[i] == tokenizer.mask_id()) prompt.masks.push_back(i);
  }
  if (static_cast<int64_t>(prompt.masks.size()) != masks)
    throw Error(ErrorKind::kModel, fmt::format("the tokenizer does not find its own mask token "
                                               "\"{}\" in a text",
                                               mask));
  return prompt;
}

std::vector<int32_t> pieces_of_word(const std::string& word, const Pattern& pattern,
                                    const Tokenizer& tokenizer) {
  for (const std::string& before : {pattern.before_mask(), std::string()}) {
    const std::string text = before + word;
    const Span bytes{static_cast<int32_t>(before.size()), static_cast<int32_t>(text.size())};
    const Encoding pieces = tokenizer.encode(text);
    const TokenRange range = tokens_touching(pieces.offsets, bytes);
    if (!is_clean(pieces, range, bytes, text)) continue;
    std::vector<int32_t> ids(pieces.ids.begin() + range.begin, pieces.ids.begin() + range.end);
    if (std::find(ids.begin(), ids.end(), tokenizer.unk_id()) == ids.end()) return ids;
  }
  throw Error(
      ErrorKind::kUsage,
      fmt::format("task.words: the model's vocabulary has no tokens for \"{}\"; take another "
                  "word",
                  word));
}

}  // namespace hone::prompt
