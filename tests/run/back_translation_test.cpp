// Training texts translated there and back, and the file that keeps them.
#include "run/back_translation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "run/augment.h"
#include "run/fine_tune.h"
#include "support/errors.h"
#include "support/run_folder.h"
#include "support/tiny_encoder_decoder.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::RunInFolder;
using testing_support::TemporaryFolder;

const Json kModels = {{"models", "of a test"}};

TEST(TranslationFile, KeepsWhatItWasGiven) {
  const TemporaryFolder folder;
  const std::string path = folder / "t.jsonl";
  {
    TranslationFile file(path, kModels);
    file.add("one", 0, "uno");
    file.add("one", 1, "un");
    file.add("two\n", 0, std::nullopt);
    EXPECT_EQ(file.find("one", 1), "un");
    file.add("three", 0, "tres");
    file.flush();
  }
  const TranslationFile again(path, kModels);
  EXPECT_EQ(again.find("one", 0), "uno");
  EXPECT_EQ(again.find("one", 1), "un");
  EXPECT_EQ(again.find("three", 0), "tres");
  EXPECT_TRUE(again.has("two\n", 0));
  EXPECT_EQ(again.find("two\n", 0), std::nullopt);
  EXPECT_FALSE(again.has("two", 0));
}

TEST(TranslationFile, GoesOnBehindItsLastWholeLine) {
  const TemporaryFolder folder;
  const std::string path = folder / "t.jsonl";
  {
    TranslationFile file(path, kModels);
    file.add("one", 0, "uno");
    file.add("two", 0, "dos");
    file.flush();
  }
  const std::string whole = read_file(path, ErrorKind::kUsage);
  for (size_t size = whole.find("\"two\""); size < whole.size(); ++size) {
    write_file(path, whole.substr(0, size));
    TranslationFile file(path, kModels);
    EXPECT_EQ(file.find("one", 0), "uno");
    EXPECT_FALSE(file.has("two", 0)) << size;
    file.add("two", 0, "dos");
    file.flush();
    EXPECT_EQ(read_file(path, ErrorKind::kUsage), whole) << size;
  }
}

TEST(TranslationFile, OfOtherModelsIsBegunAnew) {
  const TemporaryFolder folder;
  const std::string path = folder / "t.jsonl";
  TranslationFile(path, kModels).add("one", 0, "uno");
  EXPECT_FALSE(TranslationFile(path, {{"models", "others"}}).has("one", 0));
  EXPECT_FALSE(TranslationFile(path, kModels).has("one", 0));
}

TEST(TranslationFile, OfSomebodyElseIsLeftAlone) {
  const TemporaryFolder folder;
  for (const char* text : {"one\tuno\n", "{\"text\": \"one\"}\n"}) {
    const std::string path = folder.write("t.jsonl", text);
    EXPECT_THAT(error_of([&] { TranslationFile(path, kModels); }),
                HasSubstr("holds no translations of hone"));
    EXPECT_EQ(read_file(path, ErrorKind::kUsage), text);
  }
}

// Random translators that end after four tokens.
struct TranslatingRun {
  RunInFolder folder;
  std::string section;

  explicit TranslatingRun(const std::string& more = "", const std::string& options = "") {
    testing_support::write_tiny_encoder_decoder(folder / "there", "marian", Json::object(), 1);
    testing_support::write_tiny_encoder_decoder(folder / "back", "marian", Json::object(), 2);
    const std::string task = "{max_new_tokens: 4, forced_eos_token_id: [3]" + options + "}";
    section = "augment: {translation: {there: " + folder / "there" +
              ", back: " + (folder / "back") + ", there_task: " + task + ", back_task: " + task +
              "}" + more + "}\n";
  }
  RunResult run(const std::string& name) const {
    return fine_tune(folder.config(section, {"output.dir=" + folder / name}));
  }
  std::string translations(const std::string& name) const {
    return read_file(folder / name + "/translations.jsonl", ErrorKind::kUsage);
  }
};

