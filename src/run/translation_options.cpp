#include "run/translation_options.h"

#include "tasks/seq2seq/options.h"

namespace hone {
namespace {

// The keys of a section of task options as "key=value". They stay the section's own: what it does
// not name is the saved model's, not a default.
std::vector<std::string> read_task_options(Config& section) {
  if (section.keys().empty()) return {};
  Config probe = section.over(section, {}, {});
  seq2seq::Options::read(probe, 0);
  probe.refuse_unknown();
  const Json values = probe.resolved_json();
  std::vector<std::string> options;
  for (const std::string& key : section.keys()) {
    section.note(key, values.at(key));
    options.push_back(key + "=" + to_text(values.at(key)));
  }
  return options;
}

}  // namespace

TranslationOptions TranslationOptions::read(Config& section) {
  TranslationOptions options;
  options.there.path = section.require("there");
  options.back.path = section.require("back");
  Config there = section.section("there_task"), back = section.section("back_task");
  options.there.task = read_task_options(there);
  options.back.task = read_task_options(back);
  options.cache = section.get("cache", "");
  return options;
}

}  // namespace hone
