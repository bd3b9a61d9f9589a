// What annotation tools export: doccano and Label Studio.
#include "format_testing.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DoccanoReaderTest : public FormatTest {
 protected:
  std::vector<std::string> read(const std::string& text, const std::string& keys = "") {
    write("a.jsonl", text);
    return rows("a.jsonl", "format: doccano" + keys);
  }
  std::string fault(const std::string& text) {
    return error_of([&] { read(text); });
  }
};

TEST_F(DoccanoReaderTest, ReadsSpansInEachOfItsForms) {
  const std::string entity = R"("entities":[{"start":0,"end":3,"label":"PER")";
  EXPECT_THAT(read("{\"text\": \"Zoë\", \"labels\": [[0, 3, \"PER\"]], \"k\": 1}\n"),
              ElementsAre(R"({"text":"Zoë","k":1,)" + entity + "}]}"));
  EXPECT_THAT(read(R"([{"text": "Zoë", "annotations": [{"label": 4, "start_offset": 0,)"
                   R"( "end_offset": 3}]}])"),
              ElementsAre(R"({"text":"Zoë","entities":[{"start":0,"end":3,"label":"4"}]})"));
  EXPECT_THAT(
      read(R"({"text": "Zoë", "entities": [{"id": 5, "label": "PER", "start_offset": 0,)"
           R"( "end_offset": 3}], "relations": [{"from_id": 5, "to_id": 6, "type": "knows"}]})"),
      ElementsAre(R"({"text":"Zoë",)" + entity +
                  R"(,"id":"5"}],"relations":[{"head":"5","tail":"6","label":"knows"}]})"));
}

TEST_F(DoccanoReaderTest, LeavesLabelsOfWholeTextsAsTheyAre) {
  EXPECT_THAT(
      read(R"({"text": "a", "label": ["x", "y"]} {"text": "b", "label": []})"),
      ElementsAre(R"({"text":"a","label":["x","y"]})", R"({"text":"b","label":[],"entities":[]})"));
}

TEST_F(DoccanoReaderTest, KnowsTheTextByTheNameThatFieldsGives) {
  EXPECT_THAT(read(R"({"data": "abc", "label": [[1, 2, "X"]]})", ", fields: {text: data}"),
              ElementsAre(R"({"text":"abc","entities":[{"start":1,"end":2,"label":"X"}]})"));
}

TEST_F(DoccanoReaderTest, TakesTheListThatHoldsSpans) {
  const std::string entities = R"("entities":[{"start":0,"end":1,"label":"X"}])";
  EXPECT_THAT(read(R"({"text": "a", "entities": [], "label": [[0, 1, "X"]]})"),
              ElementsAre(R"({"text":"a",)" + entities + "}"));
  EXPECT_THAT(read(R"({"text": "a", "label": [], "labels": [[0, 1, "X"]]})"),
              ElementsAre(R"({"text":"a","label":[],)" + entities + "}"));
  EXPECT_THAT(fault(R"({"text": "a", "label": [[0, 1, "X"]], "labels": [[0, 1, "Y"]]})"),
              HasSubstr("a.jsonl:1:1: the row has spans in \"label\" and in \"labels\""));
  EXPECT_THAT(fault(R"({"text": "a", "label": ["good", [0, 1, "X"]]})"),
              HasSubstr("holds \"good\" where a span, [start, end, label], was expected"));
}

TEST_F(DoccanoReaderTest, RefusesSpansThatAreNone) {
  EXPECT_THAT(fault("{\"text\": \"Zoë\",\n \"label\": [[0, 4, \"X\"]]}"),
              HasSubstr("a.jsonl:1:1: the row has a span from 0 to 4, but its text has 3"));
  for (const char* span : {"[2, 2, \"X\"]", "[-1, 2, \"X\"]", "[0, 18446744073709551615, \"X\"]",
                           "[9223372036854775808, 9223372036854775809, \"X\"]", "[0, 1.5, \"X\"]",
                           "[0, 1]", "[0, 1, null]", "{\"start_offset\": 0}", "[\"0\", 1, \"X\"]"})
    EXPECT_THAT(fault(std::string(R"({"text": "abc", "label": [)") + span + "]}"),
                HasSubstr("a.jsonl:1:1: the row "))
        << span;
  EXPECT_THAT(fault(R"({"label": [[0, 1, "X"]]})"),
              HasSubstr("has spans, but no text in \"text\""));
  EXPECT_THAT(fault(R"({"text": "a", "entities": [], "relations": [{"from_id": 1}]})"),
              HasSubstr("where a relation, {from_id, to_id, type}, was expected"));
}

