#include "data/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unicode/ucnv.h>
#include <zlib.h>
#include <zstd.h>

#include "base/random.h"
#include "reader_testing.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ReaderTest : public testing::Test {
 protected:
  // The rows of a file with this name and these bytes, as compact JSON.
  std::vector<std::string> rows(const std::string& name, std::string_view bytes,
                                SourceOptions options = {}) {
    options.path = folder_.write(name, bytes);
    reader_ = open_reader(options);
    std::vector<std::string> out;
    lines_.clear();
    for (const Record& record : read_all(*reader_)) {
      out.push_back(record.fields.dump());
      lines_.push_back(record.line);
    }
    return out;
  }
  std::string error(const std::string& name, std::string_view bytes, SourceOptions options = {}) {
    return error_of([&] { rows(name, bytes, std::move(options)); });
  }
  static SourceOptions format(const std::string& name) {
    SourceOptions options;
    options.format = name;
    return options;
  }
  static SourceOptions skipping(SourceOptions options = {}) {
    options.on_bad_row = "skip";
    return options;
  }

  SourceOptions file(const std::string& name) const {
    SourceOptions options;
    options.path = folder_.path() + "/" + name;
    return options;
  }
  static SourceOptions mapped(const std::string& to, const std::string& from) {
    SourceOptions options;
    options.fields = {{to, from}};
    return options;
  }

  TemporaryFolder folder_;
  std::unique_ptr<RecordReader> reader_;
  std::vector<int64_t> lines_;
};

// ---- JSON ----

TEST_F(ReaderTest, ReadsJsonLines) {
  EXPECT_THAT(
      rows("a.jsonl",
           "{\"text\": \"a\", \"n\": 1}\n\n  \n{\"text\": \"中\\n\"}\r\n{\"text\": \"last\"}"),
      ElementsAre(R"({"text":"a","n":1})", R"({"text":"中\n"})", R"({"text":"last"})"));
  EXPECT_THAT(lines_, ElementsAre(1, 4, 5));
}

TEST_F(ReaderTest, NamesLineAndColumnOfBadJson) {
  EXPECT_THAT(error("a.jsonl", "{\"a\": 1}\n{\"a\": }\n"),
              HasSubstr("a.jsonl:2:7: not valid JSON"));
  EXPECT_THAT(error("a.jsonl", "{\"a\": 1, \"a\": 2}\n"),
              HasSubstr("a.jsonl:1:10: not valid JSON: the key \"a\" stands twice"));
  EXPECT_THAT(error("a.jsonl", "[1]\n"),
              HasSubstr("a.jsonl:1:1: a row must be a JSON object; found an array"));
  EXPECT_THAT(error("a.jsonl", "{\"a\": 1} {\"a\": 2}\n"),
              HasSubstr("a.jsonl:1:10: not valid JSON: found '{' after the end"));
}

TEST_F(ReaderTest, ReadsArraysAndObjectsOnEndOverManyLines) {
  const auto expected = ElementsAre(R"({"a":1})", R"({"a":{"b":"]}"}})", R"({"a":"\"{"})");
  EXPECT_THAT(
      rows("a.json", "[\n  {\"a\": 1},\n  {\"a\":\n {\"b\": \"]}\"}}, {\"a\": \"\\\"{\"}\n]\n"),
      expected);
  EXPECT_THAT(lines_, ElementsAre(2, 3, 4));
  EXPECT_THAT(rows("a.json", "{\"a\": 1}\n{\n\"a\":\n {\"b\": \"]}\"}\n}{\"a\": \"\\\"{\"}"),
              expected);
  EXPECT_THAT(lines_, ElementsAre(1, 2, 5));
  EXPECT_THAT(rows("a.json", " [ ] "), ElementsAre());
  EXPECT_THAT(rows("a.json", ""), ElementsAre());
}

TEST_F(ReaderTest, NamesTheColumnInsideAJsonDocument) {
  EXPECT_THAT(error("a.json", "[{\"a\": 1},\n  {\"a\": x}]"),
              StartsWith("a.json:2:9: not valid JSON: found 'x'"));
  EXPECT_THAT(error("a.json", "[{\"a\": 1}, {\"a\": x}]"),
              StartsWith("a.json:1:18: not valid JSON: found 'x'"));
  EXPECT_THAT(error("a.json", "[{\"a\": 1}"),
              StartsWith("a.json:1:10: not valid JSON: the array is not closed"));
  EXPECT_THAT(error("a.json", "[{\"a\": 1} {\"a\": 2}]"),
              StartsWith("a.json:1:11: not valid JSON: found '{' where ',' or ']'"));
  EXPECT_THAT(error("a.json", "[{\"a\": 1},]"),
              StartsWith("a.json:1:11: not valid JSON: a ',' before"));
  EXPECT_THAT(error("a.json", "[{\"a\": 1}] x"),
              StartsWith("a.json:1:12: not valid JSON: text after"));
  EXPECT_THAT(error("a.json", "[{\"a\": 1}, 2]"),
              StartsWith("a.json:1:12: a row must be a JSON object; found a number"));
  EXPECT_THAT(error("a.json", "{\"a\": 1}\n{\"a\": "),
              StartsWith("a.json:2:7: not valid JSON: the text ends"));
}

TEST_F(ReaderTest, PlacesEachElementOfAOneLineDocument) {
  rows("a.json", "[{\"a\": 1}, {\"a\": 2},{\"a\": 3}]");
  std::vector<std::string> places;
  const auto reader = open_reader(file("a.json"));
  for (const Record& record : read_all(*reader)) {
    const std::string place = record.where().str();
    places.push_back(place.substr(place.rfind('/') + 1));
  }
  EXPECT_THAT(places, ElementsAre("a.json:1:2", "a.json:1:12", "a.json:1:21"));
  EXPECT_THAT(error("a.json", "[{\"a\": 1}, {\"b\": 2}]", mapped("text", "a")),
              StartsWith("a.json:1:12: no field \"a\""));
}

