// Answers that a model writes: from samples, which are prompts, to texts.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/record.h"
#include "data/sample.h"
#include "data/tokenizer/tokenizer.h"
#include "models/generation/generate.h"
#include "tasks/generation_options.h"
#include "tasks/network.h"

namespace hone {

// A record's own seed, where its field "seed" has one, as an input of its sample. Error(kData)
// where it is no whole number from 0 to 16,777,215.
void add_seed(const Record& record, Sample& sample);

// The prompts of samples: the ids of their last stream, what an encoder reads of the first where
// there are two, and their own seed.
std::vector<Prompt> prompts_of(std::span<const Sample> samples);

// The network as it writes answers to these prompts. Both outlive it.
std::unique_ptr<StepDecoder> make_decoder(Network& network, const std::vector<Prompt>& prompts);

// Answers to prompts, in their order, each with a source where the network reads one. `network` has
// a CausalLmHead and is not being trained; `tokenizer` is that of what it writes. An answer ends
// with the token that completes a stop string. `run.on_token` sees every token.
std::vector<Generated> write_answers(Network& network, const Tokenizer& tokenizer,
                                     const GenerationSettings& settings,
                                     const std::vector<Prompt>& prompts,
                                     const GenerationRun& run = {});

// The same with a decoder of the caller's.
std::vector<Generated> write_answers(StepDecoder& decoder, const Tokenizer& tokenizer,
                                     const GenerationSettings& settings,
                                     const std::vector<Prompt>& prompts,
                                     const GenerationRun& run = {});

// The text of an answer, without special tokens and up to the first stop string.
std::string text_of(const Generated& answer, const Tokenizer& tokenizer,
                    const std::vector<std::string>& stop_strings);

// What a result says of an answer beside its text: {"finish_reason": "end", "prompt_tokens": 12,
// "answer_tokens": 34}; the token that ends it counts.
Json facts_of(const Generated& answer, const Sample& sample);

}  // namespace hone
