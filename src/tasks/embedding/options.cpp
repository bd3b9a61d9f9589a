#include "tasks/embedding/options.h"

#include <fmt/format.h>

namespace hone::embedding {

const std::vector<std::string>& option_names(Objective) {
  static const std::vector<std::string> names = {"multiple_negatives", "triplet", "cosine",
                                                 "cosent", "contrastive"};
  return names;
}

const std::vector<std::string>& option_names(Pooling) {
  static const std::vector<std::string> names = {"auto", "mean", "cls", "max"};
  return names;
}

const std::vector<std::string>& option_names(Unit) {
  static const std::vector<std::string> names = {"auto", "true", "false"};
  return names;
}

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  for_each_option(o, OptionReader(section, {"max_seq_length"}));
  o.max_seq_length = max_seq_length;
  for (const auto& [key, value] : {std::pair("scale", o.scale), std::pair("max_score", o.max_score),
                                   std::pair("margin", o.margin)}) {
    if (!(value > 0))
      throw section.error(key, fmt::format("\"{}\" is {}; it must be above 0", key, value));
  }
  if (o.max_negatives < 1)
    throw section.error("max_negatives",
                        fmt::format("\"max_negatives\" is {}; it must be 1 or more. Where rows "
                                    "have negatives that are not to be used, say \"negative: []\"",
                                    o.max_negatives));
  if (o.dense < 0)
    throw section.error("dense",
                        fmt::format("\"dense\" is {}; it is how many numbers a vector is to "
                                    "have, or 0 for the model's own",
                                    o.dense));
  if (o.k < 1) throw section.error("k", fmt::format("\"k\" is {}; it must be 1 or more", o.k));
  return o;
}

std::vector<std::string> without_effect(const Options& o) {
  const Options usual;
  const bool has_scale = o.loss == Objective::kMultipleNegatives || o.loss == Objective::kCosent,
             has_margin = o.loss == Objective::kTriplet || o.loss == Objective::kContrastive;
  std::vector<std::string> sentences;
  const auto tell = [&](const char* key, bool is_given, bool has_effect) {
    if (is_given && !has_effect)
      sentences.push_back(fmt::format("\"{}\" has no meaning with \"loss: {}\"", key,
                                      option_names(o.loss)[static_cast<size_t>(o.loss)]));
  };
  if (o.dense == 0 && o.dense_activation != usual.dense_activation)
    sentences.emplace_back("\"dense_activation\" has no meaning without \"dense\"");
  tell("scale", o.scale != usual.scale, has_scale);
  tell("symmetric", o.symmetric, o.loss == Objective::kMultipleNegatives);
  tell("mask_duplicates", !o.mask_duplicates, o.loss == Objective::kMultipleNegatives);
  tell("margin", o.margin != usual.margin, has_margin);
  tell("distance", o.distance != usual.distance, has_margin);
  return sentences;
}

}  // namespace hone::embedding
