// What the `task` section of training a model that predicts the next token may say.
#pragma once

#include <string>
#include <vector>

#include "tasks/generation_options.h"
#include "tasks/metrics/text/text_options.h"
#include "tasks/options.h"

namespace hone::causal_lm {

constexpr const char* kTaskName = "causal_lm";

// What a row is: a conversation, which the model's chat template turns into a text; a prompt and
// the text that goes on from it, as they are; a text to go on with pre-training.
enum class Form { kMessages, kCompletion, kText };
const std::vector<std::string>& option_names(Form form);

// Which tokens of a conversation have a loss: those of all answers of the assistant, of the last
// one, or all tokens.
enum class TrainOn { kAnswers, kLastAnswer, kAll };
const std::vector<std::string>& option_names(TrainOn train_on);

struct Options {
  Form form = Form::kMessages;
  std::string messages = "messages";      // field of a conversation: [{"role", "content"}, …]
  std::string tools = "tools";            // field of its tools; rows may lack it
  std::string prompt = "prompt";          // field of a prompt, taken as it was read
  std::string completion = "completion";  // field of what goes on from it: a text, or several of
                                          // which the first is learned and all are references
  std::string text = "text";              // field of a text
  TrainOn train_on = TrainOn::kAnswers;
  int64_t turns = 0;  // messages before it that an answer sees, beside the system's; 0: all
  std::string chat_template = {};  // a file, or one that comes with hone; "": the model's own
  int64_t stride = 1;         // tokens that neighbouring windows of a long text share, without loss
  std::string group_by = {};  // field by whose values the report tells losses apart; "": none
  int64_t generate_rows = 100;  // of an evaluation, that get an answer where `metrics` has scores
                                // of texts
  metrics::TextOptions scores = {};
  GenerationSettings generation = {};
  int64_t max_seq_length = 0;  // tokens of a sample

  bool scores_answers() const { return !scores.metrics.empty(); }

  static Options read(Config& section, int64_t max_seq_length);
};

// See tasks/options.h.
template <typename SomeOptions, typename Visitor>
void for_each_option(SomeOptions& o, Visitor&& visit) {
  visit("form", o.form);
  visit("messages", o.messages);
  visit("tools", o.tools);
  visit("prompt", o.prompt);
  visit("completion", o.completion);
  visit("text", o.text);
  visit("train_on", o.train_on);
  visit("turns", o.turns);
  visit("chat_template", o.chat_template);
  visit("stride", o.stride);
  visit("group_by", o.group_by);
  visit("generate_rows", o.generate_rows);
  metrics::for_each_text_option(o.scores, visit);
  for_each_generation_option(o.generation, visit);
  visit("max_seq_length", o.max_seq_length);
}

}  // namespace hone::causal_lm
