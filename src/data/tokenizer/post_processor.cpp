#include "data/tokenizer/post_processor.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/vocabulary.h"

namespace hone {
namespace {

using Part = PostProcessor::Part;

// A template may name a list of ids any number of times: a small file, and no end of tokens.
constexpr size_t kMostParts = 1000;

int32_t read_id(const JsonNode& node) {
  return static_cast<int32_t>(node.integer(0, Vocabulary::kMostIds - 1));
}

// ["[SEP]", 102]
int32_t read_named_id(const JsonNode& node) {
  const std::vector<JsonNode> items = node.items();
  if (items.size() != 2) throw node.error("expected a token and its id");
  return read_id(items[1]);
}

// {"SpecialToken": {"id": "[CLS]", "type_id": 0}} or {"Sequence": {"id": "A", "type_id": 0}}
void read_part(const JsonNode& node, const JsonNode& special_tokens, bool is_pair,
               std::vector<Part>& out) {
  if (const auto sequence = node.find("Sequence")) {
    const std::string id = sequence->at("id").text();
    if (id != "A" && id != "B")
      throw sequence->at("id").error(fmt::format("\"{}\" is neither A nor B", id));
    if (id == "B" && !is_pair) throw sequence->at("id").error("a single text has no B");
    out.push_back({-1, id == "B" ? 1 : 0, read_id(sequence->at("type_id"))});
    return;
  }
  const JsonNode special = node.at("SpecialToken");
  for (const JsonNode& id : special_tokens.at(special.at("id").text()).at("ids").items()) {
    if (out.size() >= kMostParts) throw special.error("more special tokens than a text can have");
    out.push_back({read_id(id), 0, read_id(special.at("type_id"))});
  }
}

std::vector<Part> read_parts(const JsonNode& list, const JsonNode& special_tokens, bool is_pair) {
  std::vector<Part> out;
  for (const JsonNode& item : list.items()) read_part(item, special_tokens, is_pair, out);
  return out;
}

void append(const Encoding& text, const Part& part, Sequence& out) {
  out.ids.insert(out.ids.end(), text.ids.begin(), text.ids.end());
  out.offsets.insert(out.offsets.end(), text.offsets.begin(), text.offsets.end());
  out.words.insert(out.words.end(), text.words.begin(), text.words.end());
  out.segments.insert(out.segments.end(), text.ids.size(), part.segment);
  out.texts.insert(out.texts.end(), text.ids.size(), part.text);
}

int64_t count_special(const std::vector<Part>& parts) {
  return std::count_if(parts.begin(), parts.end(),
                       [](const Part& part) { return part.token >= 0; });
}

}  // namespace

PostProcessor::PostProcessor() : single_{{-1, 0, 0}}, pair_{{-1, 0, 0}, {-1, 1, 1}} {}

PostProcessor::PostProcessor(const JsonNode& node) : PostProcessor() { read(node); }

void PostProcessor::read(const JsonNode& node) {
  if (node.json().is_null()) return;
  const std::string type = node.type();
  if (type == "BertProcessing") return read_bert(node);
  if (type == "RobertaProcessing") return read_roberta(node);
  if (type == "TemplateProcessing") return read_template(node);
  if (type == "ByteLevel") {
    trims_offsets_ = node.at("trim_offsets").boolean();
    adds_prefix_space_ = node.at("add_prefix_space").boolean();
    return;
  }
  if (type == "Sequence") {
    for (const JsonNode& item : node.at("processors").items()) read(item);
    return;
  }
  throw node.at("type").error(fmt::format("\"{}\" is not a supported post-processor", type));
}

void PostProcessor::read_bert(const JsonNode& node) {
  const Part cls{read_named_id(node.at("cls")), 0, 0};
  const int32_t sep = read_named_id(node.at("sep"));
  single_ = {cls, {-1, 0, 0}, {sep, 0, 0}};
  pair_ = {cls, {-1, 0, 0}, {sep, 0, 0}, {-1, 1, 1}, {sep, 0, 1}};
}

void PostProcessor::read_roberta(const JsonNode& node) {
  const Part cls{read_named_id(node.at("cls")), 0, 0}, sep{read_named_id(node.at("sep")), 0, 0};
  single_ = {cls, {-1, 0, 0}, sep};
  pair_ = {cls, {-1, 0, 0}, sep, sep, {-1, 1, 0}, sep};  // RoBERTa has one segment only
  trims_offsets_ = node.at("trim_offsets").boolean();
  adds_prefix_space_ = node.at("add_prefix_space").boolean();
}

void PostProcessor::read_template(const JsonNode& node) {
  const JsonNode special_tokens = node.at("special_tokens");
  single_ = read_parts(node.at("single"), special_tokens, false);
  pair_ = read_parts(node.at("pair"), special_tokens, true);
}

Sequence PostProcessor::apply(const Encoding& first, const Encoding* second) const {
  const std::vector<Part>& parts = second == nullptr ? single_ : pair_;
  const size_t size =
      first.ids.size() + (second == nullptr ? 0 : second->ids.size()) + parts.size();
  Sequence out;
  out.ids.reserve(size);
  out.segments.reserve(size);
  out.texts.reserve(size);
  out.words.reserve(size);
  out.offsets.reserve(size);
  for (const Part& part : parts) {
    if (part.token < 0) {
      append(part.text == 0 ? first : *second, part, out);
      continue;
    }
    out.ids.push_back(part.token);
    out.segments.push_back(part.segment);
    out.texts.push_back(-1);
    out.words.push_back(-1);
    out.offsets.push_back({0, 0});
  }
  return out;
}

std::vector<int32_t> PostProcessor::special_ids() const {
  std::vector<int32_t> out;
  for (const auto* parts : {&single_, &pair_}) {
    for (const Part& part : *parts) {
      if (part.token >= 0) out.push_back(part.token);
    }
  }
  return out;
}

int64_t PostProcessor::special_tokens(bool is_pair) const {
  return count_special(is_pair ? pair_ : single_);
}

}  // namespace hone
