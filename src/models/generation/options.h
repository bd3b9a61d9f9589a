// How an answer is chosen from a model's logits. Names, meanings and defaults are those of
// Transformers' GenerationConfig, where it has them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hone {

// When a beam search has enough ended hypotheses: kFalse: when no running one can be better as it
// stands; kTrue: as soon as there are num_beams of them; kNever: when no running one can become
// better, however long it grows.
enum class EarlyStopping { kFalse, kTrue, kNever };
const std::vector<std::string>& option_names(EarlyStopping);  // "false", "true", "never"

struct GenerationOptions {
  int64_t max_new_tokens = 256;            // the end token counts
  int64_t min_new_tokens = 0;              // so many before a token ends the answer
  std::vector<int64_t> eos_token_id = {};  // each of them ends an answer; none: its length does

  int64_t num_beams = 1;
  double length_penalty = 1;  // a hypothesis' score is divided by its tokens to this power: above 0
                              // longer ones are preferred
  EarlyStopping early_stopping = EarlyStopping::kFalse;

  double repetition_penalty = 1;     // tokens of prompt and answer (Keskar et al. 2019,
                                     // https://arxiv.org/abs/1909.05858): divides a logit above 0,
                                     // multiplies one below
  double presence_penalty = 0;       // taken from the logits of tokens of the answer so far
  int64_t no_repeat_ngram_size = 0;  // no n tokens stand twice in prompt and answer; 0: they may
  int64_t forced_bos_token_id = -1;  // the first token behind a prompt of one; -1: none
  std::vector<int64_t> forced_eos_token_id = {};    // one of them is the last there is room for
  std::vector<int64_t> suppress_tokens = {};        // never chosen
  std::vector<int64_t> begin_suppress_tokens = {};  // not as the first

  bool do_sample = false;  // else the likeliest
  double temperature = 1;  // logits are divided by it; 0: the likeliest, as do_sample false
  int64_t top_k = 50;      // the k likeliest alone (Fan et al. 2018,
                           // https://arxiv.org/abs/1805.04833); 0: all
  double top_p = 1;        // the likeliest that hold this share together, one at least (Holtzman et
                           // al. 2019, https://arxiv.org/abs/1904.09751)
  double min_p = 0;        // those of this share of the likeliest's probability at least (Nguyen et
                           // al. 2024, https://arxiv.org/abs/2407.01082)
  int64_t seed = 42;

  bool samples() const { return do_sample && temperature > 0; }
};

// An option that cannot be, and why: {"top_p", "is 1.5; it must be from 0 to 1"}.
struct OptionFault {
  std::string option, message;
};
// The first of them.
std::optional<OptionFault> fault_of(const GenerationOptions& options);
// The first that names a token which a vocabulary of so many does not have.
std::optional<OptionFault> fault_of_tokens(const GenerationOptions& options, int64_t vocabulary);

}  // namespace hone
