#include "base/error.h"

#include <gtest/gtest.h>

#include <vector>

namespace hone {
namespace {

TEST(Where, WritesOnlyWhatIsKnown) {
  EXPECT_EQ((Where{"a.jsonl", 17, 3}.str()), "a.jsonl:17:3");
  EXPECT_EQ((Where{"a.jsonl", 17, 0}.str()), "a.jsonl:17");
  EXPECT_EQ((Where{"a.jsonl", 0, 5}.str()), "a.jsonl");
  EXPECT_EQ(Where{}.str(), "");
}

TEST(Error, ShowsThePlaceBeforeTheMessage) {
  const Error error(ErrorKind::kData, Where{"f", 2, 0}, "wrong");
  EXPECT_STREQ(error.what(), "f:2: wrong");
  EXPECT_EQ(error.message(), "wrong");
  EXPECT_EQ(error.kind(), ErrorKind::kData);
  EXPECT_STREQ(Error(ErrorKind::kUsage, "wrong").what(), "wrong");
}

const std::vector<std::string> kKeys = {"warmup_ratio", "weight_decay", "learning_rate", "seed",
                                        "lr"};

TEST(Nearest, FindsMisspellingsOfAllKinds) {
  EXPECT_EQ(nearest("warmup_ration", kKeys), "warmup_ratio");  // one letter more
  EXPECT_EQ(nearest("warmup_rato", kKeys), "warmup_ratio");    // one less
  EXPECT_EQ(nearest("Learning_Rate", kKeys), "learning_rate");
  EXPECT_EQ(nearest("seeed", kKeys), "seed");
  EXPECT_EQ(nearest("sede", kKeys), "seed");  // two letters swapped
  EXPECT_EQ(nearest("rl", kKeys), "lr");
}

TEST(Nearest, GivesNothingWhereNothingIsNear) {
  EXPECT_EQ(nearest("optimizer", kKeys), "");
  EXPECT_EQ(nearest("x", kKeys), "");
  EXPECT_EQ(nearest("", kKeys), "");
  EXPECT_EQ(nearest("seed", {}), "");
  EXPECT_EQ(nearest(std::string(1 << 20, 'a'), kKeys), "");
}

TEST(DidYouMean, IsAClauseOrNothing) {
  EXPECT_EQ(did_you_mean("sed", kKeys), "; did you mean \"seed\"?");
  EXPECT_EQ(did_you_mean("batch_size", kKeys), "");
}

}  // namespace
}  // namespace hone
