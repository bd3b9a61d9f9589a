#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "models/generation/generate.h"
#include "models/generation/logit_rules.h"
#include "support/errors.h"

namespace hone {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing_support::error_of;

using Ids = std::vector<int32_t>;
using Scores = std::vector<float>;
using Script = std::function<Scores(const Ids& ids)>;  // logits after these tokens

constexpr float kNever = -std::numeric_limits<float>::infinity();

// A model whose logits are a function of all tokens so far.
class ScriptedDecoder : public StepDecoder {
 public:
  explicit ScriptedDecoder(Script script, int64_t positions = 1000)
      : script_(std::move(script)), positions_(positions) {}

  at::Tensor next(const std::vector<NewTokens>& sequences) override {
    EXPECT_GE(sequences.size(), sequences_.size());
    sequences_.resize(sequences.size());
    rows_per_pass.push_back(sequences.size());
    tokens_per_pass.push_back(0);
    Scores all;
    for (size_t i = 0; i < sequences.size(); ++i) {
      EXPECT_FALSE(sequences[i].ids.empty());
      tokens_per_pass.back() += sequences[i].ids.size();
      sequences_[i].insert(sequences_[i].end(), sequences[i].ids.begin(), sequences[i].ids.end());
      EXPECT_LE(static_cast<int64_t>(sequences_[i].size()), positions_);
      const Scores scores = script_(sequences_[i]);
      all.insert(all.end(), scores.begin(), scores.end());
    }
    return at::tensor(all, at::kFloat).view({static_cast<int64_t>(sequences.size()), -1});
  }
  void select(std::span<const int64_t> sequences) override {
    std::vector<Ids> chosen;
    for (const int64_t sequence : sequences) chosen.push_back(sequences_.at(sequence));
    sequences_ = std::move(chosen);
  }
  int64_t max_positions() const override { return positions_; }
  bool may_join() const override { return joins; }

  bool joins = true;

  std::vector<size_t> rows_per_pass, tokens_per_pass;