class LabelStudioReaderTest : public FormatTest {
 protected:
  static std::string span(int start, int end, const std::string& text, const std::string& id = "") {
    return R"({"id": "s)" + id + R"(", "type": "labels", "value": {"start": )" +
           std::to_string(start) + ", \"end\": " + std::to_string(end) + ", \"text\": \"" + text +
           R"(", "labels": ["PER"]}})";
  }
  static std::string choice(const std::string& value) {
    return R"({"type": "choices", "from_name": "mood", "value": {"choices": [")" + value + "\"]}}";
  }
  static std::string annotation(const std::string& results, const std::string& more = "") {
    return "{" + more + "\"result\": [" + results + "]}";
  }
  std::vector<std::string> read(const std::string& annotations, const std::string& keys = "") {
    write("a.json", "[{\"id\": 1, \"data\": {\"text\": \"🙂 Zoë\"}, \"annotations\": [" +
                        annotations + "]}]");
    return rows("a.json", "format: label_studio" + keys);
  }
  std::string fault(const std::string& annotations) {
    return error_of([&] { read(annotations); });
  }
};

TEST_F(LabelStudioReaderTest, MakesARowOfEachTask) {
  EXPECT_THAT(
      read(annotation(span(2, 5, "Zoë") + "," + choice("glad"))),
      ElementsAre(R"({"text":"🙂 Zoë","id":1,"mood":["glad"],"entities":[{"start":2,"end":5,)"
                  R"("label":"PER","id":"s"}],"relations":[]})"));
  EXPECT_THAT(repaired_, IsEmpty());
  EXPECT_THAT(advice_, IsEmpty());
}

TEST_F(LabelStudioReaderTest, TurnsUtf16UnitsIntoCharacters) {
  EXPECT_THAT(read(annotation(span(3, 6, "Zoë"))), ElementsAre(HasSubstr(R"("start":2,"end":5)")));
  EXPECT_THAT(repaired_, ElementsAre(HasSubstr("the offsets count UTF-16 units")));
}

TEST_F(LabelStudioReaderTest, CountsARepairOnceWhereSeveralRowsAreMadeOfOne) {
  const std::string two = span(3, 6, "Zoë", "1") + "," + span(3, 6, "Zoë", "2");
  EXPECT_EQ(read(annotation(two), ", each: entities").size(), 2U);
  EXPECT_EQ(repaired_.size(), 1U);
  const auto task = [](int id, const std::string& text, const std::string& result) {
    return "{\"id\": " + std::to_string(id) + R"(, "data": {"text": ")" + text +
           R"("}, "annotations": [)" + annotation(result) + "]}";
  };
  const std::string relation =
      R"({"type": "relation", "from_id": "s1", "to_id": "s2", "labels": ["knows"]})";
  write("b.json", "[" + task(1, "🙂 Zoë", span(3, 6, "Zoë")) + "," +
                      task(2, "Zoë Zoë",
                           span(0, 3, "Zoë", "1") + "," + span(4, 7, "Zoë", "2") + "," + relation) +
                      "]");
  EXPECT_EQ(rows("b.json", "format: label_studio, each: relations").size(), 1U);
  EXPECT_TRUE(repaired_.empty()) << "no row is made of the one that was repaired";
}

TEST_F(LabelStudioReaderTest, BelievesOffsetsWhereTheTextDiffers) {
  EXPECT_THAT(read(annotation(span(2, 5, "Zoe"))), ElementsAre(HasSubstr(R"("start":2,"end":5)")));
  EXPECT_THAT(repaired_, ElementsAre(HasSubstr("a.json:1:2: a span says \"Zoe\", but \"Zoë\"")));
}

TEST_F(LabelStudioReaderTest, TakesTheGroundTruthElseTheFirstAndCountsTheRest) {
  const std::string first = annotation(choice("one")), second = annotation(choice("two"));
  EXPECT_THAT(read(first + "," + second), ElementsAre(HasSubstr(R"("mood":["one"])")));
  EXPECT_THAT(advice_, ElementsAre(HasSubstr("a.json: 1 tasks have several annotations")));
  EXPECT_THAT(read(first + "," + annotation(choice("true"), "\"ground_truth\": true, ") + "," +
                   annotation(choice("later"), "\"ground_truth\": true, ")),
              ElementsAre(HasSubstr(R"("mood":["true"])")));
}

