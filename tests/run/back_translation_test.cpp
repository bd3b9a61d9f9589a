// Training texts translated there and back, and the file that keeps them.
#include "run/back_translation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <set>
#include <sstream>

#include "run/augment.h"
#include "run/fine_tune.h"
#include "run/prepare.h"
#include "support/errors.h"
#include "support/run_folder.h"
#include "support/tiny_encoder_decoder.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
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

// The options of a translator that ends of itself, behind four tokens at least: no token stands
// twice, and only fourteen do not end an answer.
std::string ending(const std::string& more = "") {
  std::string ends = "3";
  for (int id = 15; id < 45; ++id) ends += ", " + std::to_string(id);
  return "{max_new_tokens: 20, min_new_tokens: 4, no_repeat_ngram_size: 1, eos_token_id: [" + ends +
         "]" + more + "}";
}

// Random translators.
struct TranslatingRun {
  RunInFolder folder;
  std::string section;

  explicit TranslatingRun(const std::string& more = "", const std::string& task = ending()) {
    testing_support::write_tiny_encoder_decoder(folder / "there", "marian", Json::object(), 1);
    testing_support::write_tiny_encoder_decoder(folder / "back", "marian", Json::object(), 2);
    section = "augment: {translation: {there: " + folder / "there" +
              ", back: " + (folder / "back") + ", there_task: " + task + ", back_task: " + task +
              "}" + more + "}\n";
  }
  RunConfig config(const std::string& name) const {
    return folder.config(section, {"output.dir=" + folder / name});
  }
  RunResult run(const std::string& name) const { return fine_tune(config(name)); }
  std::string translations(const std::string& name) const {
    return read_file(folder / name + "/translations.jsonl", ErrorKind::kUsage);
  }
  Json identity(const std::string& name) const {
    const std::string all = translations(name);
    return parse_json(all.substr(0, all.find('\n')), {}, ErrorKind::kUsage)["hone_translations"];
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

std::vector<Json> rows_in(const KeptSplit& split) {
  std::vector<Json> rows;
  const EncodedSource source = split.all();
  for (std::vector<EncodedRecord> some = source(); !some.empty(); some = source()) {
    for (const EncodedRecord& one : some) rows.push_back(one.record.fields);
  }
  return rows;
}

TEST(BackTranslation, TouchesNeitherValidationNorTestData) {
  const TranslatingRun made;
  const RunConfig config = made.config("run"),
                  plain = made.folder.config("", {"output.dir=" + made.folder / "plain"});
  Prepared prepared = prepare(config), untouched = prepare(plain);
  const std::string path = made.folder / "t.jsonl";
  const RunData data = encode_data(config, prepared, Translating{path}),
                without = encode_data(plain, untouched);
  EXPECT_GT(data.train.size(), without.train.size());
  EXPECT_EQ(data.validation_rows.json(), without.validation_rows.json());
  for (const char* split : {"validation", "test"})
    EXPECT_EQ(rows_in(data.tested.at(split)), rows_in(without.tested.at(split))) << split;
  std::set<std::string> trained, translated;
  for (const Record& row : testing_support::tiny_texts(42, "train", 1))
    trained.insert(row.fields["text"].get<std::string>());
  std::istringstream lines(read_file(path, ErrorKind::kUsage));
  std::string line;
  for (std::getline(lines, line); std::getline(lines, line);)
    translated.insert(parse_json(line, {}, ErrorKind::kUsage)["text"].get<std::string>());
  EXPECT_EQ(translated, trained);
}

TEST(BackTranslation, ThatIsStoppedGoesOnWhenItIsStartedAgain) {
  const TranslatingRun made;
  std::atomic<bool> stop = true;
  const RunResult stopped = fine_tune(made.config("run"), {.stop_requested = &stop});
  EXPECT_TRUE(stopped.training.interrupted);
  EXPECT_EQ(stopped.pipeline, nullptr);
  EXPECT_THAT(made.translations("run"), Not(HasSubstr("\"translation\"")));
  made.run("run");
  made.run("whole");
  EXPECT_EQ(made.translations("run"), made.translations("whole"));
}

// Each would be written on and on.
TEST(BackTranslation, WhatAForcedEndCutIsNone) {
  const TranslatingRun made("", "{min_new_tokens: 3, max_new_tokens: 4}");
  for (const char* model : {"there", "back"})
    write_file(made.folder / model + "/generation_config.json", R"({"forced_eos_token_id": 3})");
  EXPECT_EQ(made.run("run").training.steps, 2 * ((42 + 7) / 8));
  EXPECT_THAT(made.translations("run"), HasSubstr("\"translation\":null"));
  EXPECT_THAT(made.translations("run"), Not(HasSubstr("\"translation\":\"")));
}

TEST(BackTranslation, IsDrawnWhereAModelsOwnFilesSaySo) {
  const TranslatingRun made(", copies: 2, seed: 7");
  EXPECT_THAT(error_of([&] { made.run("alike"); }), HasSubstr("they would all be alike"));
  write_file(made.folder / "back/generation_config.json",
             R"({"do_sample": true, "temperature": 3.0})");
  made.run("drawn");
  EXPECT_EQ(made.identity("drawn")["seed"], 7);
  const TranslationFile file(made.folder / "drawn/translations.jsonl", made.identity("drawn"));
  int64_t others = 0;
  for (const Record& row : testing_support::tiny_texts(42, "train", 1))
    others += file.find(row.fields["text"], 0) != file.find(row.fields["text"], 1);
  EXPECT_GT(others, 20);
}

TEST(BackTranslation, IsMadeAnewWhereATokenizerOfTargetsIsAnother) {
  const TranslatingRun made;
  TranslationOptions options;
  options.there.path = made.folder / "there";
  options.back.path = made.folder / "back";
  options.back.task = {"target_tokenizer=" + made.folder / "own"};
  const auto is_known = [&] {
    TranslationFile file = open_translations(options, 1, made.folder / "t.jsonl");
    const bool has = file.has("one", 0);
    file.add("one", 0, "uno");
    return has;
  };
  std::filesystem::create_directories(made.folder / "own");
  EXPECT_FALSE(is_known());
  EXPECT_TRUE(is_known());
  std::filesystem::create_directories(made.folder / "there/target_tokenizer");
  for (const char* file : {"there/target_tokenizer/vocab.txt", "own/vocab.txt"}) {
    write_file(made.folder / file, "one");
    EXPECT_FALSE(is_known()) << file;
    EXPECT_TRUE(is_known()) << file;
  }
  std::filesystem::create_directories(made.folder / "there/checkpoint-500");
  write_file(made.folder / "there/checkpoint-500/config.json", "{}");
  EXPECT_TRUE(is_known()) << "another folder is not the model's";
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
  const TranslatingRun made(", copies: 3", ending(", do_sample: true, temperature: 3"));
  made.run("first");
  const std::string path = made.folder / "first/translations.jsonl";
  const Json identity = made.identity("first");
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
  EXPECT_THAT(refusal("{translation: {there: a, back: b, there_task: {num_beans: 2}}}"),
              HasSubstr("num_beams"));
  EXPECT_EQ(refusal("{copies: 2, by: [swap], translation: {there: a, back: b}}"), "no error");
}

}  // namespace
}  // namespace hone