 private:
  Script script_;
  int64_t positions_;
  std::vector<Ids> sequences_;
};

// Logits drawn from the tokens so far, the same each time.
Script random_script(size_t vocabulary, uint64_t key, double scale = 2) {
  return [=](const Ids& ids) {
    uint64_t of_ids = key;
    for (const int32_t id : ids) of_ids = mix(of_ids, static_cast<uint64_t>(id));
    RandomStream random(of_ids);
    Scores scores(vocabulary);
    for (float& score : scores) score = static_cast<float>(scale * random.normal());
    return scores;
  };
}

// Counts up from the last token: 4 is followed by 5; the last of the vocabulary by itself.
Script counting(int32_t vocabulary) {
  return [=](const Ids& ids) {
    Scores scores(static_cast<size_t>(vocabulary), 0.0F);
    scores[static_cast<size_t>(std::min(ids.back() + 1, vocabulary - 1))] = 5;
    return scores;
  };
}

std::vector<Prompt> prompts_of(const std::vector<Ids>& all) {
  std::vector<Prompt> prompts;
  for (const Ids& ids : all) prompts.push_back({ids});
  return prompts;
}

Generated answer_of(const Script& script, const Ids& prompt, const GenerationOptions& options,
                    const GenerationRun& run = {}) {
  ScriptedDecoder decoder(script);
  return generate(decoder, {{prompt}}, options, run).front();
}

std::vector<double> softmax(const Scores& scores) {
  std::vector<double> shares;
  double total = 0;
  for (const float score : scores) total += std::exp(static_cast<double>(score));
  for (const float score : scores) shares.push_back(std::exp(static_cast<double>(score)) / total);
  return shares;
}

// ------------------------------------------------------------------------------------ rules

Scores ruled(Scores scores, const Ids& ids, int64_t prompt, const GenerationOptions& options,
             int64_t room = 100) {
  apply_rules(options, {ids, prompt, room}, scores);
  return scores;
}

TEST(LogitRules, RepetitionPenaltyTakesFromTokensOfPromptAndAnswerOnceEach) {
  GenerationOptions options;
  options.repetition_penalty = 2;
  EXPECT_THAT(ruled({4, -4, 4, -4}, {0, 1, 1, 0}, 1, options), ElementsAre(2, -8, 4, -4));
}

TEST(LogitRules, PresencePenaltyTakesFromTokensOfTheAnswerAlone) {
  GenerationOptions options;
  options.presence_penalty = 1.5;
  EXPECT_THAT(ruled({4, -4, 4, 1}, {0, 1, 3, 3}, 2, options), ElementsAre(4, -4, 4, -0.5));
}

TEST(LogitRules, NoNGramStandsTwice) {
  GenerationOptions options;
  options.no_repeat_ngram_size = 3;
  const Scores zeros(4, 0.0F);
  EXPECT_THAT(ruled(zeros, {1, 2, 3, 1, 2}, 3, options), ElementsAre(0, 0, 0, kNever));
  EXPECT_THAT(ruled(zeros, {1, 2, 3, 1, 2, 0, 1, 2}, 3, options),
              ElementsAre(kNever, 0, 0, kNever));
  EXPECT_EQ(ruled(zeros, {1, 2}, 1, options), zeros);
  options.no_repeat_ngram_size = 1;
  EXPECT_THAT(ruled(zeros, {2, 0}, 1, options), ElementsAre(kNever, 0, kNever, 0));
}

TEST(LogitRules, NothingEndsBeforeTheLeastNumberOfTokens) {
  GenerationOptions options;
  options.min_new_tokens = 2;
  options.eos_token_id = {0, 2};
  EXPECT_THAT(ruled({1, 1, 1}, {1, 1}, 1, options), ElementsAre(kNever, 1, kNever));
  EXPECT_THAT(ruled({1, 1, 1}, {1, 1, 1}, 1, options), ElementsAre(1, 1, 1));
}

TEST(LogitRules, ForcedTokensStandFirstAndLast) {
  GenerationOptions options;
  options.forced_bos_token_id = 2;
  options.forced_eos_token_id = {0, 1};
  EXPECT_THAT(ruled({5, 6, 7}, {1}, 1, options), ElementsAre(kNever, kNever, 0));
  EXPECT_THAT(ruled({5, 6, 7}, {1, 1}, 2, options),
              ElementsAre(5, 6, 7));  // behind a longer prompt
  EXPECT_THAT(ruled({5, 6, 7}, {1, 2, 2}, 1, options, 3), ElementsAre(0, 0, kNever));
}

TEST(LogitRules, SuppressedTokensAreNeverChosenOrNotFirst) {
  GenerationOptions options;
  options.suppress_tokens = {0};
  options.begin_suppress_tokens = {2};
  EXPECT_THAT(ruled({5, 6, 7}, {1, 1}, 2, options), ElementsAre(kNever, 6, kNever));
  EXPECT_THAT(ruled({5, 6, 7}, {1, 1, 1}, 2, options), ElementsAre(kNever, 6, 7));
  options.forced_bos_token_id = 1;  // then the second token is the first that is chosen
  EXPECT_THAT(ruled({5, 6, 7}, {1, 1}, 1, options), ElementsAre(kNever, 6, kNever));
}

GenerationOptions sampling() {
  GenerationOptions options;
  options.do_sample = true;
  options.top_k = 0;
  return options;
}

TEST(LogitRules, SamplingRulesKeepTheLikeliest) {
  GenerationOptions options = sampling();
  options.temperature = 0.5;
  EXPECT_THAT(ruled({1, 2}, {0}, 1, options), ElementsAre(2, 4));
  options = sampling();
  options.top_k = 2;
  EXPECT_THAT(ruled({1, 3, 2, 0}, {0}, 1, options), ElementsAre(kNever, 3, 2, kNever));
  EXPECT_THAT(ruled({3, 3, 3, 0}, {0}, 1, options), ElementsAre(3, 3, 3, kNever));  // equal ones
  options = sampling();
  const auto log_of = [](double share) { return static_cast<float>(std::log(share)); };
  const Scores shares = {log_of(0.15), log_of(0.5), log_of(0.05), log_of(0.3)};
  options.top_p = 0.7;
  EXPECT_THAT(ruled(shares, {0}, 1, options), ElementsAre(kNever, shares[1], kNever, shares[3]));
  options.top_p = 0;
  EXPECT_THAT(ruled(shares, {0}, 1, options), ElementsAre(kNever, shares[1], kNever, kNever));
  options = sampling();
  options.min_p = 0.2;
  EXPECT_THAT(ruled(shares, {0}, 1, options), ElementsAre(shares[0], shares[1], kNever, shares[3]));
  options = GenerationOptions();  // not without sampling
  options.top_k = 1;
  options.min_p = 1;
  options.temperature = 3;
  EXPECT_EQ(ruled(shares, {0}, 1, options), shares);
}

TEST(LogitRules, TopPOfALargeVocabularyKeepsWhatHoldsTheShare) {
  Scores scores = random_script(5000, 3, /*scale=*/1)({1});
  const std::vector<double> shares = softmax(scores);
  GenerationOptions options = sampling();
  options.top_p = 0.9;
  const Scores kept = ruled(scores, {0}, 1, options);
  double held = 0, least = 1, most_left = 0;
  for (size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] == kNever) {
      most_left = std::max(most_left, shares[i]);
    } else {
      held += shares[i];
      least = std::min(least, shares[i]);
    }
  }
  EXPECT_GE(held, 0.9 - 1e-6);
  EXPECT_LT(held - least, 0.9 + 1e-6);
  EXPECT_LE(most_left, least);
}

