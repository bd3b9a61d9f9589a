#include "tasks/generation_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "tasks/options.h"
#include "tasks/writing.h"

namespace hone {
namespace {

using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing_support::error_of;
using testing_support::TemporaryFolder;

GenerationSettings settings_of(const std::string& yaml) {
  Config section = Config::parse(yaml, "run.yaml");
  GenerationSettings settings;
  for_each_generation_option(settings, OptionReader(section));
  settings.finish_reading(section);
  section.refuse_unknown();
  return settings;
}

class GenerationOptionsTest : public testing::Test {
 protected:
  GenerationOptionsTest() { write_file(folder_ / "config.json", R"({"eos_token_id": 7})"); }
  void write(const std::string& generation_config) {
    write_file(folder_ / "generation_config.json", generation_config);
  }
  GenerationSettings begun(const std::string& yaml) {
    GenerationSettings settings = settings_of(yaml);
    settings.begin_from(folder_ / "");
    return settings;
  }

  TemporaryFolder folder_;
};

TEST_F(GenerationOptionsTest, TheSectionComesBeforeTheModelAndTheModelBeforeTheUsual) {
  write(R"({"eos_token_id": [2, 3], "temperature": 0.6, "top_p": 0.9, "do_sample": true,
            "early_stopping": "never", "top_k": null, "bos_token_id": 1})");
  const GenerationSettings settings = begun("temperature: 0.2\nstop_strings: [\"\\n\"]\n");
  EXPECT_THAT(settings.tokens.eos_token_id, ElementsAre(2, 3));
  EXPECT_EQ(settings.tokens.temperature, 0.2);
  EXPECT_EQ(settings.tokens.top_p, 0.9);
  EXPECT_TRUE(settings.tokens.do_sample);
  EXPECT_EQ(settings.tokens.early_stopping, EarlyStopping::kNever);
  EXPECT_EQ(settings.tokens.top_k, 50);
  EXPECT_THAT(settings.stop_strings, ElementsAre("\n"));
}

TEST_F(GenerationOptionsTest, TellsWhatAModelAsksForThatIsNotDone) {
  write(
      R"({"min_length": 56, "forced_decoder_ids": [[1, 5]], "typical_p": 1.0, "max_time": null})");
  testing::internal::CaptureStderr();
  begun("");
  const std::string told = testing::internal::GetCapturedStderr();
  EXPECT_THAT(told, HasSubstr("\"min_length\": 56 is not done here"));
  EXPECT_THAT(told, HasSubstr("\"forced_decoder_ids\": [[1,5]] is not done here"));
  EXPECT_THAT(told, Not(AnyOf(HasSubstr("typical_p"), HasSubstr("max_time"))));
}

TEST_F(GenerationOptionsTest, WithoutAFileOfItsOwnTheModelsEndIsThatOfConfigJson) {
  EXPECT_THAT(begun("").tokens.eos_token_id, ElementsAre(7));
  EXPECT_THAT(begun("eos_token_id: [5, 6]").tokens.eos_token_id, ElementsAre(5, 6));
}

TEST_F(GenerationOptionsTest, BadWordsOfOneTokenAreNeverChosen) {
  write(R"({"bad_words_ids": [[9], [4]], "suppress_tokens": [4]})");
  EXPECT_THAT(begun("").tokens.suppress_tokens, ElementsAre(4, 9));
  write(R"({"bad_words_ids": [[9], [4, 5]]})");
  EXPECT_THAT(begun("").tokens.suppress_tokens, testing::IsEmpty());
}

TEST_F(GenerationOptionsTest, ABeamSearchThatIsAskedForSamplesNothing) {
  write(R"({"do_sample": true})");
  EXPECT_FALSE(begun("num_beams: 4").tokens.do_sample);
  EXPECT_TRUE(begun("").tokens.do_sample);
}

TEST_F(GenerationOptionsTest, AValueThatCannotBeIsRefusedAtItsPlace) {
  EXPECT_THAT(error_of([] { settings_of("seed: 1\ntop_p: 2\n"); }),
              HasSubstr("run.yaml:2:8: \"top_p\" is 2; it must be from 0 to 1"));
  EXPECT_THAT(error_of([] { settings_of("suppress_tokens: [1, x]\n"); }),
              HasSubstr("a list of whole numbers"));
  write(R"({"top_k": -3})");
  EXPECT_THAT(error_of([&] { begun(""); }), HasSubstr("\"top_k\" is -3"));
  write(R"({"temperature": "hot"})");
  EXPECT_THAT(error_of([&] { begun(""); }), HasSubstr("\"temperature\" is \"hot\""));
  write(R"({"early_stopping": "soon"})");
  EXPECT_THAT(error_of([&] { begun(""); }), HasSubstr("none of false, true, never"));
}

TEST_F(GenerationOptionsTest, IsWrittenBackWithTheValuesInForceAndTheModelsOtherKeys) {
  write(R"({"eos_token_id": 2, "pad_token_id": 0, "temperature": 0.6})");
  begun("temperature: 0.2\nnum_beams: 3\nseed: 9\n").write(folder_ / "");
  const Json written = read_json(folder_ / "generation_config.json", ErrorKind::kModel);
  EXPECT_EQ(written["pad_token_id"], 0);
  EXPECT_EQ(written["temperature"], 0.2);
  EXPECT_EQ(written["num_beams"], 3);
  EXPECT_EQ(written["eos_token_id"], Json::array({2}));
  EXPECT_FALSE(written.contains("seed"));
  EXPECT_FALSE(written.contains("top_p"));
  EXPECT_EQ(begun("").tokens.num_beams, 3);
}

TEST(Writing, ARecordsOwnSeedIsItsSamples) {
  Sample sample;
  sample.streams.resize(1);
  sample.streams.front().ids = {1, 2};
  Record record;
  record.fields = {{"seed", 12}};
  EXPECT_FALSE(prompts_of({&sample, 1}).front().seed);
  add_seed(record, sample);
  const Prompt prompt = prompts_of({&sample, 1}).front();
  EXPECT_EQ(prompt.seed, 12);
  EXPECT_THAT(prompt.ids, ElementsAre(1, 2));
  for (const Json& seed : {Json(-1), Json(1.5), Json("12"), Json(1 << 24)}) {
    record.fields["seed"] = seed;
    EXPECT_THAT(error_of([&] { add_seed(record, sample); }), HasSubstr("from 0 to 16777215"));
  }
}

TEST(Writing, WhatAResultSaysCountsTheTokenThatEndsIt) {
  Sample sample;
  sample.streams.resize(1);
  sample.streams.front().ids = {1, 2, 3};
  Generated answer{{5, 6}, 2, FinishReason::kEnd};
  EXPECT_EQ(facts_of(answer, sample),
            Json({{"finish_reason", "end"}, {"prompt_tokens", 3}, {"answer_tokens", 3}}));
}

}  // namespace
}  // namespace hone
