// Damaged files: whatever the bytes, a reader gives records or an Error. It never crashes, hangs or
// throws anything else.
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdlib>

#include "base/random.h"
#include "reader_testing.h"

namespace hone {
namespace {

struct Sound {
  const char* name;
  std::string bytes;
  SourceOptions options;
};

// HONE_ATTACK=1 asks for the long form.
int rounds() { return std::getenv("HONE_ATTACK") != nullptr ? 200'000 : 1500; }

SourceOptions options_of(const std::string& format, const std::string& encoding = "utf-8") {
  SourceOptions options;
  options.format = format;
  options.encoding = encoding;
  return options;
}

std::string packed(const std::string& text, bool with_zstd) {
  std::string out(text.size() * 2 + 256, '\0');
  if (with_zstd) {
    out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1));
    return out;
  }
  z_stream state{};
  deflateInit2(&state, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  state.avail_in = static_cast<uInt>(text.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  deflate(&state, Z_FINISH);
  out.resize(state.total_out);
  deflateEnd(&state);
  return out;
}

SourceOptions with_comments() {
  SourceOptions options = options_of("conll");
  options.comment = {"#"};
  return options;
}

SourceOptions with_fields() {
  SourceOptions options = options_of("json");
  options.fields = {{"text", "a"}, {"label", "b.0"}};
  return options;
}

SourceOptions with_columns() {
  SourceOptions options = options_of("csv");
  options.separator = "||";
  options.max_columns = 2;
  options.has_header = false;
  return options;
}

SourceOptions with_rows() {
  SourceOptions options = options_of("json");
  options.rows = "n.train";
  options.columns = {"text", "label"};
  return options;
}

SourceOptions with_xml() {
  SourceOptions options = options_of("xml");
  options.rows = "a.b";
  options.each = "t";
  options.forms = {{"at", "integer"}};
  return options;
}

SourceOptions with_forms(const std::string& form) {
  SourceOptions options = options_of("jsonl");
  options.forms = {{"v", form}};
  return options;
}

SourceOptions beside_another() {
  SourceOptions options = options_of("aligned");
  options.beside = {{"label", "beside"}};
  return options;
}

SourceOptions with_names() {
  SourceOptions options = options_of("jsonl");
  options.names = {{"tags", {"O", "B-X"}}};
  return options;
}

std::vector<Sound> sound_files() {
  const std::string jsonl =
      "{\"text\": \"a \\u4e2d \\\"q\\\"\", \"tokens\": [\"x\", 1.5e3, null, true]}\n\n{\"text\": "
      "\"中文 é\"}\r\n{\"n\": {\"m\": [[]]}}\n";
  const std::string json =
      "[\n {\"text\": \"a, ] }\", \"n\": [1, 2]},\n {\"text\": \"中\\\\\"}\n]\n";
  const std::string squad =
      "{\"version\": 1, \"data\": [{\"title\": \"t\", \"paragraphs\": [{\"qas\": [{\"id\": \"a "
      "]\", "
      "\"answers\": []},\n {}], \"context\": \"中, }\"}, {\"context\": \"\", \"qas\": []}]}, "
      "{\"paragraphs\": []}]}\n";
  const std::string csv = "text,label\r\n\"a, \"\"b\"\"\",x\r\n\"line\nbreak\",y\r\nplain 中,z\r\n";
  const std::string tsv = "text\tlabel\na b\tx\n\"q\ty\n";
  const std::string conll =
      "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nsays VBZ I-VP O\n\nPeter NNP I-NP I-PER\nX NNP "
      "I-NP B-PER\n";
  const std::string bmes = "中 B-X\n文 M-X\n字 E-X\n好 S-Y\n坏 O\n\n上 B-Z\n海 E-Z\n";
  return {
      {"jsonl", jsonl, options_of("jsonl")},
      {"json", json, options_of("json")},
      {"objects", "{\"a\": 1}\n{\n\"b\": \"x\"\n}\n", options_of("json")},
      {"squad", squad, options_of("squad")},
      {"csv", csv, options_of("csv")},
      {"tsv", tsv, options_of("tsv")},
      {"conll", conll, options_of("conll")},
      {"bmes", bmes, options_of("conll")},
      {"text", "one\n中文\n\nthree", options_of("text")},
      {"returns", "text,label\r\r\n\"a\rb\",x\r\r\n\r\"c\",y\rd,z\r\n", options_of("csv")},
      {"comments", "# id = 1\na B-X\n# O\n\n#doc 2\nb O\n", with_comments()},
      {"one_line", R"([{"a": "x", "b": [1, 2]}, {"a": "y", "b": [{"c": 0}]}])", with_fields()},
      {"last_column", "a||b||\"c\"\n\"d||\"\"\"||e\n\n\"\"||f\n", with_columns()},
      {"semeval", "1\t\"<e1>a</e1> <e2>中</e2>\"\r\nX(e1,e2)\r\nComment:\r\n\r\n2\tb\nOther\n",
       options_of("semeval")},
      {"rows", R"({"m": [[{"x": "]"}], 1], "n": {"train": [["a", 1], ["b", 2]], "t": {}}})",
       with_rows()},
      {"xml",
       "<?xml version='1.0'?><!DOCTYPE a [<!ELEMENT b ANY>]>\n<a k=\">\"><!-- x --><c/>\r\n"
       "<b><t at='1'>x &lt; &#233;</t><t at=\"2\"><![CDATA[ <y> ]]></t></b><b><t at='3'>m <i>n</i>"
       "</t></b></a>\n",
       with_xml()},
      {"aligned", "one\r\n中\n\nthree", beside_another()},
      {"brat",
       "T1\tP 0 3\tZoë\nT2\tP 4 7;8 10\tmet Bo\nR1\tKnows Arg1:T1 Arg2:T2\n#1\tNote T1\tx\n",
       options_of("brat")},
      {"doccano",
       "{\"text\": \"a 中\", \"label\": [[0, 1, \"X\"]]}\n{\"text\": \"b\", \"entities\": "
       "[{\"id\": "
       "1, \"label\": \"Y\", \"start_offset\": 0, \"end_offset\": 1}], \"relations\": "
       "[{\"from_id\": 1, "
       "\"to_id\": 2, \"type\": \"z\"}]}\n",
       options_of("doccano")},
      {"label_studio",
       R"([{"data": {"text": "🙂 ab"}, "annotations": [{"was_cancelled": true, "result": []},)"
       R"( {"result": [{"id": "s", "type": "labels", "value": {"start": 3, "end": 5, "text": "ab",)"
       R"( "labels": ["X"]}}, {"type": "choices", "from_name": "c", "value": {"choices": ["d"]}},)"
       R"( {"type": "relation", "from_id": "s", "to_id": "s", "direction": "bi", "labels": ["r"]})"
       R"(]}]}, {"data": {}}])",
       options_of("label_studio")},
      {"alpaca",
       R"([{"instruction": "a 中", "input": "b", "output": "c", "history": [["d", "e"]]},)"
       "\n"
       R"( {"instruction": "x", "output": "y", "system": "z"}])",
       options_of("alpaca")},
      {"sharegpt",
       R"({"conversations": [{"from": "human", "value": "é"}, {"from": "function_call", "value":)"
       R"( "{\"name\": \"f\", \"arguments\": \"{}\"}"}, {"from": "tool", "value": "1"}],)"
       R"( "tools": "[]"})"
       "\n"
       R"({"conversations": [{"from": "gpt", "value": "a"}], "system": "s"})",
       options_of("sharegpt")},
      {"by_type", "{\"v\": {\"X\": {\"ab\": [[0, 1], [4, 5]]}}}\n{\"v\": {}}\n",
       with_forms("by_type")},
      {"triples", "{\"v\": [[0, 1, \"X\"], [2, 3, \"Y\"]]}\n", with_forms("triples")},
      {"span_of", "{\"t\": \"a中b\", \"v\": \"(1, 2)\"}\n{\"t\": \"a\", \"v\": [0, 1]}\n",
       with_forms("span_of t")},
      {"names", "{\"tags\": [0, 1, \"1\"]}\n{\"tags\": 1}\n", with_names()},
      {"folder", "a text\r\n中\rof lines\n\n", options_of("folder")},
      {"guess", csv, options_of("auto")},
      {"guess_conll", bmes, options_of("auto")},
      {"gzip", packed(jsonl, false), options_of("jsonl")},
      {"zstd", packed(jsonl, true), options_of("jsonl")},
      {"gb18030", "\xD6\xD0\xCE\xC4,\x81\x30\x81\x30\n\xB7\xFE,x\n", options_of("csv", "gb18030")},
      {"utf16",
       std::string(
           "\xFF\xFE\x61\x00\x2C\x00\x62\x00\x0A\x00\x2D\x4E\x2C\x00\x3D\xD8\x00\xDE\x0A\x00", 20),
       options_of("csv", "utf-16")},
      {"shift_jis", "\x93\xFA\x96\x7B,b\n\x8C\xEA,c\n", options_of("csv", "shift_jis")}};
}