// ------------------------------------------------------------------------------------ options

std::string fault(const std::function<void(GenerationOptions&)>& change) {
  GenerationOptions options;
  change(options);
  const auto found = fault_of(options);
  return found ? found->option + " " + found->message : "";
}

TEST(GenerationOptions, ValuesThatCannotBeAreNamed) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(fault([](auto&) {}), "");
  EXPECT_EQ(fault([](auto& o) { o.top_p = 1.5; }), "top_p is 1.5; it must be from 0 to 1");
  EXPECT_THAT(fault([](auto& o) { o.top_p = kNaN; }), HasSubstr("top_p is nan"));
  EXPECT_THAT(fault([](auto& o) { o.min_p = -0.1; }), HasSubstr("min_p is -0.1"));
  EXPECT_THAT(fault([](auto& o) { o.temperature = -1; }), HasSubstr("temperature is -1"));
  EXPECT_THAT(fault([](auto& o) { o.temperature = kNaN; }), HasSubstr("temperature is nan"));
  EXPECT_THAT(fault([](auto& o) { o.temperature = 1e-9; }), HasSubstr("0.000001 or more"));
  EXPECT_EQ(fault([](auto& o) { o.temperature = 0; }), "");
  EXPECT_THAT(fault([](auto& o) { o.repetition_penalty = 0; }), HasSubstr("above 0"));
  EXPECT_THAT(fault([](auto& o) { o.presence_penalty = kNaN; }), HasSubstr("presence_penalty"));
  EXPECT_THAT(fault([](auto& o) { o.length_penalty = kNaN; }), HasSubstr("length_penalty"));
  EXPECT_THAT(fault([](auto& o) { o.max_new_tokens = 0; }), HasSubstr("max_new_tokens is 0"));
  EXPECT_THAT(fault([](auto& o) { o.min_new_tokens = 1000; }), HasSubstr("more than max_new"));
  EXPECT_THAT(fault([](auto& o) { o.num_beams = 0; }), HasSubstr("num_beams is 0"));
  EXPECT_THAT(fault([](auto& o) { o.top_k = -1; }), HasSubstr("top_k is -1"));
  EXPECT_THAT(fault([](auto& o) { o.no_repeat_ngram_size = -1; }), HasSubstr("no_repeat_ngram"));
  EXPECT_THAT(fault([](auto& o) { o.seed = -1; }), HasSubstr("seed is -1"));
  EXPECT_THAT(fault([](auto& o) { o.num_beams = 2, o.do_sample = true; }), HasSubstr("not both"));
}

TEST(GenerationOptions, TokensThatTheVocabularyLacksAreRefused) {
  GenerationOptions options;
  options.suppress_tokens = {1, 9};
  ScriptedDecoder decoder(counting(9));
  EXPECT_THAT(error_of([&] { generate(decoder, {{{1}}}, options); }),
              HasSubstr("\"suppress_tokens\" names the token 9"));
  options.suppress_tokens = {};
  options.eos_token_id = {-1};
  EXPECT_THAT(error_of([&] { generate(decoder, {{{1}}}, options); }),
              HasSubstr("\"eos_token_id\" names the token -1"));
}

// ------------------------------------------------------------------------------------ greedy

TEST(Generation, GreedyTakesTheLikeliestUntilATokenEndsIt) {
  GenerationOptions options;
  options.eos_token_id = {8, 5};
  const Generated answer = answer_of(counting(9), {1, 2}, options);
  EXPECT_THAT(answer.ids, ElementsAre(3, 4));
  EXPECT_EQ(answer.end, 5);
  EXPECT_EQ(answer.reason, FinishReason::kEnd);
}

