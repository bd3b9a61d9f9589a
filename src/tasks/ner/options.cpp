#include "tasks/ner/options.h"

#include <fmt/format.h>

namespace hone::ner {

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  o.tokens = section.get("tokens", o.tokens);
  o.tags = section.get("tags", o.tags);
  o.text = section.get("text", o.text);
  o.entities = section.get("entities", o.entities);
  o.stride = section.get("stride", o.stride);
  o.scoring = section.choice("scoring", o.scoring, {"default", "strict"});
  o.unknown_labels = section.choice("unknown_labels", o.unknown_labels, {"error", "count"});
  o.max_seq_length = max_seq_length;
  if (o.stride < -1)
    throw section.error("stride", fmt::format("\"stride\" is {}; it must be a number of tokens, 0 "
                                              "or more (-1: a quarter of max_seq_length)",
                                              o.stride));
  if (max_seq_length > 0 && o.stride >= max_seq_length - 2) {
    throw section.error(
        "stride", fmt::format("\"stride\" is {}, but a window holds {} tokens: it must be smaller",
                              o.stride, max_seq_length));
  }
  return o;
}

Json Options::json() const {
  return {{"tokens", tokens},
          {"tags", tags},
          {"text", text},
          {"entities", entities},
          {"stride", stride},
          {"scoring", scoring},
          {"unknown_labels", unknown_labels},
          {"max_seq_length", max_seq_length}};
}

Options Options::from_json(const Json& json) {
  Options o;
  json.at("tokens").get_to(o.tokens);
  json.at("tags").get_to(o.tags);
  json.at("text").get_to(o.text);
  json.at("entities").get_to(o.entities);
  json.at("stride").get_to(o.stride);
  json.at("scoring").get_to(o.scoring);
  json.at("unknown_labels").get_to(o.unknown_labels);
  json.at("max_seq_length").get_to(o.max_seq_length);
  return o;
}

}  // namespace hone::ner
