#include "data/record_store.h"

#include <gtest/gtest.h>

#include "data/clean.h"

namespace hone {
namespace {

std::vector<Record> some_records() {
  const auto a = std::make_shared<const std::string>("a.jsonl"),
             b = std::make_shared<const std::string>("b.csv");
  std::vector<Record> records = {
      {Json::parse(R"({"text": "plain", "label": 3, "weight": -0.1, "seen": true, "no": null})"), a,
       1},
      {Json::parse(R"({"tokens": ["a", "\u00fc"], "tags": ["O", "B-PER"], "z": {"y": [1e300]}})"),
       b, 2, 17},
      {Json::parse(R"({"label": 18446744073709551615, "text": ""})"), nullptr, 5}};
  TextEdits edits("\x01 one  \x02two ");
  edits.cut(0, 2);
  edits.cut(6, 8);
  edits.cut(11, 12);
  records.push_back({{{"text", "one two"}}, a, 9});
  records.back().edits.emplace("text", edits);
  return records;
}

void expect_same(const Record& got, const Record& want) {
  EXPECT_EQ(got.fields.dump(), want.fields.dump());
  EXPECT_EQ(got.file != nullptr, want.file != nullptr);
  EXPECT_EQ(got.where().str(), want.where().str());
  ASSERT_EQ(got.edits.size(), want.edits.size());
  for (const auto& [field, edits] : want.edits) {
    const TextEdits& other = got.edits.at(field);
    EXPECT_EQ(other.as_read(), edits.as_read());
    for (int32_t start = 0; start < 7; ++start) {
      const Span span = other.as_read(Span{start, 7});
      EXPECT_EQ(span, edits.as_read(Span{start, 7})) << start;
    }
  }
}

TEST(RecordStore, GivesBackWhatWasAdded) {
  for (const int64_t memory : {int64_t{1} << 20, int64_t{100}, int64_t{0}}) {
    RecordStore store("", memory);
    const std::vector<Record> records = some_records();
    for (const Record& record : records) store.add(record);
    store.seal();
    ASSERT_EQ(store.size(), static_cast<int64_t>(records.size()));
    for (size_t i = records.size(); i-- > 0;)
      expect_same(store.get(static_cast<int64_t>(i)), records[i]);
  }
}

}  // namespace
}  // namespace hone