TEST_F(ReaderTest, SkipsBadElementsOfADocument) {
  EXPECT_THAT(rows("a.json", "[1, {\"a\": 1}, {\"a\": tru}, \"s,]\", {\"a\": 2}]", skipping()),
              ElementsAre(R"({"a":1})", R"({"a":2})"));
  EXPECT_EQ(reader_->bad_count(), 3);
  EXPECT_THAT(rows("a.json", "{\"a\": 1} ] x {\"a\": 2}", skipping()),
              ElementsAre(R"({"a":1})", R"({"a":2})"));
}

// ---- CSV and TSV ----

TEST_F(ReaderTest, ReadsQuotedValuesWithSeparatorsQuotesAndLineBreaks) {
  EXPECT_THAT(
      rows("a.csv",
           "text,label\r\n\"a, \"\"b\"\"\",x\r\n\"line\r\nbreak\",y\r\n,\"\"\r\nplain \"quote\",z"),
      ElementsAre(R"({"text":"a, \"b\"","label":"x"})", R"({"text":"line\r\nbreak","label":"y"})",
                  R"({"text":"","label":""})", R"({"text":"plain \"quote\"","label":"z"})"));
  EXPECT_THAT(lines_, ElementsAre(2, 3, 5, 6));
}

TEST_F(ReaderTest, ReadsTabsWithoutQuoting) {
  EXPECT_THAT(rows("a.tsv", "text\tlabel\n\"open\t1\nb\t\n"),
              ElementsAre(R"({"text":"\"open","label":"1"})", R"({"text":"b","label":""})"));
  SourceOptions quoted;
  quoted.has_quotes = true;
  EXPECT_THAT(rows("a.tsv", "text\tlabel\n\"a\tb\"\t1\n", quoted),
              ElementsAre(R"({"text":"a\tb","label":"1"})"));
}

TEST_F(ReaderTest, NumbersColumnsWithoutAHeader) {
  SourceOptions options;
  options.has_header = false;
  EXPECT_THAT(rows("a.csv", "a,b\n\nc,d\n", options),
              ElementsAre(R"({"0":"a","1":"b"})", R"({"0":"c","1":"d"})"));
  options.columns = {"x", "y"};
  EXPECT_THAT(rows("a.csv", "a,b\n", options), ElementsAre(R"({"x":"a","y":"b"})"));
  options.has_header = true;
  EXPECT_THAT(rows("a.csv", "a,b\nc,d\n", options), ElementsAre(R"({"x":"c","y":"d"})"));
}

TEST_F(ReaderTest, SplitsAtSeparatorsOfAnyLengthAndAtMostSoManyTimes) {
  SourceOptions options = format("csv");
  options.separator = "||";
  options.has_header = false;
  EXPECT_THAT(rows("x", "a||b|c||\"d||e\"\n", options),
              ElementsAre(R"({"0":"a","1":"b|c","2":"d||e"})"));
  options.separator = " ";
  options.max_columns = 2;
  EXPECT_THAT(rows("x", "DESC:manner How did \"it\" go ?\n", options),
              ElementsAre(R"({"0":"DESC:manner","1":"How did \"it\" go ?"})"));
}

TEST_F(ReaderTest, RefusesARowWithTheWrongNumberOfColumns) {
  EXPECT_THAT(error("a.csv", "a,b\n1,2\n1,2,3\n"),
              StartsWith("a.csv:3:5: 3 columns, but the header has 2"));
  EXPECT_THAT(error("a.csv", "a,b\n1\n"), StartsWith("a.csv:2:1: 1 columns, but the header has 2"));
  EXPECT_THAT(error("a.csv", "a,b\n\"x\ny\",2,3\n"), StartsWith("a.csv:3:6: 3 columns"));
  SourceOptions options = skipping();
  options.has_header = false;
  EXPECT_THAT(rows("a.csv", "1,2\n1\n3,4\n1,2,3\n", options),
              ElementsAre(R"({"0":"1","1":"2"})", R"({"0":"3","1":"4"})"));
  ASSERT_EQ(reader_->bad_count(), 2);
  EXPECT_EQ(reader_->bad_rows()[1].where.line, 4);
  EXPECT_THAT(reader_->bad_rows()[1].reason, HasSubstr("the first row has 2"));
}

TEST_F(ReaderTest, NamesThePlaceOfAQuoteThatIsWrong) {
  EXPECT_THAT(error("a.csv", "a,b\nx,\"open\ny,z\n"),
              StartsWith("a.csv:2:3: this quote is never closed"));
  EXPECT_THAT(error("a.csv", "a,b\nx,\"y\"z\n"),
              StartsWith("a.csv:2:6: text after a closing quote"));
  EXPECT_THAT(rows("a.csv", "a,b\nx,\"open\ny,z\n", skipping()),
              ElementsAre(R"({"a":"y","b":"z"})"))
      << "the next line is tried";
  EXPECT_EQ(reader_->bad_count(), 1);
}

TEST_F(ReaderTest, NamesTheOpeningOfAQuoteThatRunsPastTheLongestRow) {
  EXPECT_THAT(error("a.csv", "a,b\nx,\"" + std::string(70 << 20, 'y') + "\nz,w\n"),
              StartsWith("a.csv:2:3: a row longer than 64 MiB: this quote is never closed"));
}

TEST_F(ReaderTest, SkipsRowsWithoutAnEndInLinearTime) {
  // Each of these lines opens a quote that only the end of the file ends.
  std::string text = "a,b\n";
  while (text.size() < 2 << 20) text += "x\",\"\"\"\n";
  EXPECT_THAT(
      error("a.csv", text, skipping()),
      HasSubstr("too many quotes here and before are not closed, so that rows cannot be told "
                "apart (has_quotes: false"));
  SourceOptions options = skipping();
  options.has_quotes = false;
  EXPECT_GT(rows("a.csv", text, options).size(), 200000U);
}