TEST_F(LabelStudioReaderTest, LeavesCancelledAnnotationsOut) {
  const std::string cancelled = annotation(choice("no"), "\"was_cancelled\": true, ");
  EXPECT_THAT(read(cancelled + "," + annotation(choice("yes"))),
              ElementsAre(HasSubstr(R"("mood":["yes"])")));
  EXPECT_THAT(advice_, ElementsAre(HasSubstr("1 annotations were cancelled")));
  EXPECT_THAT(read(cancelled), IsEmpty());
  EXPECT_THAT(advice_, ElementsAre(HasSubstr("1 annotations were cancelled"),
                                   HasSubstr("1 tasks have cancelled annotations only")));
}

TEST_F(LabelStudioReaderTest, KeepsATaskThatNobodyAnnotated) {
  EXPECT_THAT(read(""), ElementsAre(R"({"text":"🙂 Zoë","id":1})"));
}

TEST_F(LabelStudioReaderTest, ReadsRelationsInTheirDirection) {
  const auto relation = [](const char* direction) {
    return std::string(R"(,{"type": "relation", "from_id": "sa", "to_id": "sb", "direction": ")") +
           direction + R"(", "labels": ["knows"]})";
  };
  const std::string spans = span(0, 1, "🙂", "a") + "," + span(2, 5, "Zoë", "b");
  const std::string forth = R"({"head":"sa","tail":"sb","label":"knows"})",
                    back = R"({"head":"sb","tail":"sa","label":"knows"})";
  EXPECT_THAT(read(annotation(spans + relation("right"))),
              ElementsAre(HasSubstr("\"relations\":[" + forth + "]")));
  EXPECT_THAT(read(annotation(spans + relation("left"))),
              ElementsAre(HasSubstr("\"relations\":[" + back + "]")));
  EXPECT_THAT(read(annotation(spans + relation("bi"))),
              ElementsAre(HasSubstr("\"relations\":[" + forth + "," + back + "]")));
}

// What is said of a stretch is none of the row's labels, however many stretches have some.
TEST_F(LabelStudioReaderTest, PassesOverAnswersForAStretchOfTheText) {
  const auto of_region = [](const char* value) {
    return std::string(
               R"({"id": "s", "type": "choices", "from_name": "mood", "value": {"start": 2,)") +
           R"("end": 5, "text": "Zoë", "choices": [")" + value + "\"]}}";
  };
  EXPECT_THAT(read(annotation(of_region("sad") + "," + choice("glad") + "," + of_region("calm"))),
              ElementsAre(HasSubstr(R"("mood":["glad"])")));
  EXPECT_THAT(advice_,
              ElementsAre(HasSubstr("2 answers are for a stretch of the text, not for all of it")));
}

TEST_F(LabelStudioReaderTest, CountsStretchesWithoutALabel) {
  const std::string bare =
      R"({"id": "s", "type": "labels", "value": {"start": 0, "end": 1, "labels": []}})";
  EXPECT_THAT(read(annotation(bare)), ElementsAre(HasSubstr(R"("entities":[])")));
  EXPECT_THAT(advice_, ElementsAre(HasSubstr("1 spans have no label and are passed over")));
}

TEST_F(LabelStudioReaderTest, TellsOfResultsThatItPassesOver) {
  read(annotation(R"({"type": "rectanglelabels", "value": {}})"));
  EXPECT_THAT(advice_,
              ElementsAre(HasSubstr("1 results of the type \"rectanglelabels\" are passed over")));
}

TEST_F(LabelStudioReaderTest, NamesTheTaskThatIsWrong) {
  EXPECT_THAT(fault(annotation(span(2, 7, "x"))),
              HasSubstr("a.json:1:2: the row has a span from 2 to 7, but its text has 5"));
  EXPECT_THAT(fault("7"), HasSubstr("an annotation without a list \"result\", 7"));
  EXPECT_THAT(fault(annotation("{\"type\": \"labels\", \"value\": 1}")),
              HasSubstr("without \"start\", \"end\" and \"labels\""));
  EXPECT_THAT(fault(annotation("{\"type\": \"relation\"}")), HasSubstr("has a relation without"));
  EXPECT_THAT(fault(annotation(choice("a") + "," + choice("b"))),
              HasSubstr("has two results of the control \"mood\" for its whole text"));
  EXPECT_THAT(
      fault(annotation(R"({"type": "choices", "from_name": "text", "value": {"choices": ["a"]}})")),
      HasSubstr("a field \"text\" and answers of a control \"text\""));
  write("a.json", "[{\"text\": \"a\"}]");
  EXPECT_THAT(error("a.json", "format: label_studio"),
              HasSubstr("a.json:1:2: the row is no task of Label Studio's JSON"));
}

}  // namespace
}  // namespace hone
