#include "data/tokenizer/model.h"

#include <fmt/format.h>

#include "data/tokenizer/bpe.h"
#include "data/tokenizer/wordpiece.h"

namespace hone {

namespace {

// Older files leave "type" out; each kind has a key of its own.
std::string type_of(const JsonNode& model) {
  if (model.find("type")) return model.type();
  if (model.find("merges")) return "BPE";
  if (model.find("continuing_subword_prefix")) return "WordPiece";
  throw model.error("no \"type\", and nothing else that tells what kind of tokenizer it is");
}

}  // namespace

std::unique_ptr<Model> make_model(const JsonNode& model, bool is_byte_level) {
  const std::string type = type_of(model);
  if (type == "WordPiece") return WordPiece::load(model);
  if (type == "BPE") return Bpe::load(model, is_byte_level);
  throw model.at("type").error(fmt::format("\"{}\" is not a supported kind of tokenizer; WordPiece and BPE are", type));
}

Vocabulary read_vocabulary(const JsonNode& vocab) {
  Vocabulary out;
  for (const auto& [token, id] : vocab.object().items()) {
    const int64_t number = JsonNode(id, vocab.file(), fmt::format("model.vocab.{}", token)).integer(0, Vocabulary::kMostIds - 1);
    if (out.has(static_cast<int32_t>(number))) {
      throw vocab.error(fmt::format("\"{}\" and \"{}\" have the same id {}", out.token(static_cast<int32_t>(number)), token, number));
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

}  // namespace hone