TEST_F(ReaderTest, ReadsOnAfterManyStrayQuotes) {
  std::string text = "a,b\n";
  for (int i = 0; i < 20000; ++i) text += i % 10 == 0 ? "\"stray,1\n" : "fine,2\n";
  EXPECT_EQ(rows("a.csv", text, skipping()).size(), 18000U);
  EXPECT_EQ(reader_->bad_count(), 2000);
}

TEST_F(ReaderTest, SaysThatValuesLookQuoted) {
  const std::string text = "text\tlabel\n\"a b\"\tx\n\"c \"\"d\"\"\"\ty\nsay \"hi\"\tz\n";
  EXPECT_EQ(rows("a.tsv", text).front(), R"({"text":"\"a b\"","label":"x"})");
  ASSERT_EQ(reader_->advice().size(), 1U);
  EXPECT_THAT(reader_->advice().front(), HasSubstr("2 values stand wholly in double quotes"));
  EXPECT_THAT(reader_->advice().front(), HasSubstr("has_quotes: true"));
  SourceOptions options;
  options.has_quotes = false;
  rows("a.tsv", text, options);
  EXPECT_THAT(reader_->advice(), ElementsAre()) << "the user has decided";
  options.has_quotes = true;
  EXPECT_EQ(rows("a.tsv", text, options)[1], R"({"text":"c \"d\"","label":"y"})");
  EXPECT_THAT(reader_->advice(), ElementsAre());
  rows("a.csv", "a,b\n\"1\",\"2\"\n");
  EXPECT_THAT(reader_->advice(), ElementsAre());
  EXPECT_THAT(error("a.tsv", "\"text\"\t\"label\"\na\tb\n"),
              StartsWith("a.tsv:1:1: all names of the header stand in double quotes; say "
                         "has_quotes: true"));
}

TEST_F(ReaderTest, RefusesAHeaderThatIsNone) {
  EXPECT_THAT(error("a.csv", "1,1\n2,3\n"), StartsWith("a.csv:1:1: two columns are named \"1\""));
  EXPECT_THAT(rows("a.csv", ""), ElementsAre());
  EXPECT_THAT(rows("a.csv", "a,b\n"), ElementsAre());
}

TEST_F(ReaderTest, EndsRowsAtLineEndsOfEveryKind) {
  for (const std::string end : {"\n", "\r\n", "\r\r\n", "\r"}) {
    const auto lines = [&](const std::vector<std::string>& all) {
      std::string text;
      for (const std::string& line : all) text += line + end;
      return text;
    };
    SCOPED_TRACE(Json(end).dump());
    EXPECT_THAT(
        rows("a.csv", lines({"t,l", "a,x", "", "\"b\",y", "c,\"z\""})),
        ElementsAre(R"({"t":"a","l":"x"})", R"({"t":"b","l":"y"})", R"({"t":"c","l":"z"})"));
    EXPECT_THAT(lines_, ElementsAre(2, 4, 5));
    EXPECT_THAT(rows("a.tsv", lines({"t\tl", "a\tx"}) + "b\ty"),
                ElementsAre(R"({"t":"a","l":"x"})", R"({"t":"b","l":"y"})"));
    EXPECT_THAT(rows("a.jsonl", lines({R"({"a": 1})", "", R"({"a": 2})"})),
                ElementsAre(R"({"a":1})", R"({"a":2})"));
    EXPECT_THAT(rows("a.json", lines({"[", R"({"a": 1},)", "{", R"("a": 2})", "]"})),
                ElementsAre(R"({"a":1})", R"({"a":2})"));
    EXPECT_THAT(lines_, ElementsAre(2, 3));
    EXPECT_THAT(rows("a.conll", lines({"a B-X", "b O", "", "c O"})),
                ElementsAre(R"({"tokens":["a","b"],"tags":["B-X","O"]})",
                            R"({"tokens":["c"],"tags":["O"]})"));
    EXPECT_THAT(lines_, ElementsAre(1, 4));
    EXPECT_THAT(rows("a.txt", lines({"one", "", "two"})),
                ElementsAre(R"({"text":"one"})", R"({"text":""})", R"({"text":"two"})"));
    EXPECT_THAT(rows("a.data", lines({"t,l", "a,x"})), ElementsAre(R"({"t":"a","l":"x"})"));
    EXPECT_THAT(error("a.json", lines({"[{", "\"a\":", "x}]"})), StartsWith("a.json:3:1:"));
    EXPECT_THAT(error("a.csv", lines({"t,l", "\"p", "q\",1,2"})), StartsWith("a.csv:3:6:"));
  }
}

TEST_F(ReaderTest, MixesLineEndsInOneFileAndKeepsThemInQuotes) {
  EXPECT_THAT(rows("a.csv", "t,l\r\r\na,x\rb,y\n\"c\rd\",z\r\n\"e\r\nf\",z\r\r\ng,w"),
              ElementsAre(R"({"t":"a","l":"x"})", R"({"t":"b","l":"y"})", R"({"t":"c\rd","l":"z"})",
                          R"({"t":"e\r\nf","l":"z"})", R"({"t":"g","l":"w"})"));
  EXPECT_THAT(lines_, ElementsAre(2, 3, 4, 6, 8));
}

// A line end of several bytes may fall across the pieces in which a file is read.
TEST_F(ReaderTest, FindsLineEndsAcrossThePiecesOfAFile) {
  for (const std::string end : {"\r\n", "\r\r\n", "\r"}) {
    for (size_t before = (size_t{256} << 10) - 4; before <= size_t{256} << 10; ++before) {
      const std::string first(before, 'x');
      const std::vector<std::string> found = rows("a.txt", first + end + "b" + end);
      ASSERT_EQ(found.size(), 2U) << before;
      EXPECT_EQ(found[0].size(), before + std::string(R"({"text":""})").size());
      EXPECT_EQ(rows("a.csv", "t\n\"" + first + "\"" + end + "b" + end).size(), 2U) << before;
      EXPECT_EQ(rows("a.json", "{\"a\": \"" + first + "\"}" + end + "{\"a\": 1}").size(), 2U);
      EXPECT_EQ(lines_.back(), 2);
    }
  }
}

