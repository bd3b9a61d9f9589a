// Words that a masked language model expects in a word's place (Li et al. 2020, "BERT-Attack",
// https://arxiv.org/abs/2004.09984; Garg and Ramakrishnan 2020, "BAE",
// https://arxiv.org/abs/2004.01970). They fit the text, but may mean something else: look at the
// examples in the report.
#include <algorithm>

#include "base/hub.h"
#include "data/word_units.h"
#include "run/perturb/perturbation.h"
#include "tasks/pipeline.h"

namespace hone {
namespace {

constexpr const char* kText = "text";
constexpr int64_t kOffers = 12;  // tokens; pieces of words among them are passed over

std::unique_ptr<Pipeline> load_masked_model(const std::string& model) {
  const std::string folder = resolve_model(model);
  const std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::load(folder);
  Config options = Config::parse(fmt::format("{{text: {}, top_k: {}}}", kText, kOffers), "mlm");
  std::shared_ptr<Task> task = task_named("mlm").make(options, 0);
  task->learn_tokens(Record{Json{{kText, ""}}, nullptr}, *tokenizer);
  return Pipeline::create(folder, tokenizer, task, /*seed=*/0, {}, {}, {.needs_head = true});
}

// One whole word, and nothing else.
bool is_word(const std::string& token) {
  const std::vector<Span> words = words_of_text(token);
  return words.size() == 1 && words.front() == Span{0, static_cast<int32_t>(token.size())};
}

std::string without_blanks(const std::string& token) {
  const size_t begin = token.find_first_not_of(' ');
  return begin == std::string::npos ? "" : token.substr(begin);
}

class MaskedWords : public Perturbation {
 public:
  explicit MaskedWords(const std::string& model)
      : pipeline_(load_masked_model(model)),
        mask_(pipeline_->tokenizer().token(pipeline_->tokenizer().mask_id())) {}

  std::vector<std::string> others(std::string_view text, Span word, RandomStream&) const override {
    std::string asked(text);
    asked.replace(static_cast<size_t>(word.start), static_cast<size_t>(word.end - word.start),
                  mask_);
    const std::vector<Json> results = pipeline_->predict({Record{Json{{kText, asked}}, nullptr}});
    const Json masks = results.front().value("masks", Json::array());
    std::vector<std::string> all;
    if (masks.size() != 1) return all;  // the text spells masks of its own: which one is meant?
    for (const Json& offer : masks.front()) {
      std::string other = without_blanks(offer.at("token").get<std::string>());
      const bool is_new = std::find(all.begin(), all.end(), other) == all.end();
      if (is_word(other) && is_new && other != bytes_of(text, word))
        all.push_back(std::move(other));
    }
    return all;
  }

 private:
  std::unique_ptr<Pipeline> pipeline_;
  std::string mask_;
};

}  // namespace

PerturbationInfo masked_words() {
  return {"masked", "words that the masked language model of --masked expects there",
          &PerturbationFiles::masked,
          [](const PerturbationFiles& files) -> std::unique_ptr<Perturbation> {
            return std::make_unique<MaskedWords>(files.masked);
          }};
}

}  // namespace hone
