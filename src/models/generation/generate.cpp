#include "models/generation/generate.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>

#include "models/generation/search.h"

namespace hone {
namespace {

constexpr int64_t kKeptPerPass = 8;  // tokens kept of all sequences, for each token of a pass

[[noreturn]] void refuse_option(const OptionFault& fault) {
  throw Error(ErrorKind::kUsage, fmt::format("\"{}\" {}.", fault.option, fault.message));
}

// An answer that is being written.
struct Writing {
  size_t prompt = 0;
  std::unique_ptr<Search> search;
  int64_t rows = 1;      // sequences that the next forward pass gets
  int64_t reserved = 0;  // tokens that may have to be kept of it
  size_t told = 0;       // tokens that on_token has seen
  std::vector<Extension> extensions = {};
  std::optional<Error> failure = {};
  bool is_stopped = false;  // by on_token

  bool is_over() const { return extensions.empty() || failure || is_stopped; }
};

class Answering {
 public:
  Answering(StepDecoder& decoder, const std::vector<Prompt>& prompts,
            const GenerationOptions& options, const GenerationRun& run)
      : decoder_(decoder),
        prompts_(prompts),
        options_(options),
        run_(run),
        answers_(prompts.size()) {}

  std::vector<Generated> write() {
    for (admit(); !writing_.empty(); admit()) {
      if (run_.is_stopped && run_.is_stopped()) {
        interrupt();
        break;
      }
      extend(decoder_.next(new_tokens()));
      for (Writing& writing : writing_) tell(writing);
      retire();
    }
    return std::move(answers_);
  }

 private:
  void admit();
  std::optional<Error> refusal_of(const Prompt& prompt) const;
  void begin(size_t prompt);
  std::vector<NewTokens> new_tokens() const;
  void extend(const at::Tensor& logits);
  void tell(Writing& writing);
  void end(const Writing& writing);
  void interrupt();
  void retire();
  int64_t room_of(const Prompt& prompt) const {
    return std::min(options_.max_new_tokens, decoder_.max_positions() - length_of(prompt));
  }
  static int64_t length_of(const Prompt& prompt) { return static_cast<int64_t>(prompt.ids.size()); }
  static int64_t source_of(const Prompt& prompt) {
    return static_cast<int64_t>(prompt.source.size());
  }
  // Tokens that may have to be kept of an answer; its beams share a source.
  int64_t reserved_for(const Prompt& prompt) const {
    return source_of(prompt) + options_.num_beams * (length_of(prompt) + room_of(prompt));
  }

