#include "data/tokenizer/normalizer.h"

#include <fmt/format.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

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
  const JsonNode pattern = node.at("pattern");
  const auto fixed = pattern.find("String");
  if (!fixed)
    throw pattern.error(
        "only a fixed string (\"String\") can be replaced; a regular expression is not supported");
  return make([from = fixed->text(), to = node.at("content").text()](NormalizedText& text) {
    text.replace(from, to);
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
  if (type == "Lowercase") return make([](NormalizedText& text) { text.lowercase(); });
  if (type == "StripAccents")
    return make([](NormalizedText& text) {
      text.keep_if([](char32_t c) { return !unicode::is_combining_mark(c); });
    });
  if (type == "Strip") {
    return make([left = node.at("strip_left").boolean(), right = node.at("strip_right").boolean()](
                    NormalizedText& text) { text.strip(left, right); });
  }
  if (type == "Prepend")
    return make(
        [prefix = node.at("prepend").text()](NormalizedText& text) { text.prepend(prefix); });
  if (type == "Replace") return make_replace(node);
  throw node.at("type").error(fmt::format("\"{}\" is not a supported normalizer", type));
}

}  // namespace hone