class Damage : public testing::TestWithParam<Sound> {
 protected:
  // Reads the bytes under both rules for bad rows; a reader that skips must count what it passed
  // over.
  void read(const std::string& bytes) {
    for (const char* rule : {"error", "skip"}) {
      SourceOptions options = GetParam().options;
      options.on_bad_row = rule;
      options.path = folder_.write(options.format == "brat" ? "damaged.ann" : "damaged", bytes);
      folder_.write("damaged.txt", "Zoë met Bo");  // the text that brat's annotations stand beside
      if (!options.beside.empty())
        options.beside = {{"label", folder_.write("beside", GetParam().bytes)}};
      try {
        const auto reader = open_reader(options);
        const std::vector<Record> records = read_all(*reader);
        rows_ += static_cast<int64_t>(records.size());
        for (const Record& record : records) {
          ASSERT_TRUE(record.fields.is_object());
          ASSERT_GE(record.line, 1);
          ASSERT_NO_THROW(record.fields.dump()) << "what is read is UTF-8";
        }
        ASSERT_EQ(static_cast<size_t>(reader->bad_count()), reader->bad_rows().size());
      } catch (const Error& error) {
        ASSERT_EQ(error.kind(), ErrorKind::kData) << error.what();
        ASSERT_FALSE(error.where().file.empty()) << error.what();
        ++errors_;
      }
    }
  }

