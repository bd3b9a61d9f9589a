// How a task that writes texts has them written: options of its section beside its own, with what
// the model's generation_config.json says where the section does not.
//
//   struct Options { …; GenerationSettings generation; };
//   for_each_option(o, visit): …; for_each_generation_option(o.generation, visit);
//   Options::read: …; o.generation.finish_reading(section);
//   Task::begin_from: options_.generation.begin_from(folder);
//   Task::state: {"options": options_json(o), "generation_config": o.generation.of_model}
//   Task::write_files: options_.generation.write(folder);
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "base/json.h"
#include "models/generation/options.h"

namespace hone {

struct GenerationSettings {
  GenerationOptions tokens;
  std::vector<std::string> stop_strings = {};  // an answer ends before the first of them

  std::vector<std::string> given = {};  // keys of the section: the model's values do not replace
                                        // theirs
  Json of_model = Json::object();       // generation_config.json; {}: the model has none

  // Notes which keys the section has. Error(kUsage) at the place of a value that cannot be.
  void finish_reading(const Config& section);
  // What the section leaves open is the model's: of generation_config.json, tokens that end an
  // answer otherwise of config.json. What asks there for something that is not done here is told.
  // Error(kModel) for a value that cannot be.
  void begin_from(const std::string& model_folder);
  // generation_config.json, as Transformers reads it: the model's own with the values in force.
  void write(const std::string& folder) const;
};

// See tasks/options.h.
template <typename Settings, typename Visitor>
void for_each_generation_option(Settings& s, Visitor&& visit) {
  auto& o = s.tokens;
  visit("max_new_tokens", o.max_new_tokens);
  visit("min_new_tokens", o.min_new_tokens);
  visit("eos_token_id", o.eos_token_id);
  visit("stop_strings", s.stop_strings);
  visit("num_beams", o.num_beams);
  visit("length_penalty", o.length_penalty);
  visit("early_stopping", o.early_stopping);
  visit("repetition_penalty", o.repetition_penalty);
  visit("presence_penalty", o.presence_penalty);
  visit("no_repeat_ngram_size", o.no_repeat_ngram_size);
  visit("forced_bos_token_id", o.forced_bos_token_id);
  visit("forced_eos_token_id", o.forced_eos_token_id);
  visit("suppress_tokens", o.suppress_tokens);
  visit("begin_suppress_tokens", o.begin_suppress_tokens);
  visit("do_sample", o.do_sample);
  visit("temperature", o.temperature);
  visit("top_k", o.top_k);
  visit("top_p", o.top_p);
  visit("min_p", o.min_p);
  visit("seed", o.seed);
}

}  // namespace hone
