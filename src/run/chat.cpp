#include "run/chat.h"

#include <fmt/format.h>

#include <filesystem>
#include <string_view>

#include "base/hub.h"
#include "data/tokenizer/streamed_text.h"
#include "tasks/manifest.h"
#include "tasks/writing.h"

namespace hone {
namespace {

constexpr const char* kTask = "causal_lm";  // of a model that has no task of its own

Json message_of(const char* role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

}  // namespace

std::unique_ptr<Pipeline> load_writer(const std::string& model, const LoadOptions& options) {
  const std::string folder = resolve_model(model);
  if (!std::filesystem::exists(manifest_path(folder)))
    return begin_model(folder, task_named(kTask), options);
  auto pipeline = load_model(folder, options);
  if (pipeline->task().generation() == nullptr)
    throw Error(ErrorKind::kModel, {folder},
                fmt::format("the model was trained for the task {}: it writes no answers. Take one "
                            "of the task {}, or a pre-trained model that has a chat template.",
                            pipeline->info().name, kTask));
  if (pipeline->info().name != std::string_view(kTask))
    throw Error(
        ErrorKind::kModel, {folder},
        fmt::format("the model was trained for the task {}: it holds no conversations. Take "
                    "one of the task {}, or ask it with hone predict.",
                    pipeline->info().name, kTask));
  return pipeline;
}

Json Conversation::messages() const {
  Json messages = Json::array();
  if (!system_.empty()) messages.push_back(message_of("system", system_));
  for (const Exchange& exchange : exchanges_) {
    messages.push_back(message_of("user", exchange.message));
    if (exchange.is_answered) messages.push_back(message_of("assistant", exchange.answer));
  }
  return messages;
}

// Of the conversation so far, with as many of its exchanges as there is room for.
Sample Conversation::prompt(size_t& left_out) {
  for (;; exchanges_.erase(exchanges_.begin()), ++left_out) {
    Record record;
    record.fields = {{"messages", messages()}};
    bool is_truncated = false;
    std::vector<Sample> samples = pipeline_.task().encode(record, pipeline_.tokenizer(),
                                                          /*with_targets=*/false, &is_truncated);
    if (!is_truncated) return std::move(samples.front());
    if (exchanges_.size() == 1)
      throw Error(ErrorKind::kData,
                  fmt::format("the message is too long: with room for an answer the model has "
                              "positions for {} tokens; \"max_new_tokens\" is {}",
                              pipeline_.config().max_positions,
                              pipeline_.task().generation()->tokens.max_new_tokens));
  }
}

Generated Conversation::write(const Sample& prompt,
                              const std::function<void(std::string_view)>& show,
                              const std::function<bool()>& is_stopped) {
  const GenerationSettings& settings = *pipeline_.task().generation();
  StreamedText text(pipeline_.tokenizer(), settings.stop_strings);
  GenerationRun run;
  run.on_token = [&](size_t, int32_t token) {
    show(text.add(token));
    return true;
  };
  run.is_stopped = is_stopped;
  std::vector<Generated> answers = write_answers(pipeline_.network(), pipeline_.tokenizer(),
                                                 settings, prompts_of({&prompt, 1}), run);
  if (answers.front().failure) throw *answers.front().failure;
  show(text.finish());
  return std::move(answers.front());
}

ChatAnswer Conversation::ask(const std::string& message,
                             const std::function<void(std::string_view)>& show,
                             const std::function<bool()>& is_stopped) {
  exchanges_.push_back({message, ""});
  try {
    ChatAnswer answer;
    const Sample sample = prompt(answer.left_out);
    const Generated written = write(sample, show, is_stopped);
    answer.text =
        text_of(written, pipeline_.tokenizer(), pipeline_.task().generation()->stop_strings);
    answer.facts = facts_of(written, sample);
    answer.reason = written.reason;
    exchanges_.back().answer = answer.text;
    exchanges_.back().is_answered = true;
    if (written.ids.empty() && !written.end) exchanges_.pop_back();
    return answer;
  } catch (...) {
    exchanges_.pop_back();
    throw;
  }
}

}  // namespace hone
