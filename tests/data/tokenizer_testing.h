// Small tokenizers written to a folder of their own, and random texts.
#pragma once

#include <rapidcheck/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "data/reader_testing.h"
#include "data/tokenizer/hf_tokenizer.h"
#include "data/tokenizer/tokenizer.h"

namespace hone {

// [UNK] 0, [CLS] 1, [SEP] 2, [PAD] 3, [MASK] 4, then words and parts.
inline const char* kSmallVocabulary =
    "[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\nthe\nun\n##aff\n##able\nplay\n##ing\n,\n.\n!\n中\n国\n##"
    "国\né\ne\ncafe\n##s\n<\n한\nᄒ\n##ᅡ\n##"
    "ᆫ\ni\n##̇\nß\n";

inline const char* kSmallJson =
    R"({"version": "1.0", "truncation": {"max_length": 4}, "padding": null,
  "added_tokens": [{"id": 0, "content": "[UNK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
                   {"id": 1, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
                   {"id": 2, "content": "[SEP]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
  "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
  "pre_tokenizer": {"type": "BertPreTokenizer"},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
    "pair": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
             {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
    "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}},
  "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
  "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 10,
    "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "the": 3, "play": 4, "##ing": 5, "un": 6, "##able": 7, ".": 8, "中": 9}}})";

inline const char* kSmallBpeJson = R"({"version": "1.0", "added_tokens": [
    {"id": 0, "content": "<s>", "special": true, "normalized": true}, {"id": 1, "content": "</s>", "special": true, "normalized": true},
    {"id": 2, "content": "<mask>", "special": true, "normalized": true, "lstrip": true}],
  "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
  "post_processor": {"type": "RobertaProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0], "trim_offsets": true, "add_prefix_space": false},
  "decoder": {"type": "ByteLevel"},
  "model": {"dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false,
    "vocab": {"<s>": 0, "</s>": 1, "<mask>": 2, "t": 3, "h": 4, "e": 5, "Ġ": 6, "th": 7, "the": 8, "Ġthe": 9, "!": 10, "Ã": 11, "©": 12},
    "merges": ["t h", "th e", ["Ġ", "the"]]}})";

inline const char* kSmallUnigramJson = R"({"version": "1.0", "added_tokens": [
    {"id": 0, "content": "<s>", "special": true, "normalized": false}, {"id": 1, "content": "</s>", "special": true, "normalized": false},
    {"id": 2, "content": "<unk>", "special": true, "normalized": false},
    {"id": 9, "content": "<mask>", "special": true, "normalized": true, "lstrip": true}],
  "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
  "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
    {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}]},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}}},
  "decoder": {"type": "Sequence", "decoders": [{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}, {"type": "ByteFallback"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
  "model": {"type": "Unigram", "unk_id": 2, "byte_fallback": true,
    "vocab": [["<s>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁the", -1.5], ["▁", -2.0], ["play", -3.25], ["ing", -3.5], ["e", -4.0], ["<0xC3>", -9.0]]}})";

inline std::shared_ptr<const Tokenizer> load_text(const TemporaryFolder& folder,
                                                  const std::string& name, std::string_view text,
                                                  TokenizerOptions options = {}) {
  return Tokenizer::load(folder.write(name, text), options);
}

inline std::string tokens_of(const Tokenizer& tokenizer, const Encoding& encoding) {
  std::string out;
  for (const int32_t id : encoding.ids) out += (out.empty() ? "" : " ") + tokenizer.token(id);
  return out;
}

inline bool operator==(const Encoding& a, const Encoding& b) {
  return a.ids == b.ids && a.offsets == b.offsets && a.words == b.words;
}

inline void showValue(const Span& span, std::ostream& out) {
  out << '[' << span.start << ", " << span.end << ']';
}
inline std::ostream& operator<<(std::ostream& out, const Span& span) {
  showValue(span, out);
  return out;
}

// A code point of the kinds that tokenizers stumble over; never a surrogate.
inline rc::Gen<char32_t> any_code_point() {
  const auto range = [](char32_t first, char32_t last) {
    return rc::gen::inRange<uint32_t>(first, last + 1);
  };
  const auto to_code = [](uint32_t c) {
    return c >= 0xD800 && c <= 0xDFFF ? U'\uFFFD' : static_cast<char32_t>(c);
  };
  return rc::gen::map(rc::gen::weightedOneOf<uint32_t>(
                          {{8, range(0x20, 0x7E)},
                           {2, range(0, 0xFF)},
                           {2, rc::gen::elementOf(std::vector<uint32_t>{
                                   ' ', '\t', '\n', 0xA0, 0x3000, 0x2028, 0x85, 0xB, 0})},
                           {3, range(0x300, 0x36F)},    // combining marks
                           {2, range(0x100, 0x24F)},    // Latin with accents, U+0130 among them
                           {1, range(0x370, 0x5FF)},    // Greek, Cyrillic, Hebrew with points
                           {1, range(0x600, 0x6FF)},    // Arabic
                           {1, range(0x900, 0xDFF)},    // Indic
                           {1, range(0x1E00, 0x1FFF)},  // Latin and Greek with several accents
                           {1, range(0x2000, 0x2BFF)},  // punctuation, ZWJ, symbols that decompose
                           {2, range(0x4E00, 0x9FFF)},  // Chinese
                           {1, range(0xAC00, 0xD7A3)},  // Hangul
                           {1, range(0xF900, 0xFFFF)},  // compatibility ideographs, U+FFFD
                           {1, range(0x1D150, 0x1D1FF)},  // musical symbols: marks that stay
                           {1, range(0x1F300, 0x1FAFF)},  // emoji
                           {1, range(0x20000, 0x2FFFF)},  // further Chinese
                           {1, range(0, 0x10FFFF)}}),
                      to_code);
}

inline rc::Gen<std::string> any_text() {
  return rc::gen::map(rc::gen::container<std::u32string>(any_code_point()),
                      [](const std::u32string& text) { return to_utf8(text); });
}

}  // namespace hone