  TemporaryFolder folder_;
  int64_t rows_ = 0, errors_ = 0;
};

TEST_P(Damage, SoundFilesAreRead) {
  read(GetParam().bytes);
  EXPECT_EQ(errors_, 0);
  EXPECT_GE(rows_, 2);  // one for each rule
}

TEST_P(Damage, CutOffAnywhere) {
  for (size_t size = 0; size < GetParam().bytes.size(); ++size)
    read(GetParam().bytes.substr(0, size));
}

TEST_P(Damage, ChangedBytes) {
  RandomStream random(7);
  const std::string odd("\0\n\r\t \",[]{}:\\\xFF\xC3\xE4-OBI\x1F\x8B#|<>&;(", 29);
  for (int round = 0; round < rounds(); ++round) {
    std::string bytes = GetParam().bytes;
    for (uint64_t changes = 1 + random.below(4); changes > 0; --changes) {
      const size_t at = random.below(bytes.size());
      const char value = random.below(2) == 0 ? odd[random.below(odd.size())]
                                              : static_cast<char>(random.below(256));
      switch (random.below(3)) {
        case 0:
          bytes[at] = value;
          break;
        case 1:
          bytes.insert(at, 1 + random.below(3), value);
          break;
        default:
          bytes.erase(at, 1 + random.below(8));
          break;
      }
      if (bytes.empty()) bytes = "x";
    }
    read(bytes);
    ASSERT_FALSE(HasFatalFailure());
  }
  EXPECT_GT(rows_ + errors_, rounds());
}

INSTANTIATE_TEST_SUITE_P(Files, Damage, testing::ValuesIn(sound_files()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hone
