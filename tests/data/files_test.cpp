// Which files a source names: lists, patterns, folders of texts; and files that are none.
#include "data/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "reader_testing.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Files : public testing::Test {
 protected:
  // "x.jsonl:1 {...}" of each row.
  std::vector<std::string> rows(const SourceOptions& options) {
    reader_ = open_reader(options);
    std::vector<std::string> out;
    for (const Record& record : read_all(*reader_)) {
      const std::string place = record.where().str();
      out.push_back(place.substr(folder_.path().size() + 1) + " " + record.fields.dump());
    }
    return out;
  }
  SourceOptions source(const std::string& yaml) {
    Config section = Config::parse(yaml, "c");
    SourceOptions options = SourceOptions::read(section);
    section.refuse_unknown();
    return options;
  }
  SourceOptions at(const std::string& path, const std::string& more = "") {
    return source("path: \"" + folder_ / path + "\"\n" + more);
  }
  std::string write_in(const std::string& folder, const std::string& name, std::string_view bytes) {
    std::filesystem::create_directories(folder_ / folder);
    return folder_.write(folder + "/" + name, bytes);
  }

  TemporaryFolder folder_;
  std::unique_ptr<RecordReader> reader_;
};

TEST_F(Files, OfAListAreReadOneAfterTheOther) {
  folder_.write("b.jsonl", "{\"a\": 1}\n{\"a\": 2}\n");
  folder_.write("a.csv", "a\n3\n");
  EXPECT_THAT(rows(source("path: [" + folder_ / "b.jsonl" + ", " + folder_ / "a.csv" + "]\n")),
              ElementsAre(R"(b.jsonl:1 {"a":1})", R"(b.jsonl:2 {"a":2})", R"(a.csv:2 {"a":"3"})"));
  const auto [consumed, size] = reader_->position();
  EXPECT_EQ(consumed, size);
  EXPECT_EQ(size, 22);
}

TEST_F(Files, OfAPatternAreReadByName) {
  folder_.write("b.jsonl", "{\"a\": 2}\n");
  folder_.write("a.jsonl", "{\"a\": 1}\n");
  folder_.write("c.txt", "no\n");
  EXPECT_THAT(rows(at("*.jsonl")), ElementsAre(R"(a.jsonl:1 {"a":1})", R"(b.jsonl:1 {"a":2})"));
  EXPECT_EQ(error_of([&] { rows(at("*.csv")); }), "*.csv: no file fits this pattern");
  folder_.write("x[1].jsonl", "{\"a\": 3}\n");
  EXPECT_THAT(rows(at("x[1].jsonl")), ElementsAre(R"(x[1].jsonl:1 {"a":3})")) << "a name as it is";
}

TEST_F(Files, OfASplitHaveOptionsOfTheirOwn) {
  folder_.write("latin.csv", "text\ncaf\xE9\n");
  folder_.write("plain.jsonl", "{\"t\": \"caf\u00e9\"}\n");
  Config data = Config::parse("train:\n  - {path: " + folder_ / "latin.csv" +
                                  ", encoding: iso-8859-1}\n  - {path: " + folder_ / "plain.jsonl" +
                                  ", fields: {text: t}}\n",
                              "c");
  const SourceOptions train = SourceOptions::read_split(data, "train");
  data.refuse_unknown();
  EXPECT_THAT(rows(train), ElementsAre("latin.csv:2 {\"text\":\"caf\u00e9\"}",
                                       "plain.jsonl:1 {\"text\":\"caf\u00e9\"}"));
  Config again = Config::parse(data.resolved(), "again");
  EXPECT_EQ(SourceOptions::read_split(again, "train").parts.size(), 2U);
  Config mixed = Config::parse("train: [{path: a, on_bad_row: skip}, {path: b}]", "c");
  EXPECT_THAT(error_of([&] { SourceOptions::read_split(mixed, "train"); }),
              HasSubstr("must be the same for all files"));
  Config empty = Config::parse("train: []", "c");
  EXPECT_THAT(error_of([&] { SourceOptions::read_split(empty, "train"); }),
              HasSubstr("\"train\" lists no file"));
}

