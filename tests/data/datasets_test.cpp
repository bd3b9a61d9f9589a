// The readers on published data sets, against the number of rows that their sources state.
#include <gtest/gtest.h>

#include <map>

#include "data/reader.h"
#include "shared_files.h"

namespace hone {
namespace {

struct DataSet {
  const char* name;
  const char* path;
  int64_t rows;
  SourceOptions options;
  std::vector<std::string> names;  // fields of each record
  int64_t repaired = 0;
};

void PrintTo(const DataSet& set, std::ostream* out) { *out << set.path; }

SourceOptions with(std::vector<std::string> columns, std::string format, std::string separator = "",
                   int64_t max_columns = 0) {
  SourceOptions options;
  options.columns = std::move(columns);
  options.has_header = options.columns.empty();
  options.format = std::move(format);
  options.separator = std::move(separator);
  options.max_columns = max_columns;
  return options;
}

// "$" is the folder of the set's file.
SourceOptions by_keys(const std::string& keys) {
  Config section = Config::parse("{path: x, " + keys + "}", "c");
  return SourceOptions::read(section);
}

class DataSets : public testing::TestWithParam<DataSet> {};

TEST_P(DataSets, HaveTheirPublishedNumberOfRows) {
  const DataSet& set = GetParam();
  SourceOptions options = set.options;
  options.path = shared_path("data/" + std::string(set.path));
  HONE_NEEDS_SHARED(options.path);
  for (auto& [field, path] : options.beside)
    path.replace(0, 1, std::filesystem::path(options.path).parent_path().string());
  const auto reader = open_reader(options);
  int64_t rows = 0, repaired = 0, last_line = 0;
  std::string last_file;
  while (const std::optional<Record> record = reader->next()) {
    ++rows;
    repaired += record->is_repaired ? 1 : 0;
    if (*record->file == last_file) {
      ASSERT_GT(record->line, last_line);
    }
    last_line = record->line;
    last_file = *record->file;
    for (const std::string& name : set.names)
      ASSERT_TRUE(record->fields.contains(name))
          << record->where().str() << ": " << record->fields.dump();
    if (record->fields.contains("tags")) {
      ASSERT_EQ(record->fields["tags"].size(), record->fields["tokens"].size())
          << record->where().str();
    }
  }
  EXPECT_EQ(rows, set.rows);
  EXPECT_EQ(reader->bad_count(), 0);
  EXPECT_EQ(repaired, set.repaired);
  EXPECT_EQ(reader->position().first, reader->position().second);
}

const SourceOptions kAuto;
const std::vector<std::string> kTagged = {"tokens", "tags"};

INSTANTIATE_TEST_SUITE_P(
    Published, DataSets,
    testing::Values(
        DataSet{
            "banking77", "classification/banking77/train.csv", 10003, kAuto, {"text", "category"}},
        DataSet{
            "banking77", "classification/banking77/test.csv", 3080, kAuto, {"text", "category"}},
        DataSet{"sst2",
                "classification/sst2/train.tsv",
                6920,
                with({"label", "text"}, "auto"),
                {"label", "text"}},
        DataSet{"sst2",
                "classification/sst2/dev.tsv",
                872,
                with({"label", "text"}, "auto"),
                {"label", "text"}},
        DataSet{"sst2",
                "classification/sst2/test.tsv",
                1821,
                with({"label", "text"}, "auto"),
                {"label", "text"}},
        DataSet{"trec",
                "classification/trec/TREC.train",
                5452,
                with({"label", "text"}, "csv", " ", 2),
                {"label", "text"}},
        DataSet{"trec",
                "classification/trec/TREC.test",
                500,
                with({"label", "text"}, "tsv", " ", 2),
                {"label", "text"}},
        DataSet{"goemotions",
                "classification/goemotions/train.tsv",
                12000,
                with({"text", "labels", "id"}, "auto"),
                {"text", "labels"}},
        DataSet{"goemotions",
                "classification/goemotions/dev.tsv",
                5426,
                with({"text", "labels", "id"}, "auto"),
                {"text", "labels"}},
        DataSet{"goemotions",
                "classification/goemotions/test.tsv",
                5427,
                with({"text", "labels", "id"}, "auto"),
                {"text", "labels"}},
        DataSet{"chnsenticorp",
                "classification/chnsenticorp/train.tsv",
                9600,
                kAuto,
                {"label", "text_a"}},
        DataSet{"chnsenticorp",
                "classification/chnsenticorp/dev.tsv",
                1200,
                kAuto,
                {"label", "text_a"}},
        DataSet{"chnsenticorp",
                "classification/chnsenticorp/test.tsv",
                1200,
                kAuto,
                {"label", "text_a"}},
        DataSet{"waimai",
                "classification/waimai_10k/waimai_10k.csv",
                11987,
                kAuto,
                {"label", "review"}},
        DataSet{"ag_news",
                "classification/ag_news/test.csv",
                7600,
                with({"class", "title", "description"}, "auto"),
                {"class", "title"}},
        DataSet{"thucnews",
                "classification/thucnews_titles/dev.txt",
                10000,
                with({"title", "class"}, "tsv"),
                {"title", "class"}},
        DataSet{"tnews", "clue/tnews/train.json", 10000, kAuto, {"label", "sentence"}},
        DataSet{"tnews", "clue/tnews/dev.json", 2000, kAuto, {"label", "sentence"}},
        DataSet{"fewclue", "clue/fewclue_tnews/train_0.json", 240, kAuto, {"label", "sentence"}},
        DataSet{
            "fewclue", "clue/fewclue_iflytek/test_public.json", 875, kAuto, {"label", "sentence"}},
        DataSet{"conll2003", "ner/conll2003/eng.train", 14041, kAuto, kTagged, 2},
        DataSet{"conll2003", "ner/conll2003/eng.testa", 3250, kAuto, kTagged},
        DataSet{"conll2003", "ner/conll2003/eng.testb", 3453, kAuto, kTagged},
        DataSet{"conll2003",
                "ner/conll2003/eng.testb",
                3453,
                with({"tokens", "pos", "chunk", "tags"}, "conll"),
                {"tokens", "pos", "chunk", "tags"}},
        DataSet{"wnut17", "ner/wnut17/wnut17train.conll", 3394, kAuto, kTagged},
        DataSet{"wnut17", "ner/wnut17/emerging.dev.conll", 1009, kAuto, kTagged},
        DataSet{"wnut17", "ner/wnut17/emerging.test.annotated", 1287, kAuto, kTagged},
        DataSet{"resume", "ner/resume_zh/train.char.bmes", 3821, kAuto, kTagged, 4},
        DataSet{"resume", "ner/resume_zh/dev.char.bmes", 463, kAuto, kTagged},
        DataSet{"resume", "ner/resume_zh/test.char.bmes", 477, kAuto, kTagged},
        DataSet{"weibo", "ner/weibo_zh/weiboNER_2nd_conll.train", 1350, kAuto, kTagged, 8},
        DataSet{"weibo", "ner/weibo_zh/weiboNER_2nd_conll.dev", 270, kAuto, kTagged},
        DataSet{"weibo", "ner/weibo_zh/weiboNER_2nd_conll.test", 270, kAuto, kTagged, 4},
        DataSet{"cluener", "ner/cluener2020/train.json", 10748, kAuto, {"text", "label"}},
        DataSet{"cluener", "ner/cluener2020/dev.json", 1343, kAuto, {"text", "label"}},
        DataSet{"cluener",
                "ner/cluener2020/train.json",
                10748,
                by_keys("fields: {entities: label}, forms: {entities: by_type}"),
                {"text", "entities"}},
        DataSet{"cluener",
                "ner/cluener2020/dev.json",
                1343,
                by_keys("fields: {entities: label}, forms: {entities: by_type}"),
                {"text", "entities"}},
        DataSet{"snips",
                "intent_slot/snips/train/seq.in",
                13084,
                by_keys("beside: {tags: $/seq.out, label: $/label}, fields: {tokens: text}, forms: "
                        "{tokens: words, tags: words}"),
                {"tokens", "tags", "label"}},
        DataSet{"atis",
                "intent_slot/atis/test/seq.in",
                893,
                by_keys("beside: {tags: $/seq.out, label: $/label}, fields: {tokens: text}, forms: "
                        "{tokens: words, tags: words}"),
                {"tokens", "tags", "label"}},
        DataSet{"multi30k",
                "translation/multi30k_en_de/train.en",
                29000,
                by_keys("beside: {target: $/train.de}"),
                {"text", "target"}},
        DataSet{"advglue",
                "robustness/advglue/dev.json",
                148,
                by_keys("rows: sst2"),
                {"idx", "sentence", "label"}},
        DataSet{"advglue", "robustness/advglue/dev.json", 121, by_keys("rows: mnli"), {"premise"}},
        DataSet{"advglue",
                "robustness/advglue/dev.json",
                81,
                by_keys("rows: rte"),
                {"sentence1", "sentence2"}},
        DataSet{"clinc150",
                "classification/clinc150/data_full.json",
                15000,
                by_keys("rows: train, columns: [text, label]"),
                {"text", "label"}},
        DataSet{"clinc150",
                "classification/clinc150/data_full.json",
                1000,
                by_keys("rows: oos_test, columns: [text, label]"),
                {"text", "label"}},
        DataSet{"mvsa",
                "multimodal/mvsa_tweets/labels.csv",
                130,
                by_keys("fields: {label: tag}, texts: {text: 'data/{guid}.txt'}"),
                {"text", "label"}},
        DataSet{"subjqa",
                "qa/subjqa_restaurants/train.csv",
                2561,
                by_keys("fields: {context: review, answers: human_ans_indices}, forms: {answers: "
                        "span_of context}"),
                {"context", "answers"}},
        DataSet{"cmrc2018",
                "qa/cmrc2018/cmrc2018_dev.json",
                3219,
                kAuto,
                {"question", "context", "answers"}},
        DataSet{"cmrc2018",
                "qa/cmrc2018/cmrc2018_trial.json",
                1002,
                kAuto,
                {"question", "context", "answers"}},
        DataSet{"xquad", "qa/xquad/xquad.zh.json", 1190, kAuto, {"question", "context", "answers"}},
        DataSet{"semeval2010_task8",
                "relation/semeval2010_task8/TRAIN_FILE.TXT",
                8000,
                by_keys("format: semeval"),
                {"text", "relation"}},
        DataSet{"semeval2010_task8",
                "relation/semeval2010_task8/TEST_FILE_FULL.TXT",
                2717,
                by_keys("format: semeval"),
                {"text", "relation"}},
        DataSet{"literature_zh",
                "relation/literature_zh/Training",
                100,
                by_keys("format: brat"),
                {"text", "entities", "relations"},
                87},
        DataSet{"literature_zh",
                "relation/literature_zh/Testing",
                25,
                by_keys("format: brat"),
                {"text", "entities", "relations"},
                23},
        DataSet{"fewclue_eprstmt",
                "clue/fewclue_eprstmt/train_few_all.json",
                160,
                kAuto,
                {"label", "sentence"}},
        DataSet{"fewclue_bustm",
                "clue/fewclue_bustm/test_public.json",
                1772,
                kAuto,
                {"label", "sentence1", "sentence2"}},
        DataSet{"fewclue_ocnli",
                "clue/fewclue_ocnli/test_public.json",
                2520,
                kAuto,
                {"label", "sentence1", "sentence2"}},
        DataSet{"fewclue_csldcp",
                "clue/fewclue_csldcp/test_public.json",
                1784,
                kAuto,
                {"label", "content"}},
        DataSet{"fewclue_csl",
                "clue/fewclue_csl/test_public.json",
                1500,
                by_keys("forms: {keyword: joined}"),
                {"label", "abst", "keyword"}},
        DataSet{"fewclue_chid",
                "clue/fewclue_chid/test_public.json",
                1001,
                kAuto,
                {"content", "candidates", "answer"}},
        DataSet{"fewclue_cluewsc",
                "clue/fewclue_cluewsc/test_public.json",
                976,
                by_keys("fields: {noun: target.span1_text}"),
                {"label", "text", "noun"}},
        DataSet{
            "dialogsum", "summarization/dialogsum/dialogsum.dev.jsonl", 500, kAuto, {"dialogue"}},
        DataSet{"alpaca",
                "instruction/llamafactory_demo/alpaca_zh_demo.json",
                1000,
                kAuto,
                {"instruction", "output"}},
        DataSet{"movielens",
                "recommendation/movielens_latest_small/movies.csv",
                9742,
                kAuto,
                {"Id", "title", "genres"}},
        DataSet{"sick",
                "sentence_pair/sick/SICK_test_annotated.txt",
                4927,
                with({}, "tsv"),
                {"sentence_A", "sentence_B"}},
        DataSet{"imdb_contrast",
                "robustness/imdb_contrast/test_original.tsv",
                488,
                kAuto,
                {"Sentiment", "Text"}}),
    [](const testing::TestParamInfo<DataSet>& info) {
      return std::string(info.param.name) + "_" + std::to_string(info.index);
    });

// Entities by type after conversion to IOB2, as each source counts them (CoNLL-2003: Tjong Kim Sang
// and De Meulder 2003, table 2).
TEST(DataSets, KeepTheirEntities) {
  SourceOptions options;
  options.path = shared_path("data/ner/conll2003/eng.train");
  HONE_NEEDS_SHARED(options.path);
  std::map<std::string, int> begins;
  const auto reader = open_reader(options);
  while (const std::optional<Record> record = reader->next()) {
    for (const Json& tag : record->fields["tags"]) {
      if (tag.get<std::string>()[0] == 'B') ++begins[tag.get<std::string>().substr(2)];
    }
  }
  EXPECT_EQ(begins["LOC"], 7140);
  EXPECT_EQ(begins["MISC"], 3438);
  EXPECT_EQ(begins["ORG"], 6321);
  EXPECT_EQ(begins["PER"], 6600);
}

TEST(DataSets, SplitAtTheFirstSeparatorOnly) {
  SourceOptions options = with({"label", "text"}, "csv", " ", 2);
  options.path = shared_path("data/classification/trec/TREC.test");
  HONE_NEEDS_SHARED(options.path);
  const auto reader = open_reader(options);
  const std::optional<Record> record = reader->next();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->fields["label"], "NUM:dist");
  EXPECT_EQ(record->fields["text"], "How far is it from Denver to Aspen ?");
}

}  // namespace
}  // namespace hone
