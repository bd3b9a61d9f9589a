#include "models/adapters/soft_prompt.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/random.h"
#include "models/layers/adopt.h"
#include "models/layers/initialise.h"

namespace hone {
namespace {

constexpr const char* kRandom = "RANDOM";
constexpr const char* kWords = "SAMPLE_VOCAB";
constexpr const char* kText = "TEXT";

std::string capitals(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

// Names and defaults are those of peft.PromptTuningConfig.
struct PromptKeys {
  SoftPromptOptions options;

  template <typename Visit>
  void for_each(Visit&& visit) {
    visit("num_virtual_tokens", options.num_virtual_tokens);
    visit("prompt_tuning_init", options.init);
    visit("prompt_tuning_init_text", options.init_text);
  }
  void check(const Config& section) {
    if (options.num_virtual_tokens < 1)
      throw section.error("num_virtual_tokens",
                          fmt::format("\"num_virtual_tokens\" is {}; one token at least",
                                      options.num_virtual_tokens));
    options.init = capitals(options.init);
    if (options.init != kRandom && options.init != kWords && options.init != kText)
      throw section.error("prompt_tuning_init",
                          fmt::format("\"prompt_tuning_init\" is {}; known are {}, {} and {}",
                                      options.init, kRandom, kWords, kText));
    if ((options.init == kText) != !options.init_text.empty())
      throw section.error("prompt_tuning_init_text",
                          "\"prompt_tuning_init: TEXT\" and a text in \"prompt_tuning_init_text\" "
                          "go together");
  }
  // How they began says nothing of what was trained.
  void saved(Json& json) const {
    json["prompt_tuning_init"] = kRandom;
    json.erase("prompt_tuning_init_text");
  }
};

ChosenAdapter read_prompt(Config& section) {
  ChosenAdapter chosen;
  chosen.prompt = read_method_options<PromptKeys>(section, chosen).options;
  return chosen;
}

// Rows of the table: of the text's tokens over and over, or drawn.
at::Tensor chosen_rows(const SoftPromptOptions& options, int64_t words,
                       const std::vector<int32_t>& text, uint64_t seed) {
  RandomStream random(seed);
  at::Tensor rows = at::empty({options.num_virtual_tokens}, at::kLong);
  auto* row = rows.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < options.num_virtual_tokens; ++i)
    row[i] = options.init == kText
                 ? text.at(static_cast<size_t>(i) % text.size())
                 : static_cast<int64_t>(random.below(static_cast<uint64_t>(words)));
  return rows;
}

}  // namespace

SoftPrompt::SoftPrompt(const SoftPromptOptions& options, const at::Tensor& table,
                       const std::vector<int32_t>& text, uint64_t seed) {
  const c10::AutoGradMode no_grad(false);
  at::Tensor begun = at::zeros({options.num_virtual_tokens, table.size(1)});
  if (options.init == kRandom || (options.init == kText && text.empty()))
    fill_normal(begun, 1, seed);  // as torch.nn.Embedding begins
  else
    begun = table.detach().index_select(0, chosen_rows(options, table.size(0), text, seed));
  embeddings_ = adopt_weight(*this, "embedding.weight", begun);
}

// The rate: that of PEFT's examples of sequence classification with soft prompts.
AdapterInfo prompt_tuning() {
  return {.name = "prompt_tuning",
          .peft_type = "PROMPT_TUNING",
          .help = "virtual tokens before each text",
          .learning_rate = 1e-3,
          .read = read_prompt,
          .idle_keys = {"token_dim", "num_transformer_submodules", "num_attention_heads",
                        "num_layers", "prompt_tuning_init", "prompt_tuning_init_text",
                        "tokenizer_name_or_path", "tokenizer_kwargs"}};
}

}  // namespace hone
