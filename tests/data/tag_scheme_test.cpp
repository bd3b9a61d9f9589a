#include "data/tag_scheme.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace hone {
namespace {

using ::testing::ElementsAre;
using Tags = std::vector<std::string>;

struct Entity {
  size_t start, end;  // tokens [start, end)
  std::string type;
};

// Writes spans in a scheme, straight from its definition.
Tags write(TagScheme scheme, const std::vector<Entity>& spans, size_t tokens) {
  Tags tags(tokens, "O");
  const bool is_ioe = scheme == TagScheme::kIoe1 || scheme == TagScheme::kIoe2;
  const bool has_ends = scheme == TagScheme::kBmes || scheme == TagScheme::kBmewo ||
                        scheme == TagScheme::kBioes || scheme == TagScheme::kBilou;
  const bool is_middle = scheme == TagScheme::kBmes || scheme == TagScheme::kBmewo;
  const std::string inside = is_middle ? "M-" : "I-",
                    last = scheme == TagScheme::kBilou ? "L-" : "E-",
                    single = scheme == TagScheme::kBilou   ? "U-"
                             : scheme == TagScheme::kBmewo ? "W-"
                                                           : "S-";
  for (size_t s = 0; s < spans.size(); ++s) {
    const Entity& span = spans[s];
    for (size_t i = span.start; i < span.end; ++i) tags[i] = inside + span.type;
    const bool touches = s > 0 && spans[s - 1].end == span.start && spans[s - 1].type == span.type;
    const bool is_touched =
        s + 1 < spans.size() && spans[s + 1].start == span.end && spans[s + 1].type == span.type;
    if (is_ioe && (scheme == TagScheme::kIoe2 || is_touched)) tags[span.end - 1] = "E-" + span.type;
    if (!is_ioe && (scheme != TagScheme::kIob1 || touches)) tags[span.start] = "B-" + span.type;
    if (has_ends)
      tags[span.end - 1] = span.end - span.start == 1 ? single + span.type : last + span.type;
  }
  return tags;
}

RC_GTEST_PROP(TagScheme, EveryWritingOfTheSameSpansBecomesTheSameIob2, ()) {
  std::vector<Entity> spans;
  size_t at = 0;
  for (int count = *rc::gen::inRange(0, 6); count > 0; --count) {
    at += *rc::gen::inRange<size_t>(0, 3);
    const size_t end = at + *rc::gen::inRange<size_t>(1, 4);
    spans.push_back({at, end, *rc::gen::element<std::string>("X", "Y-Z", "人")});
    at = end;
  }
  const size_t tokens = at + *rc::gen::inRange<size_t>(0, 3);
  const Tags expected = write(TagScheme::kIob2, spans, tokens);
  for (const TagScheme scheme :
       {TagScheme::kIob1, TagScheme::kIob2, TagScheme::kIoe1, TagScheme::kIoe2, TagScheme::kBmes,
        TagScheme::kBmewo, TagScheme::kBioes, TagScheme::kBilou}) {
    Tags tags = write(scheme, spans, tokens);
    RC_ASSERT(!to_iob2(scheme, tags));
    RC_ASSERT(tags == expected);
  }
}

RC_GTEST_PROP(TagScheme, WhateverTheTagsTheResultIsSoundIob2, ()) {
  const auto tags = *rc::gen::container<Tags>(rc::gen::element<std::string>(
      "O", "B-X", "I-X", "E-X", "S-X", "M-X", "L-X", "U-X", "W-X", "B-Y", "I-Y", "E-Y", "B", "I"));
  for (const TagScheme scheme :
       {TagScheme::kIob1, TagScheme::kIob2, TagScheme::kIoe1, TagScheme::kIoe2, TagScheme::kBmes,
        TagScheme::kBmewo, TagScheme::kBioes, TagScheme::kBilou}) {
    Tags converted = tags;
    const std::optional<TagFault> fault = to_iob2(scheme, converted);
    RC_ASSERT(converted.size() == tags.size());
    if (fault && !fault->is_readable) {
      RC_ASSERT(converted == tags);
    } else {
      RC_ASSERT(!to_iob2(TagScheme::kIob2, converted));
    }
  }
}

// What conlleval.pl makes of each of these, by hand.
TEST(TagScheme, ReadsBrokenSpansAsConllevalDoes) {
  const auto read = [](TagScheme scheme, Tags tags) {
    EXPECT_TRUE(to_iob2(scheme, tags).has_value());
    return tags;
  };
  EXPECT_THAT(read(TagScheme::kIob2, {"O", "I-X", "I-X", "I-Y"}),
              ElementsAre("O", "B-X", "I-X", "B-Y"));
  EXPECT_THAT(read(TagScheme::kIob1, {"B-X", "I-X", "O"}), ElementsAre("B-X", "I-X", "O"));
  EXPECT_THAT(read(TagScheme::kBioes, {"B-X", "O", "E-X", "I-X", "S-X", "I-X"}),
              ElementsAre("B-X", "O", "B-X", "B-X", "B-X", "B-X"));
  EXPECT_THAT(read(TagScheme::kBmes, {"B-X", "M-Y", "E-Y", "E-Y"}),
              ElementsAre("B-X", "B-Y", "I-Y", "B-Y"));
}

TEST(TagScheme, NamesTheFirstFaultOnly) {
  Tags tags = {"O", "I-X", "O", "I-Y"};
  const std::optional<TagFault> fault = to_iob2(TagScheme::kIob2, tags);
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->index, 1U);
  EXPECT_EQ(fault->reason,
            "the tag \"I-X\" breaks the scheme IOB2: it goes on with a span that was not begun");
}

