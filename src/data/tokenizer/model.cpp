#include "data/tokenizer/model.h"

#include <fmt/format.h>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/unigram.h"
#include "data/tokenizer/wordpiece.h"

namespace hone {

namespace {

struct Kind {
  const char* type;
  const char* own_key;  // by which it is known in older files, which leave "type" out; looked for
                        // in this order
  std::unique_ptr<Model> (*load)(const JsonNode& model, bool is_byte_level);
};

constexpr Kind kKinds[] = {
    {"BPE", "merges",
     [](const JsonNode& model, bool is_byte_level) -> std::unique_ptr<Model> {
       return Bpe::load(model, is_byte_level);
     }},
    {"WordPiece", "continuing_subword_prefix",
     [](const JsonNode& model, bool) -> std::unique_ptr<Model> { return WordPiece::load(model); }},
    {"Unigram", "unk_id",
     [](const JsonNode& model, bool) -> std::unique_ptr<Model> { return Unigram::load(model); }},
};

const Kind& kind_of(const JsonNode& model) {
  const bool has_type = model.find("type").has_value();
  std::string known;
  for (const Kind& kind : kKinds) {
    if (has_type ? model.type() == kind.type : model.find(kind.own_key).has_value()) return kind;
    known += (known.empty() ? "" : ", ") + std::string(kind.type);
  }
  if (!has_type)
    throw model.error("no \"type\", and nothing else that tells what kind of tokenizer it is");
  throw model.at("type").error(fmt::format(
      "\"{}\" is not a supported kind of tokenizer; these are: {}", model.type(), known));
}

}  // namespace

void require_known_model(const JsonNode& model) { kind_of(model); }

std::unique_ptr<Model> make_model(const JsonNode& model, bool is_byte_level) {
  return kind_of(model).load(model, is_byte_level);
}

Vocabulary read_vocabulary(const JsonNode& vocab) {
  Vocabulary out;
  for (const auto& [token, id] : vocab.object().items()) {
    const int64_t number = JsonNode(id, vocab.file(), fmt::format("model.vocab.{}", token))
                               .integer(0, Vocabulary::kMostIds - 1);
    if (out.has(static_cast<int32_t>(number))) {
      throw vocab.error(fmt::format("\"{}\" and \"{}\" have the same id {}",
                                    out.token(static_cast<int32_t>(number)), token, number));
    }
    out.set(token, static_cast<int32_t>(number));
  }
  if (out.end_id() == 0) throw vocab.error("no token in it");
  return out;
}

void append_json(std::string_view text, std::string& out) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void append_json(const Vocabulary& vocabulary, std::string& out) {
  out += '{';
  bool is_first = true;
  for (int32_t id = 0; id < vocabulary.end_id(); ++id) {
    if (!vocabulary.has(id)) continue;
    if (!is_first) out += ',';
    is_first = false;
    append_json(vocabulary.token(id), out);
    fmt::format_to(std::back_inserter(out), ":{}", id);
  }
  out += '}';
}

bool has_mark_after_other(std::string_view piece, std::string_view mark) {
  size_t at = 0;
  while (piece.substr(at).starts_with(mark)) at += mark.size();
  return piece.find(mark, at) != std::string_view::npos;
}

}  // namespace hone