TEST(Generation, AnAnswerEndsAtItsLengthOrThePositions) {
  GenerationOptions options;
  options.max_new_tokens = 3;
  const Generated answer = answer_of(counting(99), {1}, options);
  EXPECT_THAT(answer.ids, ElementsAre(2, 3, 4));
  EXPECT_EQ(answer.reason, FinishReason::kLength);
  ScriptedDecoder decoder(counting(99), /*positions=*/4);
  const auto answers =
      generate(decoder, prompts_of({{1, 2}, {1, 2, 3, 4}, {1, 2, 3, 4, 5}, {}}), options);
  EXPECT_THAT(answers[0].ids, ElementsAre(3, 4));
  EXPECT_EQ(answers[0].reason, FinishReason::kPositions);
  EXPECT_THAT(answers[1].failure->what(), HasSubstr("4 tokens, and the model has positions for 4"));
  EXPECT_EQ(answers[2].failure->kind(), ErrorKind::kData);
  EXPECT_THAT(answers[3].failure->what(), HasSubstr("no token"));
}

TEST(Generation, AnEndThatIsForcedAtTheLastPlaceIsOneForWantOfRoom) {
  GenerationOptions options;
  options.eos_token_id = options.forced_eos_token_id = {9};
  for (const int64_t beams : {1, 3}) {
    options.num_beams = beams;
    options.max_new_tokens = 3;
    const Generated cut = answer_of(counting(99), {1}, options);
    EXPECT_THAT(cut.ids, ElementsAre(2, 3));
    EXPECT_EQ(cut.end, 9);
    EXPECT_EQ(cut.reason, FinishReason::kLength) << beams;
    options.max_new_tokens = 8;
    ScriptedDecoder small(counting(99), /*positions=*/3);
    EXPECT_EQ(generate(small, {{{1}}}, options).front().reason, FinishReason::kPositions) << beams;
    const Generated whole = answer_of(counting(99), {6}, options);
    EXPECT_THAT(whole.ids, ElementsAre(7, 8));
    EXPECT_EQ(whole.reason, FinishReason::kEnd) << beams;
  }
}

TEST(Generation, LogitsThatAreNoNumbersFailTheirAnswerAlone) {
  const Script script = [](const Ids& ids) {
    Scores scores = counting(9)(ids);
    if (ids.front() == 7 && ids.size() == 3) scores[1] = std::nanf("");
    if (ids.front() == 8 && ids.size() == 3) scores[1] = -kNever;
    return scores;
  };
  GenerationOptions options;
  options.max_new_tokens = 4;
  for (const int64_t beams : {1, 3}) {
    options.num_beams = beams;
    ScriptedDecoder decoder(script);
    const auto answers = generate(decoder, prompts_of({{1, 2}, {7, 2}, {8, 2}}), options);
    EXPECT_THAT(answers[0].ids, ElementsAre(3, 4, 5, 6));
    for (const Generated& failed : {answers[1], answers[2]}) {
      ASSERT_TRUE(failed.failure);
      EXPECT_EQ(failed.failure->kind(), ErrorKind::kModel);
      EXPECT_THAT(failed.failure->what(), HasSubstr("token 2 of the answer are no numbers"));
    }
  }
}

TEST(Generation, AnAnswerWithoutAnAllowedTokenSaysSo) {
  GenerationOptions options;
  options.suppress_tokens = {0, 1, 2};
  for (const int64_t beams : {1, 2}) {
    options.num_beams = beams;
    const Generated answer = answer_of(counting(3), {1}, options);
    ASSERT_TRUE(answer.failure);
    EXPECT_EQ(answer.failure->kind(), ErrorKind::kUsage);
    EXPECT_THAT(answer.failure->what(), HasSubstr("every token is forbidden as token 1"));
  }
}

// ------------------------------------------------------------------------------------ batches