TEST_F(Files, OfAListCountTheirBadRowsTogether) {
  folder_.write("a.jsonl", "{\"a\": 1}\n{bad\n");
  folder_.write("b.jsonl", "{bad\n{\"a\": 2}\n");
  SourceOptions options = at("?.jsonl", "on_bad_row: skip\n");
  EXPECT_EQ(rows(options).size(), 2U);
  EXPECT_EQ(reader_->bad_count(), 2);
  ASSERT_EQ(reader_->bad_rows().size(), 2U);
  EXPECT_THAT(reader_->bad_rows()[1].where.file, HasSubstr("b.jsonl"));
  options.on_bad_row = "error";
  EXPECT_THAT(error_of([&] { rows(options); }), StartsWith("a.jsonl:2:2: not valid JSON"));
}

TEST_F(Files, BelowAFolderAreTextsLabelledByTheirFolder) {
  write_in("train/pos", "0_9.txt", "fine\r\nfilm\n");
  write_in("train/pos", ".hidden", "no");
  write_in("train/neg", "1_2.txt",
           "\xEF\xBB\xBF"
           "dull");
  folder_.write("train/words.txt", "no text of any label");
  EXPECT_THAT(rows(at("train")),
              ElementsAre(R"(train/neg/1_2.txt:1 {"text":"dull","label":"neg"})",
                          R"(train/pos/0_9.txt:1 {"text":"fine\r\nfilm\n","label":"pos"})"));
  EXPECT_THAT(rows(at("train/pos", "format: folder\n")),
              ElementsAre(R"(train/pos/0_9.txt:1 {"text":"fine\r\nfilm\n","label":"pos"})"));
  write_in("train/pos", "bad.txt", "a\nb\xE9\n");
  EXPECT_THAT(error_of([&] { rows(at("train")); }), StartsWith("bad.txt:2:2: the byte 0xE9"));
  EXPECT_EQ(rows(at("train", "on_bad_row: skip\n")).size(), 2U);
}

TEST_F(Files, BelowAFolderAreTextsOnlyWhereTheyLookSo) {
  write_in("data/raw", "a.jsonl", "{}\n");
  EXPECT_THAT(error_of([&] { rows(at("data")); }),
              AllOf(HasSubstr("is a folder; name a file in it"), HasSubstr("/*.jsonl"),
                    HasSubstr("say format: folder")));
  EXPECT_EQ(rows(at("data", "format: folder\n")).size(), 1U);
  EXPECT_THAT(error_of([&] { rows(at("data", "format: jsonl\n")); }), HasSubstr("is a folder"));
  EXPECT_THAT(error_of([&] { rows(at("data/raw")); }), HasSubstr("is a folder"));
  write_in("deep/label/more", "a.txt", "x");
  EXPECT_THAT(error_of([&] { rows(at("deep")); }), HasSubstr("say format: folder"));
  EXPECT_THAT(error_of([&] { rows(at("deep", "format: folder\n")); }),
              HasSubstr("is a folder inside the folder of a label"));
}

TEST_F(Files, ThatCannotBeReadSaySo) {
  if (!std::filesystem::exists("/proc/self/mem"))
    GTEST_SKIP() << "no file here whose reading fails";
  for (const char* rule : {"error", "skip"}) {
    const SourceOptions options =
        source("{path: /proc/self/mem, format: jsonl, on_bad_row: " + std::string(rule) + "}");
    EXPECT_EQ(error_of([&] { rows(options); }), "mem: cannot be read: Input/output error");
  }
}

TEST_F(Files, ThatArePipesAreReadOnce) {
  const std::string pipe = folder_ / "pipe.jsonl";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(comes_once(pipe));
  EXPECT_TRUE(comes_once("-"));
  EXPECT_FALSE(comes_once(folder_.write("a.jsonl", "")));
  EXPECT_FALSE(comes_once(folder_ / "not-there"));
  std::thread writer([&] { std::ofstream(pipe) << "{\"a\": 1}\n{\"a\": 2}"; });
  EXPECT_EQ(rows(at("pipe.jsonl")).size(), 2U);
  writer.join();
  const std::string conll = folder_ / "pipe.conll";
  ASSERT_EQ(::mkfifo(conll.c_str(), 0600), 0);
  std::thread second([&] { std::ofstream(conll) << "a B-X\n"; });
  EXPECT_THAT(error_of([&] { rows(at("pipe.conll")); }),
              HasSubstr("tag_scheme: auto reads a file twice; name the scheme"));
  second.join();
}

}  // namespace
}  // namespace hone