  StepDecoder& decoder_;
  const std::vector<Prompt>& prompts_;
  const GenerationOptions& options_;
  const GenerationRun& run_;
  std::vector<Generated> answers_;
  std::vector<Writing> writing_;  // in the order of the decoder's sequences; new ones behind
  size_t next_ = 0;               // the first prompt that has not begun
  int64_t kept_ = 0;              // of `writing_`, together
  bool is_vocabulary_checked_ = false;
};

// Prompts join in their order, as long as the next forward pass and what is kept have room.
void Answering::admit() {
  const bool has_begun = !writing_.empty() && !writing_.front().extensions.empty();
  if (has_begun && !decoder_.may_join()) return;
  int64_t tokens = 0;
  for (const Writing& writing : writing_) tokens += writing.rows;
  for (; next_ < prompts_.size(); ++next_) {
    const Prompt& prompt = prompts_[next_];
    if (std::optional<Error> error = refusal_of(prompt)) {
      answers_[next_].failure = std::move(error);
      if (run_.on_end) run_.on_end(next_, answers_[next_]);
      continue;
    }
    tokens += source_of(prompt) + length_of(prompt);
    const int64_t kept = kept_ + reserved_for(prompt);
    const bool has_room = tokens <= run_.max_tokens && kept <= kKeptPerPass * run_.max_tokens;
    if (!has_room && !writing_.empty()) return;
    begin(next_);
  }
}

std::optional<Error> Answering::refusal_of(const Prompt& prompt) const {
  if (prompt.ids.empty()) return Error(ErrorKind::kData, "the prompt has no token");
  if (room_of(prompt) > 0) return std::nullopt;
  return Error(ErrorKind::kData,
               fmt::format("the prompt has {} tokens, and the model has positions for {}, answer "
                           "included; shorten the prompt",
                           length_of(prompt), decoder_.max_positions()));
}

void Answering::begin(size_t prompt) {
  const int64_t room = room_of(prompts_[prompt]);
  Writing writing;
  writing.prompt = prompt;
  writing.search = make_search({options_, prompts_[prompt], room});
  writing.reserved = reserved_for(prompts_[prompt]);
  kept_ += writing.reserved;
  writing_.push_back(std::move(writing));
}

std::vector<NewTokens> Answering::new_tokens() const {
  std::vector<NewTokens> tokens;
  for (const Writing& writing : writing_) {
    if (writing.extensions.empty())
      tokens.push_back({writing.prompt, prompts_[writing.prompt].ids});
    for (const Extension& extension : writing.extensions)
      tokens.push_back({writing.prompt, {extension.token}});
  }
  return tokens;
}

// Each answer by itself; one that fails does not fail its neighbours.
void Answering::extend(const at::Tensor& logits) {
  if (!is_vocabulary_checked_) {
    if (const auto fault = fault_of_tokens(options_, logits.size(1))) refuse_option(*fault);
    is_vocabulary_checked_ = true;
  }
  std::vector<int64_t> begins = {0};
  for (const Writing& writing : writing_) begins.push_back(begins.back() + writing.rows);
  at::parallel_for(0, static_cast<int64_t>(writing_.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      Writing& writing = writing_[i];
      try {
        writing.extensions = writing.search->extend(logits.narrow(0, begins[i], writing.rows));
      } catch (const Error& error) {
        writing.failure = error;
      }
    }
  });
}

void Answering::tell(Writing& writing) {
  const std::span<const int32_t> tokens = writing.search->settled();
  while (run_.on_token && writing.told < tokens.size() && !writing.is_stopped)
    writing.is_stopped = !run_.on_token(writing.prompt, tokens[writing.told++]);
}

void Answering::end(const Writing& writing) {
  Generated& answer = answers_[writing.prompt];
  answer = writing.search->answer();
  answer.failure = writing.failure;
  if (writing.is_stopped) {
    answer.ids.resize(writing.told);
    answer.end.reset();
    answer.reason = FinishReason::kStop;
  }
  if (run_.on_end) run_.on_end(writing.prompt, answer);
}

// What there is of an answer is kept.
void Answering::interrupt() {
  for (const Writing& writing : writing_) {
    if (!writing.search->answer().ids.empty()) end(writing);
  }
  decoder_.select({});
}

// Answers that have ended leave, with their sequences; the others go on in the order of their
// extensions.
void Answering::retire() {
  std::vector<int64_t> going_on;
  std::vector<Writing> still_writing;
  int64_t first = 0;
  for (Writing& writing : writing_) {
    const int64_t rows = writing.rows;
    if (writing.is_over()) {
      end(writing);
      kept_ -= writing.reserved;
    } else {
      for (const Extension& extension : writing.extensions)
        going_on.push_back(first + extension.sequence);
      writing.rows = static_cast<int64_t>(writing.extensions.size());
      still_writing.push_back(std::move(writing));
    }
    first += rows;
  }
  writing_ = std::move(still_writing);
  std::vector<int64_t> as_they_were(static_cast<size_t>(first));
  std::iota(as_they_were.begin(), as_they_were.end(), int64_t{0});
  if (going_on != as_they_were) decoder_.select(going_on);
}

}  // namespace

const char* finish_reason_name(FinishReason reason) {
  constexpr const char* kNames[] = {"end", "stop", "length", "positions", "interrupted"};
  return kNames[static_cast<size_t>(reason)];
}

std::vector<Generated> generate(StepDecoder& decoder, const std::vector<Prompt>& prompts,
                                const GenerationOptions& options, const GenerationRun& run) {
  if (const auto fault = fault_of(options)) refuse_option(*fault);
  return Answering(decoder, prompts, options, run).write();
}

}  // namespace hone