TEST(Generation, AnswersThatHaveEndedLeaveAndPromptsJoin) {
  GenerationOptions options;
  options.eos_token_id = {9};
  options.max_new_tokens = 6;
  ScriptedDecoder decoder(counting(10));
  const auto answers =
      generate(decoder, prompts_of({{5, 6}, {0, 7}, {1, 3}, {2, 8}}), options, {.max_tokens = 4});
  EXPECT_THAT(answers[0].ids, ElementsAre(7, 8));
  EXPECT_THAT(answers[1].ids, ElementsAre(8));
  EXPECT_THAT(answers[2].ids, ElementsAre(4, 5, 6, 7, 8));
  EXPECT_THAT(answers[3].ids, IsEmpty());
  EXPECT_THAT(decoder.rows_per_pass, ElementsAre(2, 3, 3, 1, 1, 1, 1));
  EXPECT_LE(*std::max_element(decoder.tokens_per_pass.begin(), decoder.tokens_per_pass.end()), 4U);
}

TEST(Generation, PromptsWaitForAllAnswersWhereNoneMayJoin) {
  GenerationOptions options;
  options.max_new_tokens = 3;
  ScriptedDecoder decoder(counting(20));
  decoder.joins = false;
  const auto answers = generate(decoder, prompts_of({{1}, {2}, {3}}), options, {.max_tokens = 2});
  EXPECT_THAT(answers[2].ids, ElementsAre(4, 5, 6));
  EXPECT_THAT(decoder.rows_per_pass, ElementsAre(2, 2, 2, 1, 1, 1));
}

TEST(Generation, APromptLargerThanAPassGoesAlone) {
  GenerationOptions options;
  options.max_new_tokens = 2;
  ScriptedDecoder decoder(counting(20));
  const auto answers =
      generate(decoder, prompts_of({{1}, {1, 2, 3, 4, 5, 6}, {2}}), options, {.max_tokens = 4});
  EXPECT_THAT(answers[0].ids, ElementsAre(2, 3));
  EXPECT_THAT(answers[1].ids, ElementsAre(7, 8));
  EXPECT_THAT(answers[2].ids, ElementsAre(3, 4));
  EXPECT_EQ(decoder.tokens_per_pass[2], 6U);
}

TEST(Generation, WhatIsKeptOfAllSequencesIsBounded) {
  GenerationOptions options;
  options.max_new_tokens = 30;
  ScriptedDecoder decoder(counting(99));
  generate(decoder, prompts_of({{1, 2}, {1, 3}, {1, 4}}), options, {.max_tokens = 8});
  EXPECT_EQ(*std::max_element(decoder.rows_per_pass.begin(), decoder.rows_per_pass.end()), 2U);
}

using Answers = std::vector<Ids>;

Answers ids_of(const std::vector<Generated>& answers) {
  Answers ids;
  for (const Generated& answer : answers) ids.push_back(answer.ids);
  return ids;
}

TEST(Generation, AnAnswerDependsOnNeitherNeighboursNorOrder) {
  std::vector<Prompt> prompts;
  for (int32_t i = 0; i < 12; ++i) prompts.push_back({{i, i % 3}});
  prompts[4].seed = 77;
  GenerationOptions sampled = sampling(), beams;
  beams.num_beams = 3;
  for (GenerationOptions options : {sampled, beams}) {
    options.max_new_tokens = 8;
    options.eos_token_id = {3};
    const Script script = random_script(16, 5);
    ScriptedDecoder decoder(script);
    const Answers together = ids_of(generate(decoder, prompts, options));
    for (const int64_t max_tokens : {1, 5}) {
      ScriptedDecoder other(script);
      EXPECT_EQ(ids_of(generate(other, prompts, options, {.max_tokens = max_tokens})), together);
    }
    std::vector<Prompt> reversed(prompts.rbegin(), prompts.rend());
    Answers backwards = ids_of(generate(decoder, reversed, options));
    std::reverse(backwards.begin(), backwards.end());
    EXPECT_EQ(backwards, together);
    for (size_t i = 0; i < prompts.size(); ++i)
      EXPECT_EQ(generate(decoder, {prompts[i]}, options).front().ids, together[i]);
  }
}

// ------------------------------------------------------------------------------------ sampling

// How far counts are from what shares say: chi-square.
double chi_square(const std::vector<double>& counts, const std::vector<double>& shares) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * shares[i];
    sum += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return sum;
}

