#include "format_testing.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class XmlReaderTest : public FormatTest {
 protected:
  std::vector<std::string> read(const std::string& xml, const std::string& keys = "rows: a.b") {
    write("a.xml", xml);
    return rows("a.xml", "format: xml, " + keys);
  }
  std::string fault(const std::string& xml, const std::string& keys = "rows: a.b") {
    return error_of([&] { read(xml, keys); });
  }
};

TEST_F(XmlReaderTest, MakesARowOfEachElementAtThePath) {
  EXPECT_THAT(
      read("<?xml version=\"1.0\"?>\n<a>\n <c><b>no</b></c>\n <b id='7'>Zo&#235; &lt;3</b> x"
           "<!-- <b/> --><b><t>one</t><t/><u k=\"v\">w</u></b>\n<b/></a>\n"),
      ElementsAre(R"({"id":"7","text":"Zoë <3"})", R"({"t":["one",""],"u":{"k":"v","text":"w"}})",
                  R"({"text":""})"));
  EXPECT_THAT(places_, ElementsAre("a.xml:4:2", "a.xml:4:45", "a.xml:5:1"));
  EXPECT_THAT(advice_, IsEmpty());
}

TEST_F(XmlReaderTest, ReadsDataAndLineEndsAsXmlHasThem) {
  EXPECT_THAT(read("<a><b>x\r\ny<![CDATA[ </b> & ]]>z</b></a>"),
              ElementsAre(R"({"text":"x\ny </b> & z"})"));
}

TEST_F(XmlReaderTest, ReadsTextsMixedWithElementsWholeAndTellsOfIt) {
  EXPECT_THAT(read("<a><b n='1'>The <e>child</e> <i>in</i> it</b></a>"),
              ElementsAre(R"({"n":"1","text":"The child in it"})"));
  EXPECT_THAT(advice_, ElementsAre(HasSubstr("a.xml: 1 elements mix text and elements")));
}

TEST_F(XmlReaderTest, ReadsTheSidesOfATranslationMemoryByTheirLanguage) {
  const std::string keys =
      "rows: a.b, fields: {source: 'tuv[xml:lang=en].seg', target: 'tuv[xml:lang=de].seg'}, "
      "on_bad_row: skip";
  const std::vector<std::string> found = read(
      "<a><b><tuv xml:lang='de'><seg>Ja</seg></tuv><tuv xml:lang='en'><seg>Yes</seg></tuv></b>"
      "<b><tuv xml:lang='en'><seg>No</seg></tuv></b></a>",
      keys);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0], HasSubstr(R"("source":"Yes","target":"Ja")"));
  EXPECT_THAT(bad_, ElementsAre(HasSubstr("a.xml:1:88: no field \"tuv[xml:lang=de].seg\"")));
}

TEST_F(XmlReaderTest, NeverExpandsEntities) {
  const std::string bomb =
      "<!DOCTYPE a [<!ENTITY l \"lol\"><!ENTITY m \"&l;&l;&l;&l;&l;&l;&l;&l;\">]><a><b>&m;</b></a>";
  EXPECT_THAT(fault(bomb, "rows: a.b, on_bad_row: skip"),
              HasSubstr("a.xml:1:14: not valid XML: the document declares entities"));
  write("secret", "never read");
  EXPECT_THAT(fault("<!DOCTYPE a [<!ENTITY % x SYSTEM \"file://" + folder_ / "secret" +
                    "\"> %x;]><a><b>&x;</b></a>"),
              HasSubstr("declares entities"));
  EXPECT_THAT(fault("<a>\n<b>x &m; y</b></a>"),
              HasSubstr("a.xml:2:6: not valid XML: \"&m;\" is none of"));
  EXPECT_THAT(read("<!DOCTYPE a SYSTEM \"file://" + folder_ / "secret" +
                   "\" [<!ELEMENT a ANY> <!-- <!ENTITY --> ]><a><b>x</b></a>"),
              ElementsAre(R"({"text":"x"})"));
}

TEST_F(XmlReaderTest, RefusesNumbersOfNoCharacter) {
  for (const char* number : {"&#0;", "&#xD800;", "&#1114112;", "&#;", "&#x;", "&#12", "&", "&#8;"})
    EXPECT_THAT(fault("<a><b t='" + std::string(number) + "'/></a>"), HasSubstr("a.xml:1:10: "))
        << number;
}

TEST_F(XmlReaderTest, SkipsARowThatIsNoXml) {
  EXPECT_THAT(read("<a><b>1</b>\n<b><x></y></b>\n<b k='1' k='2'/><b><k/><k>&no;</k></b><b>\xE9</b>"
                   "<b text='x'>y</b><b>2</b></a>",
                   "rows: a.b, on_bad_row: skip"),
              ElementsAre(R"({"text":"1"})", R"({"text":"2"})"));
  EXPECT_THAT(bad_,
              ElementsAre(AllOf(HasSubstr("a.xml:2:"), HasSubstr("not valid XML")),
                          HasSubstr("a.xml:3:1: <b> has two things named \"k\""),
                          HasSubstr("\"&no;\" is none of"), HasSubstr("the byte 0xE9 is not UTF-8"),
                          HasSubstr("<b> has two things named \"text\"")));
}

TEST_F(XmlReaderTest, RefusesABrokenFrame) {
  const std::string whole = "<a c='>'><!-- x --><b>1</b><b>2</b></a>";
  for (size_t size = 1; size < whole.size(); ++size)
    EXPECT_NE(fault(whole.substr(0, size), "rows: a.b, on_bad_row: skip"), "") << size;
  EXPECT_THAT(fault("<a><b/></c></a>"), HasSubstr("a.xml:1:8: not valid XML: </c> where </a>"));
  EXPECT_THAT(fault("<a><b/></a><a/>"), HasSubstr("<a> is a second outermost element"));
  EXPECT_THAT(fault("<a><b/></a></a>"), HasSubstr("</a> closes nothing"));
  EXPECT_THAT(fault("<a>1 < 2<b/></a>"),
              HasSubstr("a.xml:1:6: not valid XML: a tag without a name"));
  EXPECT_THAT(fault("<a><b/><! x></a>"), HasSubstr("neither a comment"));
}

TEST_F(XmlReaderTest, RefusesWhatIsTooDeepOrTooMuch) {
  std::string open, close, many;
  for (int i = 0; i < 600; ++i) {
    open += "<d>";
    close += "</d>";
  }
  EXPECT_THAT(fault("<a>" + open + close + "</a>"), HasSubstr("at most 512 deep"));
  EXPECT_THAT(read("<a><b>" + open + close + "</b><b/></a>", "rows: a.b, on_bad_row: skip"),
              ElementsAre(R"({"text":""})"));
  EXPECT_THAT(bad_, ElementsAre(HasSubstr("nested deeper than 512 levels")));
  for (int i = 0; i < 140'000; ++i) many += "<d/>";
  EXPECT_THAT(fault("<a><b>" + many + "</b></a>"),
              HasSubstr("a row has at most 131072 elements and attributes"));
}

TEST_F(XmlReaderTest, SaysWhichPathsThereAre) {
  EXPECT_THAT(
      fault("<a><c/><d><e/></d></a>"),
      HasSubstr("a.xml: has no element at \"a.b\", where \"rows\" looks for the rows; there "
                "are a, a.c, a.d, a.d.e"));
  EXPECT_THAT(fault("<a/>", "on_bad_row: skip"), HasSubstr("the format xml needs \"rows\""));
}

}  // namespace
}  // namespace hone