TEST(BackTranslation, AddsCopiesToTrainingAloneAndResumesTheSame) {
  const TranslatingRun made;
  const RunResult first = made.run("first");
  EXPECT_GT(first.training.steps, 2 * ((42 + 7) / 8));
  EXPECT_EQ(first.test->report.n, 15);
  const std::string whole = made.translations("first");
  // What a killed run left: some translations, the last of them half written.
  std::filesystem::create_directories(made.folder / "second");
  write_file(made.folder / "second/translations.jsonl", whole.substr(0, whole.size() / 2));
  const RunResult second = made.run("second");
  EXPECT_EQ(made.translations("second"), whole);
  EXPECT_EQ(second.test->report.json(), first.test->report.json());
}

TEST(BackTranslation, WhatIsKeptIsTakenAsItIs) {
  const TranslatingRun made;
  made.run("first");
  std::string whole = made.translations("first");
  const size_t at = whole.find("\"translation\":\"") + 15, end = whole.find('"', at);
  ASSERT_LT(end, whole.size());
  const std::string own = "a text that no model wrote";
  whole.replace(at, end - at, own);
  std::filesystem::create_directories(made.folder / "second");
  write_file(made.folder / "second/translations.jsonl", whole);
  made.run("second");
  EXPECT_EQ(made.translations("second"), whole);
}

TEST(BackTranslation, EachCopyIsDrawnAnewAndDependsOnItselfAlone) {
  const TranslatingRun made(", copies: 3", ", do_sample: true, temperature: 3");
  made.run("first");
  const std::string path = made.folder / "first/translations.jsonl";
  const Json identity =
      parse_json(made.translations("first").substr(0, made.translations("first").find('\n')), {},
                 ErrorKind::kUsage)["hone_translations"];
  const TranslationFile file(path, identity);
  const Record row = testing_support::tiny_texts(42, "train", 1).front();
  std::set<std::optional<std::string>> copies;
  for (int64_t copy = 0; copy < 3; ++copy) copies.insert(file.find(row.fields["text"], copy));
  EXPECT_GT(copies.size(), 1U);
  made.folder.write("train", 30, 1);  // the first rows alone
  made.run("second");
  const TranslationFile fewer(made.folder / "second/translations.jsonl", identity);
  for (int64_t copy = 0; copy < 3; ++copy)
    EXPECT_EQ(fewer.find(row.fields["text"], copy), file.find(row.fields["text"], copy));
}

TEST(BackTranslation, IsRefusedWhereLabelsNamePlaces) {
  AugmentOptions options;
  options.translation.emplace();
  for (const char* name :
       {"ner", "nested_ner", "qa", "relation", "entity_relations", "intent_slots"}) {
    Config section = Config::parse("{}", "task");
    const auto task = task_named(name).make(section, 0);
    EXPECT_THAT(error_of([&] { Augmenter(options, *task); }), HasSubstr("name places in its texts"))
        << name;
  }
  Config aspects = Config::parse("{aspect: target}", "task");
  EXPECT_TRUE(task_named("classify").make(aspects, 0)->labels_places());
  Config plain = Config::parse("{}", "task");
  EXPECT_FALSE(task_named("classify").make(plain, 0)->labels_places());
}

TEST(BackTranslation, IsOfTextsAndListsOfTexts) {
  Record row{{{"text", "a"}, {"choices", {"b", "c"}}, {"messages", {{{"role", "user"}}}}}, nullptr};
  for_each_text(row, {"text", "choices", "missing"}, [](std::string& text) { text += "!"; });
  EXPECT_EQ(row.fields["text"], "a!");
  EXPECT_EQ(row.fields["choices"], Json::array({"b!", "c!"}));
  EXPECT_THAT(error_of([&] { for_each_text(row, {"messages"}, [](std::string&) {}); }),
              HasSubstr("cannot be translated"));
}

TEST(BackTranslation, WhatCannotBeIsRefused) {
  const auto refusal = [](const std::string& yaml) {
    return error_of([&] {
      Config section = Config::parse(yaml, "augment");
      AugmentOptions::read(section);
      section.refuse_unknown();
    });
  };
  EXPECT_THAT(refusal("{translation: {there: a}}"), HasSubstr("back"));
  EXPECT_THAT(refusal("{copies: 2, translation: {there: a, back: b}}"), HasSubstr("do_sample"));
  EXPECT_THAT(refusal("{translation: {there: a, back: b, there_task: {num_beans: 2}}}"),
              HasSubstr("num_beams"));
  EXPECT_EQ(refusal("{copies: 2, by: [swap], translation: {there: a, back: b}}"), "no error");
}

}  // namespace
}  // namespace hone