TEST(Sampling, TokensAreDrawnAsOftenAsTheirProbabilities) {
  constexpr size_t kVocabulary = 6, kPrompts = 6000;
  const Scores scores = {0.5F, -1, 1, 0, -0.5F, 0.2F};
  ScriptedDecoder decoder([&](const Ids&) { return scores; });
  GenerationOptions options = sampling();
  options.max_new_tokens = 2;
  std::vector<Prompt> prompts(kPrompts, Prompt{{1}});
  for (size_t i = 0; i < kPrompts; ++i) prompts[i].seed = static_cast<int64_t>(i);
  std::vector<double> first(kVocabulary), pairs(kVocabulary * kVocabulary), pair_shares;
  for (const Generated& answer : generate(decoder, prompts, options)) {
    ++first[answer.ids[0]];
    ++pairs[answer.ids[0] * kVocabulary + answer.ids[1]];
  }
  const std::vector<double> shares = softmax(scores);
  for (const double a : shares) {
    for (const double b : shares) pair_shares.push_back(a * b);
  }
  EXPECT_LT(chi_square(first, shares), 20.5);       // of 5 degrees of freedom, 1 in 1000 is above
  EXPECT_LT(chi_square(pairs, pair_shares), 66.6);  // of 35
}

TEST(Sampling, AnswersFollowTheirSeedAndTheirPrompt) {
  const Script script = [](const Ids&) { return Scores(50, 0.0F); };
  GenerationOptions options = sampling();
  options.max_new_tokens = 8;
  const Generated one = answer_of(script, {1}, options);
  EXPECT_EQ(answer_of(script, {1}, options).ids, one.ids);
  EXPECT_NE(answer_of(script, {2}, options).ids, one.ids);
  options.seed = 43;
  EXPECT_NE(answer_of(script, {1}, options).ids, one.ids);
  ScriptedDecoder decoder(script);
  EXPECT_EQ(generate(decoder, {{{1}, 42}}, options).front().ids, one.ids);
  EXPECT_NE(generate(decoder, {{{1}, 42, {5, 6}}}, options).front().ids, one.ids);
}

TEST(Sampling, TemperatureZeroTakesTheLikeliestAndSoDoesTopPZero) {
  const Script script = random_script(20, 8);
  GenerationOptions options;
  options.max_new_tokens = 10;
  const Ids greedy = answer_of(script, {1}, options).ids;
  options.do_sample = true;
  EXPECT_NE(answer_of(script, {1}, options).ids, greedy);
  options.temperature = 0;
  EXPECT_EQ(answer_of(script, {1}, options).ids, greedy);
  options.temperature = 1;
  options.top_p = 0;
  EXPECT_EQ(answer_of(script, {1}, options).ids, greedy);
}

// ------------------------------------------------------------------------------------ beams

struct Best {
  Ids ids;
  double score = -std::numeric_limits<double>::infinity();
};

// The best answer of all there are: each that ends, or has `room` tokens.
void search_all(const Script& script, const Ids& prompt, const Ids& answer, double sum,
                const GenerationOptions& options, Best& best) {
  Ids ids = prompt;
  ids.insert(ids.end(), answer.begin(), answer.end());
  const std::vector<double> shares = softmax(script(ids));
  const auto length = static_cast<double>(answer.size() + 1);
  for (size_t token = 0; token < shares.size(); ++token) {
    const double with_token = sum + std::log(shares[token]);
    const bool is_end = static_cast<int64_t>(token) == options.eos_token_id.front();
    Ids longer = answer;
    if (!is_end) longer.push_back(static_cast<int32_t>(token));
    if (!is_end && static_cast<int64_t>(length) < options.max_new_tokens) {
      search_all(script, prompt, longer, with_token, options, best);
      continue;
    }
    const double score = with_token / std::pow(length, options.length_penalty);
    if (score > best.score) best = {longer, score};
  }
}

TEST(BeamSearch, ABeamWiderThanAllThereIsFindsTheBestAnswer) {
  GenerationOptions options;
  options.max_new_tokens = 4;
  options.eos_token_id = {0};
  options.num_beams = 64;  // 15 answers end, 16 have four tokens
  options.early_stopping = EarlyStopping::kNever;
  for (uint64_t key = 0; key < 20; ++key) {
    for (const double penalty : {-1.0, 0.0, 1.0, 2.5}) {
      options.length_penalty = penalty;
      const Script script = random_script(3, key);
      Best best;
      search_all(script, {1, 2}, {}, 0, options, best);
      const Generated found = answer_of(script, {1, 2}, options);
      EXPECT_EQ(found.ids, best.ids) << key << " " << penalty;
      EXPECT_NEAR(found.score, best.score, 1e-5);
    }
  }
}

