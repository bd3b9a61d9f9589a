#include "tune/identity.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tasks/weights_fingerprint.h"

namespace hone {
namespace {

using testing::UnorderedElementsAre;

Sample sample_of(int32_t id, float target) {
  Sample sample;
  sample.streams.push_back({{101, id, 102}, {0, 0, 0}, {-1, 0, -1}, {-1, 0, -1}, {{}, {0, 4}, {}}});
  sample.targets.push_back({"label", false, 1, {target}});
  return sample;
}

RowFingerprint rows_of(int64_t count, int64_t changed = -1) {
  RowFingerprint rows;
  for (int64_t i = 0; i < count; ++i)
    rows.add({"dev.jsonl", i + 1},
             {sample_of(static_cast<int32_t>(i), i == changed ? 1.0F : 0.0F)});
  return rows;
}

TEST(RowFingerprint, OfEqualRowsIsEqual) {
  for (const int64_t count : {0, 1, 17, 2048, 2049, 10000})
    EXPECT_EQ(rows_of(count).difference(rows_of(count).json()), "") << count;
}

TEST(RowFingerprint, NamesTheRowThatDiffers) {
  EXPECT_EQ(rows_of(30, 16).difference(rows_of(30).json()), "row 17 is another (dev.jsonl:17)");
  EXPECT_EQ(rows_of(30).difference(rows_of(31).json()), "row count 31 -> 30");
}

TEST(RowFingerprint, OfManyRowsNamesAFewOfThemAndStaysSmall) {
  EXPECT_EQ(rows_of(10000, 4097).difference(rows_of(10000).json()),
            "rows 4097 to 4104 are others (from dev.jsonl:4097 on)");
  EXPECT_LE(rows_of(100000).json().dump().size(), 50000U);
}

TEST(RowFingerprint, MindsTheOrder) {
  RowFingerprint one, other;
  for (const int32_t id : {1, 2}) one.add({"a", id}, {sample_of(id, 0)});
  for (const int32_t id : {2, 1}) other.add({"a", id}, {sample_of(id, 0)});
  EXPECT_EQ(other.difference(one.json()), "row 1 is another (a:2)");
}

TEST(TaskDifferences, AreInWords) {
  const Json before = {{"options", {{"text", "text"}, {"pair", ""}}},
                       {"labels", {{"values", {"good", "bad"}}, {"ids", 0}}}};
  Json now = before;
  EXPECT_TRUE(task_differences(before, now).empty());
  now["labels"]["values"] = {"a_positive", "z_negative"};
  now["options"]["text"] = "body";
  now["options"]["new"] = true;
  EXPECT_THAT(task_differences(before, now),
              UnorderedElementsAre("labels: good, bad -> a_positive, z_negative",
                                   "new: none -> true", "text: text -> body"));
}

TEST(WeightsFingerprint, IsOfNamesAndValues) {
  const StateDict one = {{"a", at::ones({3})}}, named = {{"b", at::ones({3})}},
                  other = {{"a", at::zeros({3})}};
  EXPECT_EQ(weights_fingerprint(one), weights_fingerprint({{"a", at::ones({3})}}));
  EXPECT_NE(weights_fingerprint(one), weights_fingerprint(named));
  EXPECT_NE(weights_fingerprint(one), weights_fingerprint(other));
}

}  // namespace
}  // namespace hone
