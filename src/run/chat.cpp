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

Json Conversation::messages() const { return messages_from(0); }

// Without the exchanges before this one.
Json Conversation::messages_from(size_t first) const {
  Json messages = Json::array();
  if (!system_.empty()) messages.push_back(message_of("system", system_));
  for (size_t i = first; i < exchanges_.size(); ++i) {
    messages.push_back(message_of("user", exchanges_[i].message));
    if (exchanges_[i].is_answered)
      messages.push_back(message_of("assistant", exchanges_[i].answer));
  }
  return messages;
}

// Nothing where the model's positions have no room for it and an answer.
std::optional<Sample> Conversation::prompt_from(size_t first) const {
  Record record;
  record.fields = {{"messages", messages_from(first)}};
  bool is_truncated = false;
  std::vector<Sample> samples = pipeline_.task().encode(record, pipeline_.tokenizer(),
                                                        /*with_targets=*/false, &is_truncated);
  if (is_truncated) return std::nullopt;
  return std::move(samples.front());
}

// Of the conversation so far, without as few of its oldest exchanges as there is no room for: found
// by halves, since each try renders and encodes all of it.
Sample Conversation::prompt(size_t& left_out) {
  if (std::optional<Sample> whole = prompt_from(0)) return std::move(*whole);
  const size_t last = exchanges_.size() - 1;
  std::optional<Sample> fitting = last > 0 ? prompt_from(last) : std::nullopt;
  if (!fitting)
    throw Error(ErrorKind::kData,
                fmt::format("the message is too long: with room for an answer the model has "
                            "positions for {} tokens; \"max_new_tokens\" is {}",
                            pipeline_.config().max_positions,
                            pipeline_.task().generation()->tokens.max_new_tokens));
  size_t too_few = 0, fits = last;  // exchanges that are left out
  while (fits - too_few > 1) {
    const size_t middle = (too_few + fits) / 2;
    std::optional<Sample> found = prompt_from(middle);
    (found ? fits : too_few) = middle;
    if (found) fitting = std::move(found);
  }
  exchanges_.erase(exchanges_.begin(), exchanges_.begin() + static_cast<int64_t>(fits));
  left_out = fits;
  return std::move(*fitting);
}

std::vector<Generated> Conversation::answers_to(const std::vector<Prompt>& prompts,
                                                const GenerationRun& run) {
  const GenerationSettings& settings = *pipeline_.task().generation();
  if (settings.tokens.num_beams > 1 || !TurnDecoder::may_keep(pipeline_.network()))
    return write_answers(pipeline_.network(), pipeline_.tokenizer(), settings, prompts, run);
  if (!decoder_) decoder_ = std::make_unique<TurnDecoder>(pipeline_.network());
  return write_answers(*decoder_, pipeline_.tokenizer(), settings, prompts, run);
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
  std::vector<Generated> answers = answers_to(prompts_of({&prompt, 1}), run);
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
    decoder_.reset();  // it may stand in the middle of an answer
    throw;
  }
}

}  // namespace hone