TEST(BeamSearch, AWiderBeamFindsWhatGreedyMisses) {
  // The likelier first token leads nowhere: 0.6 * 0.25, against 0.4 * 0.9.
  const Script script = [](const Ids& ids) {
    const auto log_of = [](double share) { return static_cast<float>(std::log(share)); };
    if (ids.size() == 1) return Scores{kNever, log_of(0.6), log_of(0.4), kNever, kNever};
    if (ids.back() == 1)
      return Scores{log_of(0.25), kNever, log_of(0.25), log_of(0.25), log_of(0.25)};
    return Scores{log_of(0.025), log_of(0.025), log_of(0.025), log_of(0.9), log_of(0.025)};
  };
  GenerationOptions options;
  options.max_new_tokens = 2;
  EXPECT_EQ(answer_of(script, {0}, options).ids.front(), 1);
  options.num_beams = 2;
  EXPECT_THAT(answer_of(script, {0}, options).ids, ElementsAre(2, 3));
}

TEST(BeamSearch, HypothesesThatNeverEndAreTakenAtTheLastToken) {
  GenerationOptions options;
  options.num_beams = 3;
  options.max_new_tokens = 5;
  options.eos_token_id = {0};
  options.suppress_tokens = {0};
  const Generated answer = answer_of(random_script(7, 2), {1}, options);
  EXPECT_EQ(answer.ids.size(), 5U);
  EXPECT_EQ(answer.reason, FinishReason::kLength);
  EXPECT_FALSE(answer.end);
}

TEST(BeamSearch, EarlyStoppingEndsAsSoonAsThereAreHypothesesEnough) {
  const Script script = random_script(6, 11);
  GenerationOptions options;
  options.num_beams = 2;
  options.max_new_tokens = 40;
  options.eos_token_id = {0, 1};
  std::vector<size_t> passes;
  for (const EarlyStopping stopping :
       {EarlyStopping::kTrue, EarlyStopping::kFalse, EarlyStopping::kNever}) {
    options.early_stopping = stopping;
    ScriptedDecoder decoder(script);
    generate(decoder, {{{1}}}, options);
    passes.push_back(decoder.rows_per_pass.size());
  }
  EXPECT_LE(passes[0], passes[1]);
  EXPECT_LT(passes[1], passes[2]);
}

// ------------------------------------------------------------------------------------ the run

TEST(Generation, TokensAreGivenAsTheyAreChosenAndMayEndTheAnswer) {
  GenerationOptions options;
  options.max_new_tokens = 6;
  Ids told;
  size_t ended = 0;
  GenerationRun run;
  run.on_token = [&](size_t prompt, int32_t token) {
    EXPECT_EQ(prompt, 0U);
    told.push_back(token);
    return token != 4;
  };
  run.on_end = [&](size_t, const Generated& answer) { ended += answer.ids.size(); };
  const Generated answer = answer_of(counting(20), {1}, options, run);
  EXPECT_THAT(told, ElementsAre(2, 3, 4));
  EXPECT_EQ(answer.ids, told);
  EXPECT_EQ(answer.reason, FinishReason::kStop);
  EXPECT_EQ(ended, 3U);
  told.clear();
  options.num_beams = 2;
  EXPECT_EQ(answer_of(counting(20), {1}, options, run).ids, told);
  EXPECT_THAT(told, ElementsAre(2, 3, 4));
}

TEST(Generation, WhatThereIsIsKeptWhereItIsInterrupted) {
  GenerationOptions options;
  options.max_new_tokens = 50;
  for (const int64_t beams : {1, 2}) {
    options.num_beams = beams;
    ScriptedDecoder decoder(counting(60));
    std::vector<size_t> ended;
    int passes = 0;
    GenerationRun run{.max_tokens = 2};
    run.is_stopped = [&] { return ++passes > 3; };
    run.on_end = [&](size_t prompt, const Generated&) { ended.push_back(prompt); };
    const auto answers = generate(decoder, prompts_of({{1, 2}, {1, 3}, {1, 4}}), options, run);
    EXPECT_THAT(answers[0].ids, ElementsAre(3, 4, 5));
    EXPECT_EQ(answers[0].reason, FinishReason::kInterrupted);
    EXPECT_THAT(answers[2].ids, IsEmpty());
    EXPECT_THAT(ended, ElementsAre(0));
  }
}

}  // namespace
}  // namespace hone
