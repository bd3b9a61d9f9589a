// The special tokens around one or two texts: "post_processor" of tokenizer.json. All kinds come
// down to two templates.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/sample.h"
#include "data/tokenizer/json_node.h"

namespace hone {

struct Encoding;

class PostProcessor {
 public:
  // A special token, or the whole of the first or second text.
  struct Part {
    int32_t token = -1;  // -1: a text
    int32_t text = 0;    // which, 0 or 1
    int32_t segment = 0;
  };

  PostProcessor();  // for null: the texts alone, segments 0 and 1

  // BertProcessing, RobertaProcessing, TemplateProcessing, ByteLevel and Sequence; any other is an
  // Error(kModel) that says so.
  explicit PostProcessor(const JsonNode& node);

  Sequence apply(const Encoding& first, const Encoding* second) const;
  int64_t special_tokens(bool is_pair) const;

  // ByteLevel and RobertaProcessing: offsets leave out the blanks at a token's ends, except one
  // that add_prefix_space put there.
  bool trims_offsets() const { return trims_offsets_; }
  bool adds_prefix_space() const { return adds_prefix_space_; }

  std::vector<int32_t> special_ids() const;

 private:
  std::vector<Part> single_, pair_;
  bool trims_offsets_ = false, adds_prefix_space_ = false;

  void read(const JsonNode& node);
  void read_bert(const JsonNode& node);
  void read_roberta(const JsonNode& node);
  void read_template(const JsonNode& node);
};

}  // namespace hone
