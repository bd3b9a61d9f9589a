#include "tasks/ner/bio.h"

#include <gtest/gtest.h>

namespace hone::ner {
namespace {

using Tags = std::vector<std::string>;
using Spans = std::vector<TagSpan>;

TEST(Bio, FindsEntitiesOfIob2) {
  EXPECT_EQ(spans_of({"B-PER", "I-PER", "O", "B-LOC"}), (Spans{{"PER", 0, 2}, {"LOC", 3, 4}}));
  EXPECT_EQ(strict_spans_of({"B-PER", "I-PER", "O", "B-LOC"}),
            (Spans{{"PER", 0, 2}, {"LOC", 3, 4}}));
}

TEST(Bio, SeparatesNeighboursOfOneType) {
  EXPECT_EQ(spans_of({"B-PER", "B-PER", "I-PER"}), (Spans{{"PER", 0, 1}, {"PER", 1, 3}}));
}

TEST(Bio, TakesAnInsideTagAsBeginningUnlessStrict) {
  const Tags tags = {"O", "I-PER", "I-LOC", "I-LOC"};
  EXPECT_EQ(spans_of(tags), (Spans{{"PER", 1, 2}, {"LOC", 2, 4}}));
  EXPECT_TRUE(strict_spans_of(tags).empty());
}

TEST(Bio, EndsAStrictEntityWhereTheTypeChanges) {
  EXPECT_EQ(strict_spans_of({"B-PER", "I-LOC", "I-PER"}), (Spans{{"PER", 0, 1}}));
}

TEST(Bio, ReadsOtherSchemesByTheirLetters) {
  const Spans expected = {{"X", 0, 3}, {"Y", 3, 4}};
  EXPECT_EQ(spans_of({"B-X", "I-X", "E-X", "S-Y"}), expected);  // BIOES
  EXPECT_EQ(spans_of({"B-X", "M-X", "E-X", "S-Y"}), expected);  // BMES
  EXPECT_EQ(spans_of({"B-X", "M-X", "E-X", "W-Y"}), expected);  // BMEWO
  EXPECT_EQ(spans_of({"B-X", "I-X", "L-X", "U-Y"}), expected);  // BILOU
  EXPECT_EQ(spans_of({"I-X", "I-X", "I-X", "I-Y"}), expected);  // IOB1
}

TEST(Bio, RepairsInsideTagWithoutBegin) {
  const Iob2 repaired = to_iob2({"I-PER", "I-PER", "O", "I-LOC", "B-LOC"});
  EXPECT_EQ(repaired.tags, (Tags{"B-PER", "I-PER", "O", "B-LOC", "B-LOC"}));
  EXPECT_EQ(repaired.repaired, 2);
}

TEST(Bio, DoesNotCountChangesOfSchemeAsRepairs) {
  const Iob2 converted = to_iob2({"S-PER", "B-LOC", "M-LOC", "E-LOC"});
  EXPECT_EQ(converted.tags, (Tags{"B-PER", "B-LOC", "I-LOC", "I-LOC"}));
  EXPECT_EQ(converted.repaired, 0);
}

TEST(Bio, KeepsHyphensInTypes) {
  EXPECT_EQ(spans_of({"B-part-of", "I-part-of"}), (Spans{{"part-of", 0, 2}}));
}

TEST(Bio, TurnsSpansBackIntoTags) {
  EXPECT_EQ(tags_of({{"A", 1, 3}, {"B", 3, 4}}, 5), (Tags{"O", "B-A", "I-A", "B-B", "O"}));
}

TEST(Bio, KnowsATagWhenItSeesOne) {
  for (const char* tag : {"O", "B-PER", "I-a b", "S-x", "M-x", "W-x"})
    EXPECT_TRUE(is_tag(tag)) << tag;
  for (const char* tag : {"", "PER", "B", "B-", "X-PER", "BPER", "o", "b-PER"})
    EXPECT_FALSE(is_tag(tag)) << tag;
}

TEST(Bio, TakesAnEmptySequence) {
  EXPECT_TRUE(spans_of({}).empty());
  EXPECT_TRUE(strict_spans_of({}).empty());
}

}  // namespace
}  // namespace hone::ner
