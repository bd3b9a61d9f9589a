// A conversation's turns with what was computed of those before.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/adapters/soft_prompt.h"
#include "support/temporary_folder.h"
#include "support/tiny_decoder.h"
#include "tasks/causal_decoder.h"

namespace hone {
namespace {

using TokenIds = std::vector<int32_t>;
using testing_support::TemporaryFolder;

struct Writer {
  std::unique_ptr<Network> network;

  explicit Writer(const std::string& model_type, const Json& changes = Json::object()) {
    const TemporaryFolder folder;
    testing_support::write_tiny_decoder(folder.path(), model_type, changes);
    const ModelConfig config = ModelConfig::load(folder.path());
    const auto backbone = make_backbone(config);
    backbone->initialise(3);
    network = std::make_unique<Network>(backbone, std::make_shared<CausalLmHead>(config));
    network->eval();
  }
  TokenIds alone(const TokenIds& prompt, const GenerationOptions& options) const {
    CausalDecoder decoder(*network);
    return answer(decoder, prompt, options);
  }
  static TokenIds answer(StepDecoder& decoder, const TokenIds& prompt,
                         const GenerationOptions& options) {
    return generate(decoder, {{prompt}}, options).front().ids;
  }
};

GenerationOptions of_six_tokens() {
  GenerationOptions options;
  options.max_new_tokens = 6;
  return options;
}

TokenIds put_together(std::initializer_list<TokenIds> parts) {
  TokenIds all;
  for (const TokenIds& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

const Json kLongRope = {
    {"original_max_position_embeddings", 14},
    {"rope_scaling",
     {{"type", "longrope"}, {"short_factor", {1, 1.1, 1.2}}, {"long_factor", {2, 3, 4}}}}};

class EveryConversation : public testing::TestWithParam<std::pair<const char*, Json>> {};
INSTANTIATE_TEST_SUITE_P(Families, EveryConversation,
                         testing::Values(std::pair("llama", Json::object()),
                                         std::pair("gpt2", Json::object()),
                                         std::pair("mistral", Json::object()),
                                         std::pair("gemma2", Json::object()),
                                         std::pair("phi3", kLongRope)));

// What comes next goes on from the answer, from a part of the prompt, from none of it, or is
// shorter than what is known.
TEST_P(EveryConversation, AnswersAsEachPromptAlone) {
  const Writer writer(GetParam().first, GetParam().second);
  TurnDecoder decoder(*writer.network);
  const GenerationOptions options = of_six_tokens();
  const TokenIds first = {7, 9, 11, 5, 8};
  const TokenIds answer = Writer::answer(decoder, first, options);
  EXPECT_EQ(answer, writer.alone(first, options));
  for (const TokenIds& next :
       {put_together({first, answer, {3, 12, 20}}), put_together({{7, 9, 11}, {30, 31}}),
        TokenIds{7, 9, 11}, TokenIds{7, 9, 11}, TokenIds{22, 23, 24, 25},
        put_together({first, answer, {3, 12, 20}, answer, {6}})})
    EXPECT_EQ(Writer::answer(decoder, next, options), writer.alone(next, options)) << next.size();
}

// With other words for them, tokens that are computed again would have other keys.
TEST(TurnDecoder, TakesWhatIsKnownAsItIs) {
  const c10::AutoGradMode no_grad(false);
  const Writer writer("llama");
  const TokenIds first = {7, 9, 11, 5, 8};
  TurnDecoder decoder(*writer.network);
  const TokenIds next = put_together({first, Writer::answer(decoder, first, of_six_tokens()), {3}});
  const at::Tensor words = writer.network->backbone().word_table();
  for (const int32_t id : first) words[id].neg_();
  CausalDecoder fresh(*writer.network);
  TurnDecoder without(*writer.network);
  const at::Tensor anew = fresh.next({{0, next}});
  EXPECT_TRUE(at::equal(without.next({{0, next}}), anew));
  EXPECT_FALSE(at::equal(decoder.next({{0, next}}), anew));
}

TEST(TurnDecoder, BeginsAnewAfterAPassThatFailed) {
  const Writer writer("llama");
  const GenerationOptions options = of_six_tokens();
  TurnDecoder decoder(*writer.network);
  Writer::answer(decoder, {7, 9, 11}, options);
  EXPECT_ANY_THROW(decoder.next({{0, {7, 9, 1'000'000}}}));
  EXPECT_EQ(Writer::answer(decoder, {7, 9, 12}, options), writer.alone({7, 9, 12}, options));
}

// What is kept begins with virtual tokens, which no text of the next turn names.
TEST(TurnDecoder, KeepsNothingBehindVirtualTokens) {
  const Writer writer("llama");
  EXPECT_TRUE(TurnDecoder::may_keep(*writer.network));
  Backbone& backbone = writer.network->backbone();
  backbone.set_prompt(std::make_shared<SoftPrompt>(SoftPromptOptions{.num_virtual_tokens = 3},
                                                   backbone.word_table(), TokenIds{}, 5));
  EXPECT_FALSE(TurnDecoder::may_keep(*writer.network));
}

class EveryPrecision : public testing::TestWithParam<Precision> {};
INSTANTIATE_TEST_SUITE_P(Precisions, EveryPrecision,
                         testing::Values(Precision::kBf16, Precision::kInt8));

TEST_P(EveryPrecision, AnAnswerDoesNotDependOnItsNeighbours) {
  const Writer writer("llama");
  writer.network->set_precision(GetParam());
  const std::vector<TokenIds> prompts = {{7, 9, 11, 5, 8}, {12}, {20, 21, 22}};
  CausalDecoder decoder(*writer.network);
  std::vector<Prompt> all;
  for (const TokenIds& prompt : prompts) all.push_back({prompt});
  const std::vector<Generated> together = generate(decoder, all, of_six_tokens());
  for (size_t i = 0; i < prompts.size(); ++i)
    EXPECT_EQ(together[i].ids, writer.alone(prompts[i], of_six_tokens())) << i;
}

// 12 tokens and an answer of six go past position 14: from there on all are computed with the other
// divisors, as if the sequence had had them from the start.
TEST(CausalDecoder, ComputesASequenceAnewThatOutgrowsItsAngles) {
  const Writer writer("phi3", kLongRope);
  TokenIds ids = {7, 9, 11, 5, 8, 21, 22, 23, 24, 25, 26, 27};
  CausalDecoder grown(*writer.network);
  at::Tensor logits = grown.next({{0, ids}, {1, {7}}});
  for (int step = 0; step < 5; ++step) {
    const int32_t token = 30 + step;
    ids.push_back(token);
    logits = grown.next({{0, {token}}, {1, {token}}});
    CausalDecoder whole(*writer.network);
    const at::Tensor expected = whole.next({{0, ids}});
    EXPECT_LT((logits[0] - expected[0]).abs().max().item<double>(), 1e-5) << ids.size();
  }
  grown.select(std::vector<int64_t>{1});
  EXPECT_NO_THROW(grown.next({{1, {3}}}));
}

}  // namespace
}  // namespace hone
