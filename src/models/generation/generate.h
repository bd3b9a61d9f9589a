// Answers token by token: greedy, by beam search, by sampling. Knows no task and no tokenizer.
//
// All prompts of a call share forward passes on packed rows: a prompt joins as soon as there is
// room, an answer that has ended leaves at once. An answer depends on its prompt and its seed
// alone, not on its neighbours, their number or order.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/error.h"
#include "models/generation/options.h"

namespace hone {

// What one sequence grows by.
struct NewTokens {
  size_t prompt = 0;              // which prompt the sequence answers: an encoder's source
  std::vector<int32_t> ids = {};  // at least one
};

// A model that predicts the next token of sequences that grow. It keeps what it computed of them
// (KeyValueCache). Not thread-safe.
class StepDecoder {
 public:
  virtual ~StepDecoder() = default;

  // Logits [S, V] fp32 on the CPU of the token behind each of S sequences, which grow by these
  // tokens: first those that are there, in their order, then new ones, which begin here.
  virtual at::Tensor next(const std::vector<NewTokens>& sequences) = 0;
  // Sequences go on in this order: those that are not named leave, one named twice is copied.
  virtual void select(std::span<const int64_t> sequences) = 0;
  // The longest sequence, prompt and answer together.
  virtual int64_t max_positions() const = 0;
  // Whether new sequences may begin while others are there.
  virtual bool may_join() const { return true; }
};

struct Prompt {
  std::vector<int32_t> ids;          // at least one
  std::optional<int64_t> seed = {};  // in place of the options' one
  // What an encoder reads, once for all sequences that answer the prompt; empty: there is none.
  std::vector<int32_t> source = {};
};

enum class FinishReason {
  kEnd,          // a token that ends it
  kStop,         // on_token said so
  kLength,       // max_new_tokens, also where forced_eos_token_id made the last one an end
  kPositions,    // the model has no position for a further token, likewise
  kInterrupted,  // is_stopped said so: what there was by then
};
const char* finish_reason_name(FinishReason reason);  // "end", "stop", "length", …

struct Generated {
  std::vector<int32_t> ids;         // without the token that ends it
  std::optional<int32_t> end = {};  // that token
  FinishReason reason = FinishReason::kInterrupted;
  double score = 0;  // of a beam search: the sum of the tokens' log-probabilities, divided by their
                     // number to the power of length_penalty
  // Why there is no answer: kData: the prompt is empty or too long; kModel: logits that are no
  // numbers; kUsage: every token is forbidden. What there was by then is in `ids`.
  std::optional<Error> failure = {};
};

struct GenerationRun {
  // Real tokens in one forward pass, one prompt at least; eight times as many are kept of all
  // sequences together.
  int64_t max_tokens = 2048;
  // Gets each token of an answer as soon as it is chosen, not the one that ends it; false: the
  // answer ends with this token. A beam search's answer comes all at once when it is found.
  std::function<bool(size_t prompt, int32_t token)> on_token = nullptr;
  // Gets an answer as soon as it has ended; of those that are interrupted, each that has a token.
  std::function<void(size_t prompt, const Generated& answer)> on_end = nullptr;
  std::function<bool()> is_stopped = nullptr;  // asked before each forward pass
};

// Answers in the order of the prompts. Sampling draws from Philox: the number for a token is a
// function of (seed, prompt, its place in the answer) alone, the seed being the prompt's own or the
// options'. Beam search gives the tokens of Transformers'. Error(kUsage) for options that cannot
// be, and for sampling with beams.
std::vector<Generated> generate(StepDecoder& decoder, const std::vector<Prompt>& prompts,
                                const GenerationOptions& options, const GenerationRun& run = {});

}  // namespace hone
