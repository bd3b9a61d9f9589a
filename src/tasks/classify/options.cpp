#include "tasks/classify/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "tasks/labels.h"

namespace hone::classify {
namespace {

const std::vector<std::string> kTypes = {"auto", "single", "multi", "regression"};

// A list of names, or the one path of a file that holds them.
std::vector<std::string> label_names(Config& section) {
  std::vector<std::string> names = section.get("labels", std::vector<std::string>{});
  if (names.size() == 1) return read_labels(names.front());
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (std::find(names.begin(), name, *name) != name)
      throw section.error("labels", fmt::format("label \"{}\" stands twice", *name));
  }
  return names;
}

void check(const Options& options, Config& section) {
  if (options.label == "scores")
    throw section.error(
        "label", "results use the name \"scores\" themselves; map the field to another name");
  if (options.threshold <= 0 || options.threshold >= 1)
    throw section.error("threshold", fmt::format("\"threshold\" is {}; it must lie between 0 and 1",
                                                 options.threshold));
  if (options.type == Type::kSingle && !options.label_separator.empty()) {
    throw section.error("label_separator",
                        "is for several labels in one text, but \"type\" is single");
  }
  if (options.type == Type::kRegression && !options.labels.empty())
    throw section.error("labels", "a regression has no labels");
}

}  // namespace

std::string type_name(Type type) { return kTypes[static_cast<size_t>(type)]; }

Type type_named(const std::string& name) {
  return static_cast<Type>(std::find(kTypes.begin(), kTypes.end(), name) - kTypes.begin());
}

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  o.text = section.get("text", o.text);
  o.text_pair = section.get("text_pair", o.text_pair);
  o.label = section.get("label", o.label);
  o.type = type_named(section.choice("type", "auto", kTypes));
  o.label_separator = section.get("label_separator", o.label_separator);
  o.labels = label_names(section);
  o.label_ids_from = section.get("label_ids_from", o.label_ids_from);
  o.threshold = section.get("threshold", o.threshold);
  o.unknown_labels = section.choice("unknown_labels", o.unknown_labels, {"error", "count"});
  o.max_seq_length = max_seq_length;
  check(o, section);
  return o;
}

Json Options::json() const {
  return {{"text", text},
          {"text_pair", text_pair},
          {"label", label},
          {"type", type_name(type)},
          {"label_separator", label_separator},
          {"threshold", threshold},
          {"unknown_labels", unknown_labels},
          {"max_seq_length", max_seq_length}};
}

Options Options::from_json(const Json& json) {
  Options o;
  json.at("text").get_to(o.text);
  json.at("text_pair").get_to(o.text_pair);
  json.at("label").get_to(o.label);
  o.type = type_named(json.at("type").get<std::string>());
  json.at("label_separator").get_to(o.label_separator);
  json.at("threshold").get_to(o.threshold);
  json.at("unknown_labels").get_to(o.unknown_labels);
  json.at("max_seq_length").get_to(o.max_seq_length);
  return o;
}

}  // namespace hone::classify