std::string csv_value(const std::string& value) {
  if (value.find_first_of(",\"\r\n") == std::string::npos && !value.empty()) return value;
  std::string out = "\"";
  for (const char c : value) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

RC_GTEST_FIXTURE_PROP(ReaderTest, ReadsBackAnyCsvThatIsWrittenByTheBook, ()) {
  const auto width = *rc::gen::inRange<size_t>(1, 5);
  const auto value =
      rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab,\"\r\n \t;\xC3")));
  const auto table = *rc::gen::container<std::vector<std::vector<std::string>>>(
      rc::gen::container<std::vector<std::string>>(
          width, rc::gen::map(value, [](std::string text) {  // keep it UTF-8
            std::string out;
            for (const char c : text) out += c == '\xC3' ? std::string("ä") : std::string(1, c);
            return out;
          })));
  std::string text;
  for (const auto& row : table) {
    for (size_t i = 0; i < width; ++i) text += (i > 0 ? "," : "") + csv_value(row[i]);
    text += "\r\n";
  }
  SourceOptions options;
  options.has_header = false;
  options.path = folder_.write("p.csv", text);
  const std::vector<Record> records = read_all(*open_reader(options));
  RC_ASSERT(records.size() == table.size());
  for (size_t r = 0; r < table.size(); ++r) {
    for (size_t i = 0; i < width; ++i)
      RC_ASSERT(records[r].fields[std::to_string(i)] == table[r][i]);
  }
}

// ---- CoNLL ----

TEST_F(ReaderTest, ReadsFirstAndLastColumnOfConll) {
  EXPECT_THAT(rows("a.conll",
                   "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nsays  VBZ\tI-VP O\n \t\nPeter NNP "
                   "I-NP I-PER\n"),
              ElementsAre(R"({"tokens":["EU","says"],"tags":["B-ORG","O"]})",
                          R"({"tokens":["Peter"],"tags":["B-PER"]})"));
  EXPECT_THAT(lines_, ElementsAre(3, 6));
  EXPECT_THAT(rows("a.conll", "one\ntwo\n\nthree\n"),
              ElementsAre(R"({"tokens":["one","two"]})", R"({"tokens":["three"]})"));
}

TEST_F(ReaderTest, ReadsNamedColumnsOfConll) {
  SourceOptions options = format("conll");
  options.columns = {"word", "pos", "", "ner"};
  EXPECT_THAT(rows("x", "EU NNP I-NP I-ORG\n", options),
              ElementsAre(R"({"word":["EU"],"pos":["NNP"],"ner":["B-ORG"]})"));
  options.fields = {{"tags", "pos"}, {"tokens", "word"}};
  options.tag_scheme = "none";
  EXPECT_THAT(rows("x", "EU NNP I-NP I-ORG\n", options),
              ElementsAre(R"({"tokens":["EU"],"tags":["NNP"],"ner":["I-ORG"]})"));
  options = format("conll");
  options.separator = "\t";
  EXPECT_THAT(rows("x", "New York\tB-LOC\n\tO\n", options),
              ElementsAre(R"({"tokens":["New York",""],"tags":["B-LOC","O"]})"));
}

TEST_F(ReaderTest, ConvertsEachSchemeToIob2) {
  const auto tags = [&](const std::string& text) {
    return Json::parse(rows("a.conll", text).at(0))["tags"].dump();
  };
  EXPECT_EQ(tags("a I-X\nb I-X\nc B-X\nd O\ne I-Y\n"), R"(["B-X","I-X","B-X","O","B-Y"])")
      << "IOB1";
  EXPECT_EQ(tags("a B-X\nb I-X\nc B-X\nd O\ne B-Y\n"), R"(["B-X","I-X","B-X","O","B-Y"])")
      << "IOB2";
  EXPECT_EQ(tags("a B-X\nb M-X\nc E-X\nd S-X\ne O\n"), R"(["B-X","I-X","I-X","B-X","O"])")
      << "BMES";
  EXPECT_EQ(tags("a B-X\nb I-X\nc E-X\nd S-X\ne O\n"), R"(["B-X","I-X","I-X","B-X","O"])")
      << "BIOES";
  EXPECT_EQ(tags("a B-X\nb I-X\nc L-X\nd U-X\ne O\n"), R"(["B-X","I-X","I-X","B-X","O"])")
      << "BILOU";
  EXPECT_EQ(tags("a NN\nb O\nc VBZ\n"), R"(["NN","O","VBZ"])") << "parts of speech";
}

TEST_F(ReaderTest, TellsTheSchemeByTheWholeFile) {
  // The first sentence is fine in IOB1 and tells nothing about touching spans; the last decides.
  std::string text;
  for (int i = 0; i < 50; ++i) text += "a I-X\n\n";
  text += "a I-X\nb B-X\n";
  EXPECT_EQ(rows("a.conll", text).back(), R"({"tokens":["a","b"],"tags":["B-X","B-X"]})");
  EXPECT_TRUE(reader_->repaired_rows().empty());
  text += "\na B-X\nb O\n";  // one slip against the scheme of the file
  EXPECT_EQ(rows("a.conll", text).back(), R"({"tokens":["a","b"],"tags":["B-X","O"]})");
  ASSERT_EQ(reader_->repaired_rows().size(), 1U);
  EXPECT_EQ(reader_->repaired_rows()[0].where.line, 104);
  EXPECT_THAT(reader_->repaired_rows()[0].reason, HasSubstr("\"B-X\" breaks the scheme IOB1"));
}

