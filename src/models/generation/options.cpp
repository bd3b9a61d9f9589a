#include "models/generation/options.h"

#include <fmt/format.h>

#include <initializer_list>
#include <limits>

namespace hone {
namespace {

constexpr int64_t kMostBeams = 1000;
constexpr double kLeastTemperature = 1e-6;  // logits divided by less are no fp32 numbers

// Where `value` lies outside of [least, most]; a NaN lies nowhere.
template <typename Number>
std::optional<OptionFault> outside(const char* option, Number value, Number least, Number most,
                                   const char* range) {
  if (value >= least && value <= most) return std::nullopt;
  return OptionFault{option, fmt::format("is {}; it must be {}", value, range)};
}

std::optional<OptionFault> missing_token(const char* option, const std::vector<int64_t>& tokens,
                                         int64_t vocabulary) {
  for (const int64_t token : tokens) {
    if (token < 0 || token >= vocabulary)
      return OptionFault{option, fmt::format("names the token {}, but the model has tokens 0 to {}",
                                             token, vocabulary - 1)};
  }
  return std::nullopt;
}

std::optional<OptionFault> first_of(std::initializer_list<std::optional<OptionFault>> faults) {
  for (const auto& fault : faults) {
    if (fault) return fault;
  }
  return std::nullopt;
}

std::optional<OptionFault> fault_of_lengths(const GenerationOptions& o) {
  constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
  auto fault = first_of(
      {outside("max_new_tokens", o.max_new_tokens, int64_t{1}, kAny, "1 or more"),
       outside("min_new_tokens", o.min_new_tokens, int64_t{0}, kAny, "0 or more"),
       outside("no_repeat_ngram_size", o.no_repeat_ngram_size, int64_t{0}, kAny, "0 or more")});
  if (!fault && o.min_new_tokens > o.max_new_tokens)
    fault = OptionFault{"min_new_tokens", fmt::format("is {}, more than max_new_tokens, {}",
                                                      o.min_new_tokens, o.max_new_tokens)};
  return fault;
}

std::optional<OptionFault> fault_of_sampling(const GenerationOptions& o) {
  constexpr double kMost = std::numeric_limits<float>::max();
  if (o.samples() && o.num_beams > 1)
    return OptionFault{"do_sample",
                       "is true, and num_beams above 1: sampling or beam search, not "
                       "both"};
  if (o.temperature != 0) {
    if (auto fault = outside("temperature", o.temperature, kLeastTemperature, kMost,
                             "0 (the likeliest token), or 0.000001 or more"))
      return fault;
  }
  return first_of(
      {outside("top_k", o.top_k, int64_t{0}, std::numeric_limits<int64_t>::max(), "0 or more"),
       outside("top_p", o.top_p, 0.0, 1.0, "from 0 to 1"),
       outside("min_p", o.min_p, 0.0, 1.0, "from 0 to 1")});
}

}  // namespace

const std::vector<std::string>& option_names(EarlyStopping) {
  static const std::vector<std::string> names = {"false", "true", "never"};
  return names;
}

std::optional<OptionFault> fault_of(const GenerationOptions& o) {
  constexpr double kMost = std::numeric_limits<float>::max();
  return first_of(
      {fault_of_lengths(o),
       outside("num_beams", o.num_beams, int64_t{1}, kMostBeams, "from 1 to 1000"),
       outside("length_penalty", o.length_penalty, -100.0, 100.0, "from -100 to 100"),
       outside("repetition_penalty", o.repetition_penalty,
               static_cast<double>(std::numeric_limits<float>::min()), kMost, "above 0"),
       outside("presence_penalty", o.presence_penalty, -kMost, kMost, "a number"),
       outside("seed", o.seed, int64_t{0}, std::numeric_limits<int64_t>::max(), "0 or more"),
       fault_of_sampling(o)});
}

std::optional<OptionFault> fault_of_tokens(const GenerationOptions& o, int64_t vocabulary) {
  const std::vector<int64_t> first =
      o.forced_bos_token_id == -1 ? std::vector<int64_t>{} : std::vector{o.forced_bos_token_id};
  return first_of({missing_token("eos_token_id", o.eos_token_id, vocabulary),
                   missing_token("forced_bos_token_id", first, vocabulary),
                   missing_token("forced_eos_token_id", o.forced_eos_token_id, vocabulary),
                   missing_token("suppress_tokens", o.suppress_tokens, vocabulary),
                   missing_token("begin_suppress_tokens", o.begin_suppress_tokens, vocabulary)});
}

}  // namespace hone
