#include "tasks/prompt/options.h"

#include <fmt/format.h>

#include <map>

#include "tasks/labels.h"

namespace hone::prompt {
namespace {

LabelWords read_words(Config& section, const std::string& label) {
  LabelWords entry{label, section.get(label, std::vector<std::string>{})};
  if (entry.words.empty())
    throw section.error(label, fmt::format("label \"{}\" has no word", label));
  for (std::string& word : entry.words) {
    word = trimmed_label(word);
    if (word.empty())
      throw section.error(label, fmt::format("label \"{}\" has a blank word", label));
  }
  return entry;
}

// A word says which label is meant: it is of one.
void refuse_shared_words(const std::vector<LabelWords>& all, Config& section) {
  std::map<std::string, std::string> seen;
  for (const LabelWords& entry : all) {
    for (const std::string& word : entry.words) {
      const auto [known, is_new] = seen.emplace(word, entry.label);
      if (!is_new)
        throw section.error(entry.label, fmt::format("the word \"{}\" stands for \"{}\" and for "
                                                     "\"{}\"",
                                                     word, known->second, entry.label));
    }
  }
}

void check_pattern(const std::string& pattern, Config& section) {
  try {
    Pattern{pattern};
  } catch (const Error& error) {
    throw section.error("pattern", error.message());
  }
}

}  // namespace

Options Options::read(Config& section, int64_t max_seq_length) {
  Options o;
  for_each_option(o, OptionReader(section, {"max_seq_length"}));
  o.max_seq_length = max_seq_length;
  check_pattern(o.pattern, section);
  Config words = section.section("words");
  for (const std::string& label : words.keys()) o.words.push_back(read_words(words, label));
  if (o.words.size() == 1)
    throw section.error("words", "\"words\" names one label; there must be two at least");
  refuse_shared_words(o.words, words);
  if (o.label == "scores")
    throw section.error(
        "label", "results use the name \"scores\" themselves; map the field to another name");
  return o;
}

Options Options::from_json(const Json& json) {
  auto o = options_from<Options>(json);
  for (const auto& [label, words] : json.at("words").items())
    o.words.push_back({label, words.get<std::vector<std::string>>()});
  return o;
}

Json Options::json() const {
  Json all = options_json(*this);
  Json& by_label = all["words"] = Json::object();
  for (const LabelWords& entry : words) by_label[entry.label] = entry.words;
  return all;
}

std::vector<std::string> Options::labels() const {
  std::vector<std::string> names;
  for (const LabelWords& entry : words) names.push_back(entry.label);
  return names;
}

}  // namespace hone::prompt