TEST_F(ReaderTest, RefusesTagsThatBreakANamedScheme) {
  SourceOptions options;
  options.tag_scheme = "IOB2";
  EXPECT_THAT(
      error("a.conll", "a O\nb I-X\n", options),
      StartsWith("a.conll:2: the tag \"I-X\" breaks the scheme IOB2: it goes on with a span"));
  EXPECT_THAT(error("a.conll", "a B-X\nb M-X\n", options),
              StartsWith("a.conll:2: the tag \"M-X\" is not of the scheme IOB2"));
  options.tag_scheme = "BIOES";
  EXPECT_THAT(
      error("a.conll", "a B-X\nb O\n", options),
      StartsWith(
          "a.conll:2: the tag \"O\" breaks the scheme BIOES: it comes before the span was ended"));
  EXPECT_THAT(error("a.conll", "a O\nb B-X\n", options),
              StartsWith("a.conll:2: the tag \"B-X\" breaks the scheme BIOES: the sentence ends"));
  options.tag_scheme = "IOB1";
  EXPECT_THAT(error("a.conll", "a O\nb B-X\n", options),
              StartsWith("a.conll:2: the tag \"B-X\" breaks the scheme IOB1"));
  EXPECT_THAT(error("a.conll", "a O\nb PER\nc B-X\nd B-X\n", {}),
              StartsWith("a.conll:2: the tag \"PER\" is not of the scheme"));
}

TEST_F(ReaderTest, RefusesASentenceWithAnOddLineAsAWhole) {
  EXPECT_THAT(error("a.conll", "a O\nb\nc O\n"),
              StartsWith("a.conll:2:1: 1 columns where 2 were expected"));
  EXPECT_THAT(rows("a.conll", "a O\nb\nc O\n\nd O\n", skipping()),
              ElementsAre(R"({"tokens":["d"],"tags":["O"]})"));
  EXPECT_EQ(reader_->bad_count(), 1);
}