TEST(TagScheme, HasTagsWithoutTypes) {
  Tags tags = {"B", "M", "E", "S", "O"};
  EXPECT_FALSE(to_iob2(TagScheme::kBmes, tags));
  EXPECT_THAT(tags, ElementsAre("B", "I", "I", "B", "O"));
  for (const std::string tag : {"", "B-", "-X", "X", "b-X", "BX", "B_X", "0"}) {
    Tags bad = {tag};
    const std::optional<TagFault> fault = to_iob2(TagScheme::kBioes, bad);
    ASSERT_TRUE(fault) << tag;
    EXPECT_FALSE(fault->is_readable) << tag;
  }
}

TEST(TagScheme, DetectsByMajority) {
  const auto detect = [](const std::vector<Tags>& sentences) {
    TagSchemeDetector detector;
    for (const Tags& tags : sentences) detector.add(tags);
    return detector.scheme();
  };
  EXPECT_EQ(detect({}), TagScheme::kIob2);
  EXPECT_EQ(detect({{"O", "O"}}), TagScheme::kIob2);
  EXPECT_EQ(detect({{"B-X", "I-X"}, {"B-Y"}}), TagScheme::kIob2);
  EXPECT_EQ(detect({{"I-X", "I-X"}, {"O", "I-Y"}, {"B-X"}}), TagScheme::kIob1);
  EXPECT_EQ(detect({{"B-X", "I-X"}, {"B-Y"}, {"O", "I-Y"}}), TagScheme::kIob2);
  EXPECT_EQ(detect({{"B-X", "M-X", "E-X"}}), TagScheme::kBmes);
  EXPECT_EQ(detect({{"B-X", "E-X"}, {"S-X"}}), TagScheme::kBioes);
  EXPECT_EQ(detect({{"B-X", "E-X"}, {"W-X"}}), TagScheme::kBmewo);
  EXPECT_EQ(detect({{"I-X", "E-X", "O"}, {"E-X"}}), TagScheme::kIoe1);
  EXPECT_EQ(detect({{"B-X", "I-X", "L-X"}}), TagScheme::kBilou);
  EXPECT_EQ(detect({{"NN", "VBZ", "O"}}), TagScheme::kNone);
}

TEST(TagScheme, KnowsItsNames) {
  EXPECT_EQ(tag_scheme_of("bio"), TagScheme::kIob2);
  EXPECT_EQ(tag_scheme_of("iob1"), TagScheme::kIob1);
  EXPECT_EQ(tag_scheme_of("None"), TagScheme::kNone);
  EXPECT_FALSE(tag_scheme_of("auto"));
  for (const TagScheme scheme : {TagScheme::kNone, TagScheme::kIob1, TagScheme::kIob2,
                                 TagScheme::kBmes, TagScheme::kBioes, TagScheme::kBilou}) {
    EXPECT_EQ(tag_scheme_of(name_of(scheme)), scheme);
  }
}

}  // namespace
}  // namespace hone
