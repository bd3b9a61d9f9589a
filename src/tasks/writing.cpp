#include "tasks/writing.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "data/tokenizer/streamed_text.h"
#include "tasks/causal_decoder.h"
#include "tasks/source_decoder.h"

namespace hone {
namespace {

constexpr const char* kSeed = "seed";
constexpr int64_t kMostSeed = (int64_t{1} << 24) - 1;  // exact as a target

const Target* seed_of(const Sample& sample) {
  const auto found = std::find_if(sample.targets.begin(), sample.targets.end(),
                                  [](const Target& target) { return target.name == kSeed; });
  return found == sample.targets.end() ? nullptr : &*found;
}

}  // namespace

void add_seed(const Record& record, Sample& sample) {
  const auto seed = record.fields.find(kSeed);
  if (seed == record.fields.end() || seed->is_null()) return;
  const bool is_whole = seed->is_number_integer() && *seed >= 0 && *seed <= kMostSeed;
  if (!is_whole)
    throw Error(ErrorKind::kData, record.where(),
                fmt::format("\"{}\" is {}; it must be a whole number from 0 to {}", kSeed,
                            seed->dump(), kMostSeed));
  sample.targets.push_back(
      {kSeed, /*per_token=*/false, 1, {seed->get<float>()}, /*is_input=*/true});
}

std::vector<Prompt> prompts_of(std::span<const Sample> samples) {
  std::vector<Prompt> prompts;
  for (const Sample& sample : samples) {
    prompts.push_back({sample.streams.back().ids});
    if (sample.streams.size() > 1) prompts.back().source = sample.streams.front().ids;
    if (const Target* seed = seed_of(sample))
      prompts.back().seed = static_cast<int64_t>(seed->values.front());
  }
  return prompts;
}

std::unique_ptr<StepDecoder> make_decoder(Network& network, const std::vector<Prompt>& prompts) {
  if (network.backbone().config().encoder_decoder)
    return std::make_unique<SourceDecoder>(network, prompts);
  return std::make_unique<CausalDecoder>(network);
}

std::vector<Generated> write_answers(Network& network, const Tokenizer& tokenizer,
                                     const GenerationSettings& settings,
                                     const std::vector<Prompt>& prompts, const GenerationRun& run) {
  return write_answers(*make_decoder(network, prompts), tokenizer, settings, prompts, run);
}

std::vector<Generated> write_answers(StepDecoder& decoder, const Tokenizer& tokenizer,
                                     const GenerationSettings& settings,
                                     const std::vector<Prompt>& prompts, const GenerationRun& run) {
  if (settings.stop_strings.empty()) return generate(decoder, prompts, settings.tokens, run);
  std::deque<StreamedText> texts;
  for (size_t i = 0; i < prompts.size(); ++i) texts.emplace_back(tokenizer, settings.stop_strings);
  GenerationRun watched = run;
  watched.on_token = [&](size_t prompt, int32_t token) {
    texts[prompt].add(token);
    const bool goes_on = !run.on_token || run.on_token(prompt, token);
    return goes_on && !texts[prompt].is_stopped();
  };
  return generate(decoder, prompts, settings.tokens, watched);
}

std::string text_of(const Generated& answer, const Tokenizer& tokenizer,
                    const std::vector<std::string>& stop_strings) {
  const std::string text = tokenizer.decode(answer.ids, /*skip_special=*/true);
  return text.substr(0, find_first_of(text, stop_strings));
}

Json facts_of(const Generated& answer, const Sample& sample) {
  return {{"finish_reason", finish_reason_name(answer.reason)},
          {"prompt_tokens", sample.streams.front().size()},
          {"answer_tokens", answer.ids.size() + (answer.end ? 1 : 0)}};
}

}  // namespace hone
