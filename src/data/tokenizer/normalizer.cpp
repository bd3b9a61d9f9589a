#include "data/tokenizer/normalizer.h"

#include <fmt/format.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "data/tokenizer/base64.h"
#include "data/tokenizer/charsmap.h"
#include "data/tokenizer/finder.h"
#include "data/tokenizer/unicode.h"

namespace hone {
namespace {

// The small ones are a function each.
class FunctionNormalizer final : public Normalizer {
 public:
  explicit FunctionNormalizer(std::function<void(NormalizedText&)> function)
      : function_(std::move(function)) {}
  void apply(NormalizedText& text) const override { function_(text); }

 private:
  std::function<void(NormalizedText&)> function_;
};

std::unique_ptr<Normalizer> make(std::function<void(NormalizedText&)> function) {
  return std::make_unique<FunctionNormalizer>(std::move(function));
}

std::unique_ptr<Normalizer> make_bert(const JsonNode& node) {
  BertNormalizerOptions options;
  options.clean_text = node.at("clean_text").boolean();
  options.handle_chinese_chars = node.at("handle_chinese_chars").boolean();
  options.lowercase = node.at("lowercase").boolean();
  if (const auto strip = node.find("strip_accents")) options.strip_accents = strip->boolean();
  return std::make_unique<BertNormalizer>(options);
}

std::unique_ptr<Normalizer> make_normalizer_sequence(const JsonNode& node) {
  std::vector<std::shared_ptr<Normalizer>> parts;
  for (const JsonNode& item : node.at("normalizers").items()) {
    if (auto part = make_normalizer(item)) parts.push_back(std::move(part));
  }
  return make([parts](NormalizedText& text) {
    for (const auto& part : parts) part->apply(text);
  });
}

std::unique_ptr<Normalizer> make_replace(const JsonNode& node) {
  return make([finder = Finder(node.at("pattern")),
               by = node.at("content").text()](NormalizedText& text) { text.replace(finder, by); });
}

std::unique_ptr<Normalizer> make_precompiled(const JsonNode& node) {
  const JsonNode map = node.at("precompiled_charsmap");
  const auto bytes = from_base64(map.text());
  if (!bytes) throw map.error("not base64: its letters, in fours");
  const auto table = std::make_shared<Charsmap>(*bytes, Where{map.file()});
  if (node.boolean_or(kLongestKeys, false))
    return make([table](NormalizedText& text) { table->apply_longest(text); });
  return make([table](NormalizedText& text) { table->apply(text); });
}

// What the reference calls Nmt, after the rules of machine translation that SentencePiece has.
void normalize_nmt(NormalizedText& text) {
  text.keep_if([](char32_t c) {
    return !((c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F ||
             c == 0x9F);
  });
  text.map([](char32_t c) {
    const bool is_blank = c == '\t' || c == '\n' || c == '\f' || c == '\r' || c == 0x1680 ||
                          (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                          c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    return is_blank ? U' ' : c;
  });
}

}  // namespace

void BertNormalizer::apply(NormalizedText& text) const {
  if (options_.clean_text) {
    text.keep_if([](char32_t c) {
      return c != 0 && c != 0xFFFD &&
             (c == '\t' || c == '\n' || c == '\r' || !unicode::is_other(c));
    });
    text.map([](char32_t c) { return unicode::is_white_space(c) ? U' ' : c; });
  }
  if (options_.handle_chinese_chars) text.isolate_chinese();
  if (options_.strips_accents()) {
    text.normalize(/*is_compatible=*/false, /*is_composed=*/false);
    text.keep_if([](char32_t c) { return !unicode::is_nonspacing_mark(c); });
  }
  if (options_.lowercase) text.lowercase();
}

std::unique_ptr<Normalizer> make_normalizer(const JsonNode& node) {
  if (node.json().is_null()) return nullptr;
  const std::string type = node.type();
  if (type == "BertNormalizer") return make_bert(node);
  if (type == "Sequence") return make_normalizer_sequence(node);
  if (type == "NFC") return make([](NormalizedText& text) { text.normalize(false, true); });
  if (type == "NFD") return make([](NormalizedText& text) { text.normalize(false, false); });
  if (type == "NFKC") return make([](NormalizedText& text) { text.normalize(true, true); });
  if (type == "NFKD") return make([](NormalizedText& text) { text.normalize(true, false); });
  if (type == "Nmt") return make(normalize_nmt);
  if (type == "Precompiled") return make_precompiled(node);
  if (type == "Lowercase") return make([](NormalizedText& text) { text.lowercase(); });
  if (type == "StripAccents")
    return make([](NormalizedText& text) {
      text.keep_if([](char32_t c) { return !unicode::is_combining_mark(c); });
    });
  if (type == "Strip") {
    return make([left = node.at("strip_left").boolean(), right = node.at("strip_right").boolean(),
                 blanks_alone = node.boolean_or(kBlanksAlone, false)](NormalizedText& text) {
      text.strip(left, right, blanks_alone);
    });
  }
  if (type == "Prepend")
    return make(
        [prefix = node.at("prepend").text()](NormalizedText& text) { text.prepend(prefix); });
  if (type == "Replace") return make_replace(node);
  throw node.at("type").error(fmt::format("\"{}\" is not a supported normalizer", type));
}

}  // namespace hone
