#include "tasks/classify/options.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "tasks/labels.h"

namespace hone::classify {
namespace {

void check_names(const std::string& key, const std::vector<std::string>& names, Config& section) {
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (name->empty()) throw section.error(key, fmt::format("an entry of \"{}\" is blank", key));
    if (std::find(names.begin(), name, *name) != name)
      throw section.error(key, fmt::format("label \"{}\" stands twice", *name));
  }
}

// A list of names, or the path of a file that holds them.
std::vector<std::string> label_names(Config& section) {
  if (section.has("labels") && !section.is_list("labels")) {
    const std::string path = section.get("labels", "");
    if (!std::filesystem::exists(path)) {
      throw section.error("labels",
                          fmt::format("there is no file \"{}\" with one label a line{}; a list of "
                                      "labels is written [{}]",
                                      path, looked_from(path), path));
    }
    return read_labels(path);
  }
  std::vector<std::string> names = section.get("labels", std::vector<std::string>{});
  for (std::string& name : names) name = trimmed_label(name);
  check_names("labels", names, section);
  return names;
}

// `label: toxic` is a field; `label: [toxic, insult]` are columns of zeros and ones.
void read_label(Config& section, Options& o) {
  if (!section.is_list("label")) {
    o.label = section.get("label", o.label);
    return;
  }
  o.label_columns = section.get("label", o.label_columns);
  check_names("label", o.label_columns, section);
  if (o.label_columns.empty()) throw section.error("label", "\"label\" names no field");
}

void check_columns(const Options& options, Config& section) {
  if (options.label_columns.empty()) return;
  if (section.has("labels"))
    throw section.error("labels", "the columns of \"label\" name the labels; leave out \"labels\"");
  if (options.type != Type::kMulti && options.type != Type::kAuto)
    throw section.error("label", "several columns are for several labels, but \"type\" is " +
                                     type_name(options.type));
}

void check_format(const Options& options, Config& section) {
  if (options.label_format == Format::kAuto) return;
  if (options.type == Type::kSingle || options.type == Type::kRegression)
    throw section.error("label_format", "is for rows of several labels, but \"type\" is " +
                                            type_name(options.type));
  if (options.label_format == Format::kMultiHot && options.labels.empty())
    throw section.error("label_format",
                        "multi_hot needs \"labels\": their names, in the order of the zeros and "
                        "ones");
}

void check_history(const Options& options, Config& section) {
  if (options.history < 0)
    throw section.error("history", fmt::format("\"history\" is {}; it must be a number of turns, 0 "
                                               "or more",
                                               options.history));
  if (options.history > 0 && !(options.text_pair + options.aspect).empty())
    throw section.error("history",
                        "the turns before a text are the first of a pair, beside which there is no "
                        "\"text_pair\" and no \"aspect\"");
}

void check_balance(const Options& options, Config& section) {
  options.balance.check(section);
  const bool is_of_one = options.type == Type::kAuto || options.type == Type::kSingle;
  if (options.balance.counts_rows() && !is_of_one)
    throw section.error(
        options.balance.logit_adjustment != 0 ? "logit_adjustment" : "class_weights",
        "is for one label a row, but \"type\" is " + type_name(options.type));
  if (options.balance.focal_gamma > 0 && options.type == Type::kRegression)
    throw section.error("focal_gamma", "is for classes, but \"type\" is regression");
}

void check(const Options& options, Config& section) {
  if (options.label == "scores")
    throw section.error(
        "label", "results use the name \"scores\" themselves; map the field to another name");
  if (options.threshold && (*options.threshold <= 0 || *options.threshold >= 1))
    throw section.error("threshold",
                        fmt::format("\"threshold\" is {}; it must lie between 0 and 1, "
                                    "or be auto",
                                    *options.threshold));
  const bool has_several = options.type == Type::kAuto || options.type == Type::kMulti;
  if (!has_several && !options.label_separator.empty()) {
    throw section.error("label_separator", "is for several labels in one text, but \"type\" is " +
                                               type_name(options.type));
  }
  if (options.temperature && !(*options.temperature > 0 && *options.temperature <= 1000))
    throw section.error(
        "temperature",
        fmt::format("\"temperature\" is {}; it must be above 0, or be auto", *options.temperature));
  if (options.type == Type::kRegression && !options.labels.empty())
    throw section.error("labels", "a regression has no labels");
  if (!options.aspect.empty() && !options.text_pair.empty())
    throw section.error("aspect",
                        "an aspect is a part of one text, but \"text_pair\" names a second");
  check_balance(options, section);
  check_history(options, section);
  check_columns(options, section);
  check_format(options, section);
}

}  // namespace

const std::vector<std::string>& option_names(Type) {
  static const std::vector<std::string> names = {"auto", "single", "multi", "regression"};
  return names;
}

const std::vector<std::string>& option_names(AspectAs) {
  static const std::vector<std::string> names = {"pair", "mark"};
  return names;
}

const std::vector<std::string>& option_names(Format) {
  static const std::vector<std::string> names = {"auto", "list", "multi_hot"};
  return names;
}

std::string type_name(Type type) { return option_names(type)[static_cast<size_t>(type)]; }

Type type_named(const std::string& name) {
  return option_named<Type>(name, option_names(Type::kAuto));
}

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  for_each_option(o, OptionReader(section, {"label", "label_columns", "max_seq_length"}));
  read_label(section, o);
  o.labels = label_names(section);
  o.label_ids_from = section.get("label_ids_from", o.label_ids_from);
  o.max_seq_length = max_seq_length;
  check(o, section);
  if (!o.label_columns.empty()) {
    o.labels = o.label_columns;
    o.type = Type::kMulti;
  }
  return o;
}

}  // namespace hone::classify
