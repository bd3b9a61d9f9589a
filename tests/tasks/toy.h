// A tokenizer without files, and records, for tests of tasks.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "base/json.h"
#include "data/record.h"
#include "data/tokenizer/tokenizer.h"

namespace hone::toy {

// Words at spaces, pieces of three bytes, "\x01" words give no piece at all. Ids: 1 [CLS], 2 [SEP],
// pieces from 3.
class ToyTokenizer : public Tokenizer {
 public:
  using Tokenizer::encode;
  void encode(std::string_view text, Encoding& out) const override {
    out = {};
    int32_t word = -1;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find(' ', begin), text.size());
      if (end > begin) ++word;
      for (size_t at = begin; at < end; at += 3) {
        if (text[at] == '\x01') break;
        const size_t stop = std::min(at + 3, end);
        out.ids.push_back(3 + static_cast<int32_t>(
                                  std::hash<std::string_view>()(text.substr(at, stop - at)) % 97));
        out.offsets.push_back({static_cast<int32_t>(at), static_cast<int32_t>(stop)});
        out.words.push_back(word);
      }
      begin = end + 1;
    }
  }
  CutEncoding encode(std::string_view, const TextBorders&) const override { return {}; }
  Sequence post_process(const Encoding& first, const Encoding* second) const override {
    Sequence s;
    const auto special = [&](int32_t id, int32_t segment) { push(s, id, segment, -1, -1, {}); };
    const auto body = [&](const Encoding& e, int32_t segment) {
      for (size_t i = 0; i < e.ids.size(); ++i)
        push(s, e.ids[i], segment, segment, e.words[i], e.offsets[i]);
      special(2, segment);
    };
    special(1, 0);
    body(first, 0);
    if (second != nullptr) body(*second, 1);
    return s;
  }
  int64_t special_tokens_added(bool is_pair) const override { return is_pair ? 3 : 2; }
  std::string normalized(std::string_view text) const override { return std::string(text); }
  std::string decode(const std::vector<int32_t>&, bool) const override { return ""; }
  std::string token(int32_t id) const override { return std::to_string(id); }
  std::optional<int32_t> id(std::string_view) const override { return std::nullopt; }
  int64_t vocab_size() const override { return 100; }
  int32_t pad_id() const override { return 0; }
  int32_t unk_id() const override { return -1; }
  int32_t mask_id() const override { return 3; }
  int64_t max_length() const override { return 0; }
  void save(const std::string&) const override {}

 private:
  static void push(Sequence& s, int32_t id, int32_t segment, int32_t text, int32_t word,
                   Span span) {
    s.ids.push_back(id);
    s.segments.push_back(segment);
    s.texts.push_back(text);
    s.words.push_back(word);
    s.offsets.push_back(span);
  }
};

inline Record record(const char* json, int64_t line = 1) {
  return {Json::parse(json), std::make_shared<const std::string>("data.jsonl"), line};
}

}  // namespace hone::toy