TEST_F(ReaderTest, PassesOverCommentsOfConllWhereTheyAreNamed) {
  const std::string text = "# id = 1\nEU B-ORG\n\n#doc 3\n# O\n#tag O\nx B-Y\n";
  SourceOptions options = format("conll");
  options.comment = {"#"};
  EXPECT_THAT(rows("x", text, options),
              ElementsAre(R"({"tokens":["EU"],"tags":["B-ORG"]})",
                          R"({"tokens":["#","#tag","x"],"tags":["O","O","B-Y"]})"))
      << "a token that begins so is none";
  options.comment = {"# id", "#doc"};
  EXPECT_EQ(rows("x", text, options).size(), 2U);
  EXPECT_EQ(
      rows("x", "# id 52-a domain=en\na _ _ B-X\n\n# id 53 domain=en\nb _ _ O\n", options).size(),
      2U)
      << "a comment may have as many columns";
  EXPECT_EQ(rows("x", "a O\n# id = 2\nb O\n", options).size(), 2U) << "it ends a sentence";
}

TEST_F(ReaderTest, AdvisesToNameCommentsOfConll) {
  EXPECT_EQ(rows("a.conll", "# O\na O\n").front(), R"({"tokens":["#","a"],"tags":["O","O"]})");
  EXPECT_THAT(
      error("a.conll", "a O\n\n# id = 1\nb O\n"),
      StartsWith("a.conll:3:1: 4 columns where 2 were expected; where lines that begin with "
                 "# are comments, say comment: \"#\""));
  EXPECT_THAT(error("a.conll", "# id = 1\nb O\n"),
              StartsWith("a.conll:2:1: 2 columns where 4 were expected; where lines that begin"));
  EXPECT_THAT(error("a.conll", "a O\n\n%% doc one\nb O\n"), HasSubstr("say comment: \"%%\""));
}

TEST_F(ReaderTest, AdvisesToNameCommentsOfConllThatHaveTheWidthOfALine) {
  EXPECT_THAT(error("a.conll", "a B-X\nb O\n#doc 3\nc O\n"),
              AllOf(StartsWith("a.conll:3: the tag \"3\" is not of the scheme IOB2"),
                    HasSubstr("lines that begin with # are comments, say comment: \"#\"")));
  EXPECT_THAT(error("a.conll", "a _ _ B-X\n\n# id 5f2\tdomain=en\nb _ _ O\n"),
              HasSubstr("say comment: \"#\""));
  EXPECT_THAT(error("a.conll", "# O\na B-X\n%% doc\nc O\n"), HasSubstr("say comment: \"%%\""));
  EXPECT_THAT(error("a.conll", "# Q\na B-X\nc O\n"), HasSubstr("comment"));
  EXPECT_THAT(error("a.conll", "a B-X\nb Q-X\nc O\n"), Not(HasSubstr("comment")));
}

// ---- plain text ----

TEST_F(ReaderTest, KeepsEveryLineOfPlainText) {
  EXPECT_THAT(rows("a.txt", "one\n\n two \r\nthree"),
              ElementsAre(R"({"text":"one"})", R"({"text":""})", R"({"text":" two "})",
                          R"({"text":"three"})"));
  EXPECT_THAT(lines_, ElementsAre(1, 2, 3, 4));
}

// ---- formats ----

TEST_F(ReaderTest, TellsTheFormatByTheNameElseByTheFirstBytes) {
  EXPECT_THAT(rows("a.data", "{\"a\": 1}\n{\"a\": 2}\n"), ElementsAre(R"({"a":1})", R"({"a":2})"));
  EXPECT_THAT(rows("a.data", "{\n\"a\": 1}\n{\"a\": 2}\n"),
              ElementsAre(R"({"a":1})", R"({"a":2})"));
  EXPECT_THAT(rows("a.data", "[ {\"a\": 1} ]"), ElementsAre(R"({"a":1})"));
  EXPECT_THAT(rows("a.data", "a\tb\n1\t2\n"), ElementsAre(R"({"a":"1","b":"2"})"));
  EXPECT_THAT(rows("a.data", "a,b\n\"1,\",2\n"), ElementsAre(R"({"a":"1,","b":"2"})"));
  EXPECT_THAT(rows("a.train", "EU B-ORG\nis O\n"),
              ElementsAre(R"({"tokens":["EU","is"],"tags":["B-ORG","O"]})"));
  EXPECT_THAT(rows("a.txt", "EU B-ORG\nis O\n"),
              ElementsAre(R"({"tokens":["EU","is"],"tags":["B-ORG","O"]})"));
  EXPECT_THAT(rows("a.txt", "a,b\nc,d\n"), ElementsAre(R"({"text":"a,b"})", R"({"text":"c,d"})"));
  EXPECT_THAT(rows("A.JSONL", "{\"a\": 1}\n"), ElementsAre(R"({"a":1})"));
  EXPECT_THAT(error("a.data", "just some\nwords, here\n"),
              StartsWith("a.data: cannot tell the format"));
  EXPECT_THAT(error("a.data", ""), StartsWith("a.data: cannot tell the format"));
}

TEST_F(ReaderTest, NamesAMissingFile) {
  folder_.write("train.jsonl", "");
  SourceOptions options;
  options.path = folder_.path() + "/tran.jsonl";
  EXPECT_EQ(error_of([&] { open_reader(options); }),
            "tran.jsonl: no such file; did you mean \"train.jsonl\"?");
  options.path = folder_.path();
  EXPECT_THAT(error_of([&] { open_reader(options); }), HasSubstr("is a folder"));
}

// ---- fields ----

TEST_F(ReaderTest, MapsFieldNames) {
  SourceOptions options;
  options.fields = {{"text", "sentence"}, {"label", "meta.class"}, {"first", "list.0"}};
  EXPECT_THAT(
      rows("a.jsonl", R"({"text": "old", "sentence": "s", "meta": {"class": 3}, "list": ["x"]})",
           options),
      ElementsAre(R"({"text":"s","meta":{"class":3},"list":["x"],"first":"x","label":3})"));
  options.fields = {{"a", "b"}, {"b", "a"}};
  EXPECT_THAT(rows("a.jsonl", R"({"a": 1, "b": 2})", options), ElementsAre(R"({"b":1,"a":2})"));
  options.fields = {{"text", "sentense"}};
  EXPECT_THAT(error("a.jsonl", "{\"sentence\": \"s\", \"n\": 1}", options),
              StartsWith("a.jsonl:1: no field \"sentense\" (wanted as \"text\"); this row has "
                         "sentence, n; did you mean \"sentence\"?"));
}

// ---- bytes ----

std::string gzipped(const std::string& text) {
  z_stream state{};
  deflateInit2(&state, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&state, text.size()), '\0');
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  state.avail_in = static_cast<uInt>(text.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  deflate(&state, Z_FINISH);
  out.resize(state.total_out);
  deflateEnd(&state);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string many_lines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += "{\"n\": " + std::to_string(i) + ", \"text\": \"" +
            std::to_string(mix(1, static_cast<uint64_t>(i))) + "\"}\n";
  return text;
}

TEST_F(ReaderTest, ReadsPackedFilesOfSeveralPieces) {
  const std::string first = many_lines(20000), second = "{\"n\": -1}\n";
  const std::vector<std::string> expected = rows("a.jsonl", first + second);
  ASSERT_EQ(expected.size(), 20001U);
  EXPECT_EQ(rows("a.jsonl.gz", gzipped(first + second)), expected);
  EXPECT_EQ(rows("a.jsonl.gz", gzipped(first) + gzipped(second) + std::string(512, '\0')),
            expected);
  EXPECT_EQ(rows("a.jsonl.zst", zstd(first) + zstd(second)), expected);
  EXPECT_EQ(rows("a.jsonl", gzipped(first + second)), expected)
      << "packing shows in the bytes, not in the name";
  const auto [consumed, size] = reader_->position();
  EXPECT_EQ(consumed, size);
  EXPECT_LT(size, static_cast<int64_t>(first.size()));
}

TEST_F(ReaderTest, RefusesPackedFilesThatAreCutOffOrDamaged) {
  const std::string text = many_lines(20000);
  for (std::string packed : {gzipped(text), zstd(text)}) {
    const std::string name = packed[0] == '\x1F' ? "a.jsonl.gz" : "a.jsonl.zst";
    EXPECT_THAT(error(name, packed.substr(0, packed.size() / 2), skipping()),
                HasSubstr("the file is cut off"));
    EXPECT_THAT(error(name, packed.substr(0, packed.size() - 1), skipping()),
                HasSubstr("the file is cut off"));
    packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 0x55);
    EXPECT_NE(error(name, packed), "no error");
  }
  EXPECT_THAT(error("a.jsonl.gz", gzipped(text) + "tail"), HasSubstr("the gzip data are damaged"));
}

TEST_F(ReaderTest, PassesOverAByteOrderMark) {
  EXPECT_THAT(rows("a.csv", "\xEF\xBB\xBF\"a\",b\n1,2\n"), ElementsAre(R"({"a":"1","b":"2"})"));
  EXPECT_THAT(rows("a.json", "\xEF\xBB\xBF[{\"a\": 1}]"), ElementsAre(R"({"a":1})"));
  EXPECT_THAT(rows("a.txt", "\xEF\xBB\xBF"), ElementsAre());
}

std::string encoded(const std::u16string& text, const char* encoding) {
  UErrorCode status = U_ZERO_ERROR;
  UConverter* converter = ucnv_open(encoding, &status);
  std::string out(text.size() * 8 + 16, '\0');
  const int32_t size = ucnv_fromUChars(converter, out.data(), static_cast<int32_t>(out.size()),
                                       text.data(), static_cast<int32_t>(text.size()), &status);
  ucnv_close(converter);
  out.resize(static_cast<size_t>(size));
  return out;
}

TEST_F(ReaderTest, DecodesNamedEncodings) {
  std::u16string text;
  for (int i = 0; i < 30000; ++i)
    text += i % 3 == 0 ? u"酒店 ok\U0001F600\n"
                       : u"服务很好,价格\n";  // 540 kB: characters fall across all borders
  SourceOptions options;
  const std::vector<std::string> expected = rows("a.txt", encoded(text, "utf-8"), options);
  ASSERT_EQ(expected.size(), 30000U);
  for (const char* encoding : {"gb18030", "utf-16", "utf-16le", "UTF-16BE", "utf-32"}) {
    options.encoding = encoding;
    EXPECT_EQ(rows("a.txt", encoded(text, encoding), options), expected) << encoding;
  }
  options.encoding = "iso-8859-1";
  EXPECT_THAT(rows("a.txt", "caf\xE9\n", options), ElementsAre("{\"text\":\"café\"}"));
  options.encoding = "gb18030";
  EXPECT_THAT(error("a.txt", "ok\nab\xFFz\n", options),
              StartsWith("a.txt:2:3: a character here is not valid in the encoding gb18030"));
  options.on_bad_row = "skip";
  EXPECT_THAT(rows("a.txt", "ok\nab\xFFz\nfine\nend\xB7", options),
              ElementsAre(R"({"text":"ok"})", R"({"text":"fine"})"));
  EXPECT_EQ(reader_->bad_count(), 2);
}

TEST_F(ReaderTest, NamesTheLikelyEncodingOfBytesThatAreNotUtf8) {
  std::u16string chinese;
  for (int i = 0; i < 20; ++i)
    chinese += u"这家酒店的服务态度非常好，房间也很干净，下次还会再来。\n";
  EXPECT_THAT(error("a.txt", encoded(chinese, "gb18030")),
              StartsWith("a.txt:1:1: the byte 0xD5 is not UTF-8; the text looks like GB18030. If "
                         "it is, write \"encoding: GB18030\" beside its path"));
  EXPECT_THAT(error("a.txt", encoded(u"plain\n" + chinese, "utf-16")),
              HasSubstr("the text looks like UTF-16LE"));
  EXPECT_THAT(error("a.csv", "text,label\nfine,1\nun caf\xE9 tr\xE8s bon et pas cher du tout,1\n"),
              StartsWith("a.csv:3:7: the byte 0xE9 is not UTF-8; the text looks like ISO-8859-1"));
  const std::string mostly = encoded(chinese, "utf-8") + "bad \xE9\n" + encoded(chinese, "utf-8");
  EXPECT_THAT(error("a.txt", mostly), StartsWith("a.txt:21:5: the byte 0xE9 is not UTF-8"));
  EXPECT_EQ(rows("a.txt", mostly, skipping()).size(), 40U);
  EXPECT_EQ(reader_->bad_count(), 1);
}

TEST_F(ReaderTest, GuessesTheEncodingOnceForAFile) {
  // The first bad row speaks for all: the second alone would be taken for Chinese.
  const std::string text =
      "d\xE9j\xE0 vu, un caf\xE9 tr\xE8s bon et pas cher du tout\nplain\n" +
      encoded(u"这家酒店的服务态度非常好，房间也很干净，下次还会再来。\n", "gb18030");
  EXPECT_THAT(rows("a.txt", text, skipping()), ElementsAre(R"({"text":"plain"})"));
  ASSERT_EQ(reader_->bad_count(), 2);
  const auto guess = [&](size_t row) {
    const std::string reason = reader_->bad_rows()[row].reason;
    return reason.substr(reason.find("; "));
  };
  EXPECT_EQ(guess(0), guess(1));
}

TEST_F(ReaderTest, NamesTheByteOrderThatNulBytesShow) {
  const auto advice = [&](const char* encoding) {
    return error("a.txt", encoded(u"plain words\nand more\n", encoding));
  };
  EXPECT_THAT(advice("utf-16le"),
              AllOf(HasSubstr("\"encoding: utf-16le\""), Not(HasSubstr("16be"))));
  EXPECT_THAT(advice("utf-16be"),
              AllOf(HasSubstr("\"encoding: utf-16be\""), Not(HasSubstr("16le"))));
}

TEST_F(ReaderTest, RefusesNulBytes) {
  using std::string_literals::operator""s;
  EXPECT_THAT(error("a.txt", "a\nb\0c\n"s), StartsWith("a.txt:2:2: a NUL byte"));
  EXPECT_THAT(error("a.jsonl", "{\"a\": \"\0\"}\n"s), StartsWith("a.jsonl:1:8: a NUL byte"));
  EXPECT_THAT(error("a.csv", "a,b\n1,\0\n"s), StartsWith("a.csv:2:3: a NUL byte"));
  EXPECT_THAT(error("a.csv", "a,b\n\"1\n\0\",2\n"s), StartsWith("a.csv:3:1: a NUL byte"));
  EXPECT_THAT(error("a.conll", "a O\n\0 O\n"s), StartsWith("a.conll:2:1: a NUL byte"));
  EXPECT_THAT(error("a.json", "[{\"a\": \"\0\"}]"s), StartsWith("a.json:1:9: a NUL byte"));
}

TEST_F(ReaderTest, ReadsRowsOfManyMegabytes) {
  const std::string large(5 << 20, 'x');
  for (const std::string& text : {"{\"text\": \"" + large + "\"}\n{\"text\": \"b\"}\n"}) {
    EXPECT_EQ(rows("a.jsonl", text).size(), 2U);
    EXPECT_EQ(rows("a.json", text).size(), 2U);
  }
  EXPECT_EQ(rows("a.csv", "a,b\n\"" + large + "\n\"," + large + "\n1,2\n").size(), 2U);
  EXPECT_EQ(rows("a.txt", large + "\n" + large).size(), 2U);
  EXPECT_EQ(rows("a.conll", large + " O\n").size(), 1U);
}

TEST_F(ReaderTest, ReadsLinesOfUpTo64Mebibytes) {
  const std::string longest(size_t{64} << 20, 'x');
  EXPECT_EQ(rows("a.txt", longest + "\r\nb").size(), 2U);
  EXPECT_EQ(rows("a.txt", longest).size(), 1U);
  EXPECT_THAT(error("a.txt", "b\n" + longest + "x\n"),
              StartsWith("a.txt:2:1: a row longer than 64 MiB begins here"));
}

TEST_F(ReaderTest, EndsWhereARowHasNoEnd) {
  EXPECT_THAT(error("a.csv", "a,b\n\"" + std::string(70 << 20, 'x'), skipping()),
              HasSubstr("a.csv:2:1: a row longer than 64 MiB"));
}

TEST_F(ReaderTest, KeepsMessagesShortWhateverANameIsLong) {
  const std::string name(3 << 20, 'n');
  for (const std::string& message :
       {error("a.csv", name + "," + name + "\n1,2\n"),
        error("a.csv", name + ",b\n1,2\n", mapped("t", "x")),
        error("a.jsonl", "{\"" + name + "\": 1, \"" + name + "\": 2}\n")}) {
    EXPECT_THAT(message, StartsWith("a."));
    EXPECT_LT(message.size(), 5000U);
  }
  EXPECT_THAT(error("a.csv", name + "," + name + "\n"), HasSubstr("has_header: false"))
      << "what to do stands at the end and stays";
}

TEST_F(ReaderTest, RefusesRowsOfMoreValuesThanAnyRowHas) {
  const auto repeated = [](const std::string& text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  const int many = (1 << 19) + 1;
  EXPECT_THAT(error("a.csv", "a,b\n" + repeated(",", many) + "\n"),
              StartsWith("a.csv:2:1: more than 524288 columns; is the separator right?"));
  EXPECT_THAT(error("a.jsonl", "{\"a\": [" + repeated("0,", many) + "0]}\n"),
              HasSubstr("more than 524288 values"));
  EXPECT_THAT(error("a.json", "[{\"a\": [" + repeated("[],", many) + "0]}]\n"),
              HasSubstr("more than 524288 values"));
  const std::string sentence = repeated("a O\n", many / 2 + 1);
  EXPECT_THAT(
      error("a.conll", "b O\n\n" + sentence),
      StartsWith("a.conll:3: a sentence of more than 64 MiB or 524288 values begins here; is "
                 "it sentences without blank lines between them?"));
  EXPECT_EQ(rows("a.conll", sentence + "\nb O\n", skipping()).size(), 1U);
  EXPECT_EQ(
      rows("a.csv", "a,b\n" + repeated(",", many) + "\n\"" + repeated("\",\"", many) + "\"\n1,2\n",
           skipping())
          .size(),
      1U);
}

TEST_F(ReaderTest, CountsAllBadRowsAndKeepsTheFirstThousand) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += i % 3 == 0 ? "{\"n\": 1}\n" : "{bad\n";
  EXPECT_EQ(rows("a.jsonl", text, skipping()).size(), 1000U);
  EXPECT_EQ(reader_->bad_count(), 2000);
  ASSERT_EQ(reader_->bad_rows().size(), 1000U);
  EXPECT_EQ(reader_->bad_rows()[0].where.line, 2);
  EXPECT_EQ(reader_->bad_rows()[0].where.column, 2);
  EXPECT_THAT(reader_->bad_rows()[0].reason, HasSubstr("a key in quotes was expected"));
}

// ---- options ----

SourceOptions read_options(const std::string& yaml) {
  Config section = Config::parse(yaml, "c");
  SourceOptions options = SourceOptions::read(section);
  section.refuse_unknown();
  Config again = Config::parse(section.resolved(), "again");
  const SourceOptions twice = SourceOptions::read(again);
  EXPECT_EQ(section.resolved(), again.resolved());
  EXPECT_EQ(twice.columns, options.columns);
  EXPECT_EQ(twice.fields, options.fields);
  EXPECT_EQ(twice.has_quotes, options.has_quotes);
  return options;
}

TEST(SourceOptions, ComeFromAConfiguration) {
  const SourceOptions plain = read_options("path: a.csv\n");
  EXPECT_TRUE(plain.has_header);
  EXPECT_FALSE(plain.has_quotes.has_value());
  const SourceOptions full = read_options(
      "path: a\nformat: tsv\nseparator: tab\ncolumns: [text, label]\nhas_quotes: yes\nmax_columns: "
      "2\nfields: {text: sentence}\n"
      "on_bad_row: skip\nencoding: GBK\ntag_scheme: bio\n");
  EXPECT_FALSE(full.has_header) << "named columns mean that there is no header";
  EXPECT_EQ(full.has_quotes, true);
  EXPECT_EQ(full.separator, "\t");
  EXPECT_EQ(full.fields.at("text"), "sentence");
  EXPECT_TRUE(read_options("path: a\ncolumns: [x]\nhas_header: true\n").has_header);
}

TEST(SourceOptions, RefuseWhatTheyDoNotKnow) {
  EXPECT_THAT(error_of([] { read_options("path: a\nencoding: klingon\n"); }),
              StartsWith("c:2:11: the encoding \"klingon\" is not known"));
  EXPECT_THAT(error_of([] { read_options("path: a\nformat: jsonlines\n"); }),
              StartsWith("c:2:9: \"format\" is \"jsonlines\"; it must be one of"));
  EXPECT_THAT(error_of([] { read_options("path: a\ntag_scheme: IBO\n"); }),
              HasSubstr("it must be one of auto, IOB1, IOB2"));
  EXPECT_THAT(error_of([] { read_options("path: a\nmax_columns: -1\n"); }), StartsWith("c:2:14:"));
  EXPECT_THAT(error_of([] { read_options("path: a\ncolumns: [x, '', y, '', x]\n"); }),
              StartsWith("c:2:10: \"columns\" names \"x\" twice"));
  EXPECT_THAT(error_of([] { read_options("path: a\ncomment: ''\n"); }),
              StartsWith("c:2:10: \"comment\" is empty"));
  EXPECT_THAT(error_of([] { read_options("path: []\n"); }),
              StartsWith("c:1:7: \"path\" lists no file"));
  EXPECT_THAT(error_of([] { read_options("format: csv\n"); }), HasSubstr("\"path\" is missing"));
  EXPECT_THAT(error_of([] { read_options("path: a\nhas_qoutes: true\n"); }),
              HasSubstr("did you mean \"has_quotes\"?"));
}

}  // namespace
}  // namespace hone
