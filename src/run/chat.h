// A conversation with a model that writes, turn by turn: what `hone chat` is on a terminal.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/generation/generate.h"
#include "run/load.h"
#include "tasks/causal_decoder.h"
#include "tasks/pipeline.h"

namespace hone {

// A model that answers conversations, made ready as load_model does: one that hone trained for such
// a task, or any pre-trained one with a chat template. Error(kModel) for other models.
std::unique_ptr<Pipeline> load_writer(const std::string& model, const LoadOptions& options = {});

struct ChatAnswer {
  std::string text;
  Json facts;  // see facts_of (tasks/writing.h)
  FinishReason reason = FinishReason::kEnd;
  size_t left_out = 0;  // exchanges that the model's positions have no room for any more
};

class Conversation {
 public:
  explicit Conversation(Pipeline& pipeline) : pipeline_(pipeline) {}

  // The answer to a message, with all turns before it; both are turns from then on. What the
  // network computed of turns before is kept, as far as this prompt begins with them. `show` gets
  // the text piece by piece, as soon as it is certain. The oldest exchanges are left out for good
  // where the prompt has no room for them. An answer that is stopped before its first token is no
  // turn, nor is one that fails. Error(kData) for a message that is too long, or that the chat
  // template refuses; Error(kModel) where the model's scores are no numbers.
  ChatAnswer ask(const std::string& message, const std::function<void(std::string_view)>& show,
                 const std::function<bool()>& is_stopped);

  void reset() { exchanges_.clear(); }
  void set_system(const std::string& text) { system_ = text; }  // "": no such message
  Json messages() const;  // [{"role", "content"}, …]: a row's messages

 private:
  struct Exchange {
    std::string message, answer;
    bool is_answered = false;
  };

  Json messages_from(size_t first) const;
  std::optional<Sample> prompt_from(size_t first) const;
  Sample prompt(size_t& left_out);
  std::vector<Generated> answers_to(const std::vector<Prompt>& prompts, const GenerationRun& run);
  Generated write(const Sample& prompt, const std::function<void(std::string_view)>& show,
                  const std::function<bool()>& is_stopped);

  Pipeline& pipeline_;
  std::unique_ptr<TurnDecoder> decoder_;  // null: before the first answer, or where none is kept
  std::string system_;
  std::vector<Exchange> exchanges_;
};

}  // namespace hone
