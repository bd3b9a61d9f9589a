#include "tasks/seq2seq/rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "tasks/fields.h"
#include "tasks/next_token.h"

namespace hone::seq2seq {
namespace {

bool is_blank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

// Keeps the first `room` tokens.
void cut(Encoding& encoding, int64_t room, bool* truncated) {
  const auto keep = static_cast<size_t>(std::max<int64_t>(room, 1));
  if (encoding.ids.size() <= keep) return;
  encoding.ids.resize(keep);
  encoding.offsets.resize(keep);
  encoding.words.resize(keep);
  if (truncated != nullptr) *truncated = true;
}

Encoding tokens_of(const Record& record, const std::string& field, const std::string& text,
                   const Tokenizer& tokenizer) {
  Encoding encoding = tokenizer.encode(text);
  if (encoding.ids.empty()) throw field_error(record, field, "has no token: the text is empty");
  return encoding;
}

void add_special(Sequence& sequence, int64_t id) {
  sequence.ids.push_back(static_cast<int32_t>(id));
  sequence.segments.push_back(0);
  sequence.texts.push_back(-1);
  sequence.words.push_back(-1);
  sequence.offsets.push_back({0, 0});
}

void add_text(Sequence& sequence, const Encoding& text) {
  sequence.ids.insert(sequence.ids.end(), text.ids.begin(), text.ids.end());
  sequence.segments.resize(sequence.ids.size(), 0);
  sequence.texts.resize(sequence.ids.size(), 0);
  sequence.words.insert(sequence.words.end(), text.words.begin(), text.words.end());
  sequence.offsets.insert(sequence.offsets.end(), text.offsets.begin(), text.offsets.end());
}

// The tokens with the language's and the one that ends them; without a language as the tokenizer
// puts special tokens around a text.
Sequence finished(Encoding text, const Tokenizer& tokenizer, int64_t language, int64_t end,
                  bool language_is_last, int64_t room, bool* truncated) {
  const bool has_language = language >= 0;
  cut(text, room - (has_language ? 2 : tokenizer.special_tokens_added(false)), truncated);
  if (!has_language) return tokenizer.post_process(text);
  Sequence sequence;
  if (!language_is_last) add_special(sequence, language);
  add_text(sequence, text);
  add_special(sequence, end);
  if (language_is_last) add_special(sequence, language);
  return sequence;
}

Sequence source_of(const Record& record, const Reading& r, bool* truncated) {
  const std::string text = source_text(record, r.options);
  return finished(tokens_of(record, r.options.source, r.options.prefix + text, r.source), r.source,
                  r.tokens.source_language, r.tokens.source_end, r.tokens.language_is_last,
                  r.source_room, truncated);
}

// What the decoder is to predict. Where the tokenizer puts no end itself, it takes the last place.
std::vector<int32_t> labels_of(const Record& record, const Reading& r, bool* truncated) {
  const std::string text = references_of(record, r.options).front();
  const SpecialTokens& tokens = r.tokens;
  std::vector<int32_t> ids = finished(tokens_of(record, r.options.target, text, r.target), r.target,
                                      tokens.target_language, tokens.end, tokens.language_is_last,
                                      r.target_room, truncated)
                                 .ids;
  const auto end = static_cast<int32_t>(tokens.end);
  if (tokens.target_language >= 0 || ids.back() == end) return ids;
  if (static_cast<int64_t>(ids.size()) >= r.target_room) {
    ids.resize(static_cast<size_t>(std::max<int64_t>(r.target_room - 1, 1)));
    if (truncated != nullptr) *truncated = true;
  }
  ids.push_back(end);
  return ids;
}

}  // namespace

Json SpecialTokens::json() const {
  return {{"start", start},
          {"end", end},
          {"source_end", source_end},
          {"source_language", source_language},
          {"target_language", target_language},
          {"language_is_last", language_is_last}};
}

SpecialTokens SpecialTokens::from(const Json& json) {
  return {.start = json.at("start").get<int64_t>(),
          .end = json.at("end").get<int64_t>(),
          .source_end = json.at("source_end").get<int64_t>(),
          .source_language = json.at("source_language").get<int64_t>(),
          .target_language = json.at("target_language").get<int64_t>(),
          .language_is_last = json.at("language_is_last").get<bool>()};
}

Sample learned_sample(const Record& record, const Reading& r, bool* truncated) {
  Sample sample = prompt_sample(record, r, truncated);
  const std::vector<int32_t> labels = labels_of(record, r, truncated);
  Sequence& read = sample.streams.back();
  for (size_t i = 0; i + 1 < labels.size(); ++i) add_special(read, labels[i]);
  sample.targets.push_back(
      {kNextToken, /*per_token=*/true, 1, std::vector<float>(labels.begin(), labels.end())});
  return sample;
}

Sample prompt_sample(const Record& record, const Reading& r, bool* truncated) {
  Sample sample;
  sample.streams.push_back(source_of(record, r, truncated));
  add_special(sample.streams.emplace_back(), r.tokens.first());
  return sample;
}

void check_row(const Record& record, const Options& options) {
  source_text(record, options);
  references_of(record, options);
}

std::string source_text(const Record& record, const Options& options) {
  const bool is_list = need_field(record, options.source).is_array();
  const std::string text =
      is_list ? fmt::format("{}", fmt::join(need_strings(record, options.source), " "))
              : need_text(record, options.source);
  if (is_blank(text)) throw field_error(record, options.source, "is empty");
  return text;
}

std::vector<std::string> source_sentences(const Record& record, const Options& options) {
  if (!need_field(record, options.source).is_array()) return {};
  std::vector<std::string> sentences = need_strings(record, options.source);
  std::erase_if(sentences, is_blank);
  return sentences;
}

std::vector<std::string> references_of(const Record& record, const Options& options) {
  const Json& value = need_field(record, options.target);
  std::vector<std::string> texts = value.is_array()
                                       ? need_strings(record, options.target)
                                       : std::vector{need_text(record, options.target)};
  if (texts.empty()) throw field_error(record, options.target, "is a list without a text");
  if (std::any_of(texts.begin(), texts.end(), is_blank))
    throw field_error(record, options.target,
                      texts.size() == 1 ? "is empty" : "has an empty text among its references");
  return texts;
}

}  // namespace hone::seq2seq
