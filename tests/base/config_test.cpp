#include "base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/file.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "no error";
}

TEST(Config, ReadsTypedValuesAndDefaults) {
  Config root = Config::parse(
      "lr: 1e-5\nsteps: 1e3\nname: bert\nflag: yes\nlist: [a, b]\nsingle: a\nnone: null\n",
      "run.yaml");
  EXPECT_EQ(root.get("lr", 0.0), 1e-5);
  EXPECT_EQ(root.get("steps", int64_t{0}), 1000);
  EXPECT_EQ(root.get("name", "x"), "bert");
  EXPECT_TRUE(root.get("flag", false));
  EXPECT_THAT(root.get("list", std::vector<std::string>{}), ElementsAre("a", "b"));
  EXPECT_THAT(root.get("single", std::vector<std::string>{}), ElementsAre("a"));
  EXPECT_EQ(root.get("none", int64_t{7}), 7);
  EXPECT_EQ(root.get("absent", 2.5), 2.5);
  EXPECT_FALSE(root.has("none"));
  EXPECT_TRUE(root.has("lr"));
}

TEST(Config, TakesLineEndsOfAllKinds) {
  for (const std::string end : {"\n", "\r\n", "\r", "\r\r\n"}) {
    Config root = Config::parse("a: 1" + end + "b:" + end + "  c: x" + end, "run.yaml");
    EXPECT_EQ(root.get("a", int64_t{0}), 1);
    EXPECT_EQ(message_of([&] { root.section("b").get("c", int64_t{0}); }),
              "run.yaml:3:6: \"c\" must be a whole number; found \"x\"");
    EXPECT_THAT(message_of([&] { Config::parse("a: 1" + end + "b: \xFF" + end, "run.yaml"); }),
                HasSubstr("run.yaml:2:4: the byte 0xFF"));
  }
}

TEST(Config, NamesThePlaceOfAWrongType) {
  Config root = Config::parse(
      "train:\n  seed: 1.5\n  lr: fast\n  flag: 3\n  quoted: \"4\"\n  steps: [1]\n", "run.yaml");
  Config train = root.section("train");
  EXPECT_EQ(message_of([&] { train.get("seed", int64_t{1}); }),
            "run.yaml:2:9: \"seed\" must be a whole number; found \"1.5\"");
  EXPECT_EQ(message_of([&] { train.get("lr", 1.0); }),
            "run.yaml:3:7: \"lr\" must be a number; found \"fast\"");
  EXPECT_EQ(message_of([&] { train.get("flag", true); }),
            "run.yaml:4:9: \"flag\" must be true or false; found \"3\"");
  EXPECT_EQ(message_of([&] { train.get("quoted", int64_t{1}); }),
            "run.yaml:5:11: \"quoted\" must be a whole number; found the text \"4\"");
  EXPECT_EQ(message_of([&] { train.get("steps", "x"); }),
            "run.yaml:6:10: \"steps\" must be a text; found a list");
  EXPECT_THAT(message_of([&] { root.section("train").section("seed"); }),
              HasSubstr("must be a section of keys"));
}

TEST(Config, RefusesNumbersThatAreNone) {
  for (const char* text :
       {"nan", "inf", ".inf", "-inf", "1e999", "0x10", "1_000", "1 2", "--1", "+-1"}) {
    Config root = Config::parse(std::string("x: ") + text, "c");
    EXPECT_THROW(root.get("x", 1.0), Error) << text;
  }
}

TEST(Config, AcceptsTheEndsOfTheIntegerRange) {
  Config root = Config::parse(
      "a: 9223372036854775807\nb: -9223372036854775808\nc: 9223372036854775808\n", "c");
  EXPECT_EQ(root.get("a", int64_t{0}), INT64_MAX);
  EXPECT_EQ(root.get("b", int64_t{0}), INT64_MIN);
  EXPECT_THROW(root.get("c", int64_t{0}), Error);
}

TEST(Config, RefusesAnUnknownKeyAtItsPlaceWithTheNearestName) {
  Config root = Config::parse("train:\n  learning_rat: 1\n  seed: 2\n", "run.yaml");
  Config train = root.section("train");
  train.get("learning_rate", 1e-3);
  train.get("seed", int64_t{0});
  EXPECT_EQ(
      message_of([&] { root.refuse_unknown(); }),
      "run.yaml:2:3: unknown key \"learning_rat\" in \"train\"; did you mean \"learning_rate\"?");
}

TEST(Config, RefusesUnknownSectionsAndKeysInLists) {
  Config root = Config::parse("a: 1\nextra: {b: 1}\n", "c");
  root.get("a", int64_t{0});
  EXPECT_EQ(message_of([&] { root.refuse_unknown(); }),
            "c:2:1: unknown key \"extra\"; known here: a");
  Config listed = Config::parse("train:\n- path: x\n- path: y\n  pth: z\n", "c");
  for (Config& part : listed.sections("train")) part.require("path");
  EXPECT_EQ(message_of([&] { listed.refuse_unknown(); }),
            "c:4:3: unknown key \"pth\" in \"train\"; did you mean \"path\"?");
}

TEST(Config, RefusesDuplicateKeysWithBothPlaces) {
  EXPECT_EQ(message_of([] { Config::parse("a: 1\nb: 2\na: 3\n", "c"); }),
            "c:3:1: the key \"a\" stands twice (first in line 1); remove one of the two");
  EXPECT_THAT(message_of([] { Config::parse("s: {x: 1, x: 1}\n", "c"); }),
              HasSubstr("c:1:11: the key \"x\" stands twice"));
}

TEST(Config, RefusesWhatIsNoConfiguration) {
  EXPECT_THAT(message_of([] { Config::parse("just text", "c"); }),
              HasSubstr("c:1:1: a configuration is a mapping"));
  EXPECT_THAT(message_of([] { Config::parse("- a\n- b\n", "c"); }),
              HasSubstr("a configuration is a mapping"));
  EXPECT_THAT(message_of([] { Config::parse("a: [1, 2\nb: 3\n", "c"); }),
              HasSubstr("not valid YAML"));
  EXPECT_THAT(message_of([] { Config::parse("a: 1\n---\nb: 2\n", "c"); }),
              HasSubstr("second YAML document"));
  EXPECT_THAT(message_of([] { Config::parse("? [a]\n: 1\n", "c"); }),
              HasSubstr("a key must be plain text"));
  EXPECT_THAT(message_of([] { Config::parse("a: *nowhere\n", "c"); }), HasSubstr("not valid YAML"));
  EXPECT_NO_THROW(Config::parse("", "c"));
  EXPECT_NO_THROW(Config::parse("# only a comment\n", "c"));
}

TEST(Config, EndsOnNestingAndAliasesThatGrowWithoutBound) {
  std::string deep = "a: ";
  for (int i = 0; i < 5000; ++i) deep += "[";
  EXPECT_NE(message_of([&] { Config::parse(deep, "c"); }), "no error");
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 9; ++j) bomb += (j > 0 ? ",*a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_THAT(message_of([&] { Config::parse(bomb, "c"); }), HasSubstr("are aliases nested?"));
  EXPECT_NE(message_of([&] { Config::parse("a: &a [*a]\n", "c"); }), "no error");
}

TEST(Config, EndsOnACommaWhereAValueBegins) {
  for (const char* text : {",", ",a", "  ,", "# note\n,\n", "[],", "{},", "!!str ,", "a: 1\n,"})
    EXPECT_THAT(message_of([&] { Config::parse(text, "c"); }), HasSubstr("put it in quotes"))
        << text;
  EXPECT_EQ(message_of([] { Config::parse("separator: ,\n", "c"); }),
            "c:1:12: not valid YAML: a value cannot begin with ','; put it in quotes, as \",\"");
}

TEST(Config, EndsOnAnyThreeCharactersThatMeanSomething) {
  const std::string alphabet = ",[]{}:-?&*!|>'\"%@`#~ \n\ta";
  int64_t taken = 0, refused = 0;
  const auto count = [&](const std::string& text, const std::vector<std::string>& overrides) {
    try {
      Config::parse(text, "c", overrides);
      ++taken;
    } catch (const Error&) {
      ++refused;
    }
  };
  for (const char a : alphabet) {
    for (const char b : alphabet) {
      for (const char c : alphabet) {
        count({a, b, c}, {});
        count("", {std::string("key=") + a + b + c});
      }
    }
  }
  EXPECT_GT(taken, 0);
  EXPECT_GT(refused, 0);
}

TEST(Config, TakesPunctuationOnTheCommandLineAsItStands) {
  for (const std::string text : {",", ";", "|", "||", ":", "#",  "*", "&",  "!",  "%",  "@", "`",
                                 "-", ">", "?", "]",  "}", "\"", "'", ", ", ",a", "..", "\\"}) {
    Config root = Config::parse("separator: x", "c", {"separator=" + text});
    EXPECT_EQ(root.get("separator", ""), text);
  }
  Config root = Config::parse("a: x\nb: x\nc: x", "c", {"a=~", "b=[]", "c=\"\""});
  EXPECT_EQ(root.get("a", "none"), "none");
  EXPECT_THAT(root.get("b", std::vector<std::string>{"x"}), ElementsAre());
  EXPECT_EQ(root.get("c", "none"), "");
}

TEST(Config, NamesThePlaceOfBytesThatAreNoText) {
  EXPECT_EQ(message_of([] { Config::parse("a: 1\nb: caf\xE9\n", "c"); }),
            "c:2:7: the byte 0xE9 is not UTF-8; save the configuration as UTF-8");
  EXPECT_THAT(message_of([] { Config::parse(std::string("a: b\0c", 7), "c"); }),
              HasSubstr("c:1:5: a NUL byte"));
  EXPECT_EQ(message_of([] { Config::parse("a:\n\tb: 1\n", "c"); }),
            "c:2:3: not valid YAML: a tab cannot indent a line; use spaces");
}

TEST(Config, ReadsAnAliasAsACopyOfWhatItNames) {
  Config root = Config::parse("a: &x {k: 1}\nb: *x\n", "c", {"b.k=2"});
  EXPECT_EQ(root.section("a").get("k", int64_t{0}), 1);
  EXPECT_EQ(root.section("b").get("k", int64_t{0}), 2);
}

TEST(Config, RefusesAFileThatIsNoConfiguration) {
  const testing_support::TemporaryFolder folder;
  const std::string path = folder / "config_test_large.yaml";
  write_file(path, std::string(2 << 20, '#'));
  EXPECT_THAT(message_of([&] { Config::load(path, {}); }), HasSubstr("Is this a data file?"));
  EXPECT_THAT(message_of([] { Config::load("/dev/zero", {}); }), HasSubstr("is a device"));
}

TEST(Config, OverridesComeAfterTheFile) {
  Config root = Config::parse(
      "train: {seed: 1, lr: 1}\nparts: [{path: a}]\n", "c",
      {"train.seed=2", "new.deep.key=[x, y]", "train.lr=", "parts.0.path=b", "eq=a=b"});
  Config train = root.section("train");
  EXPECT_EQ(train.get("seed", int64_t{0}), 2);
  EXPECT_EQ(train.get("lr", 0.5), 0.5);
  EXPECT_THAT(root.section("new").section("deep").get("key", std::vector<std::string>{}),
              ElementsAre("x", "y"));
  EXPECT_EQ(root.sections("parts")[0].get("path", ""), "b");
  EXPECT_EQ(root.get("eq", ""), "a=b");
}

TEST(Config, NamesABadOverrideByItsText) {
  EXPECT_THAT(message_of([] { Config::parse("", "c", {"train"}); }),
              HasSubstr("train: not an override"));
  EXPECT_THAT(message_of([] { Config::parse("a: 1", "c", {"a.b=2"}); }),
              HasSubstr("a.b=2: \"a\" is a value, not a section"));
  EXPECT_THAT(message_of([] { Config::parse("", "c", {"a..b=2"}); }), HasSubstr("a key is empty"));
  EXPECT_THAT(message_of([] { Config::parse("l: [{a: 1}]", "c", {"l.3.a=2"}); }),
              HasSubstr("\"3\" is no position"));
  EXPECT_EQ(message_of([] {
              Config root = Config::parse("", "c", {"seed=x"});
              root.get("seed", int64_t{1});
            }),
            "seed=x: \"seed\" must be a whole number; found \"x\"");
  EXPECT_EQ(message_of([] { Config::parse("", "c", {"trian.x=1"}).refuse_unknown(); }),
            "trian.x=1: unknown key \"trian\"");
}

TEST(Config, ChoiceListsWhatIsAllowed) {
  Config root = Config::parse("kind: lienar\nother: zzz\n", "c");
  EXPECT_EQ(
      message_of([&] { root.choice("kind", "linear", {"linear", "cosine"}); }),
      "c:1:7: \"kind\" is \"lienar\"; it must be one of linear, cosine; did you mean \"linear\"?");
  EXPECT_EQ(message_of([&] { root.choice("other", "linear", {"linear", "cosine"}); }),
            "c:2:8: \"other\" is \"zzz\"; it must be one of linear, cosine");
  EXPECT_EQ(root.choice("absent", "cosine", {"linear", "cosine"}), "cosine");
}

TEST(Config, RequireNamesTheSectionAndALikelyMisspelling) {
  Config root = Config::parse("model:\n  pth: x\n", "c");
  Config model = root.section("model");
  EXPECT_EQ(message_of([&] { model.require("path"); }),
            "c:2:3: \"path\" is missing in \"model\"; is \"pth\" meant to be \"path\"?");
}

TEST(Config, KnowsWhatOtherProgramsCallAKey) {
  const auto refused = [](const std::string& text) {
    Config root = Config::parse(text, "c");
    Config train = root.section("train"), data = root.section("data");
    train.get("learning_rate", 1.0);
    train.get("num_train_epochs", 3.0);
    train.get("seed", int64_t{1});
    data.has("validation");
    data.section("split").get("seed", int64_t{1});
    return message_of([&] { root.refuse_unknown(); });
  };
  EXPECT_EQ(refused("train: {lr: 1}"),
            "c:1:9: unknown key \"lr\" in \"train\"; did you mean \"learning_rate\"?");
  EXPECT_THAT(refused("train: {Num-Epochs: 1}"), HasSubstr("did you mean \"num_train_epochs\"?"));
  EXPECT_THAT(refused("data: {dev: x}"), HasSubstr("did you mean \"validation\"?"));
  EXPECT_THAT(refused("epochs: 3"), HasSubstr("did you mean \"train.num_train_epochs\"?"));
  EXPECT_THAT(refused("data: {learning_rate: 3}"),
              HasSubstr("did you mean \"train.learning_rate\"?"));
  EXPECT_THAT(refused("seed: 3"), HasSubstr("did you mean \"train.seed\" or \"data.split.seed\"?"));
}

TEST(Config, RequireKnowsOtherNamesOfKeysAndSections) {
  const auto missing = [](const std::string& text) {
    Config root = Config::parse(text, "c");
    return message_of([&] { root.section("output").require("dir"); });
  };
  EXPECT_THAT(missing("output: {folder: x}"), HasSubstr("is \"folder\" meant to be \"dir\"?"));
  EXPECT_THAT(missing("outptu: {dir: x}"), HasSubstr("is \"outptu\" meant to be \"output\"?"));
  EXPECT_THAT(missing("output_dir: x"), HasSubstr("is \"output_dir\" meant to be \"output.dir\"?"));
  EXPECT_EQ(missing("model: x"), "c:1:1: \"dir\" is missing in \"output\"");
}

// Asks the same questions of any configuration.
std::string ask(Config root) {
  root.get("text", "plain");
  for (const char* key : {"odd1", "odd2", "odd3", "odd4", "odd5", "odd6", "odd7", "odd8", "odd9"})
    root.get(key, "");
  root.get("lr", 5e-5);
  root.get("whole", 3.0);
  root.get("big", int64_t{1} << 60);
  root.get("flag", true);
  root.get("list", std::vector<std::string>{"yes", "1", "a b", "-", ""});
  root.get("none", std::vector<std::string>{});
  Config section = root.section("section");
  section.get("inner", "x");
  section.section("untouched");
  for (Config& part : root.sections("parts")) {
    part.get("path", "p");
    part.section("fields").get("a", "b");
  }
  root.refuse_unknown();
  return root.resolved();
}

TEST(Config, ResolvedFormLoadsBackEqual) {
  const std::string text =
      "odd1: \"true\"\nodd2: \"1e5\"\nodd3: \"a: b # c\"\nodd4: \"line\\nbreak\\ttab "
      "\\u0001\"\nodd5: \"null\"\nodd6: ' lead'\n"
      "odd7: 中文\nodd8: \"x\\u2028y\\u0085\"\nodd9: ''\nlr: 3.3e-5\nparts: [{path: q}, {fields: "
      "{a: '- x'}}]\n";
  const std::string once = ask(Config::parse(text, "a"));
  const std::string twice = ask(Config::parse(once, "b"));
  EXPECT_EQ(once, twice);
  Config again = Config::parse(once, "b");
  EXPECT_EQ(again.get("odd4", ""), "line\nbreak\ttab \x01");
  EXPECT_EQ(again.get("odd8", ""), "x\xE2\x80\xA8y\xC2\x85");
  EXPECT_EQ(again.get("odd1", ""), "true");
  EXPECT_EQ(again.get("lr", 0.0), 3.3e-5);
  EXPECT_EQ(again.sections("parts")[1].section("fields").get("a", ""), "- x");
  EXPECT_FALSE(again.section("section").has("untouched"));
}

TEST(Config, ResolvedKeepsTheOrderAskedAndHoldsDefaults) {
  Config root = Config::parse("b: 2\na: 1\n", "c");
  root.get("a", int64_t{0});
  root.get("c", 1e-5);
  root.get("b", int64_t{0});
  EXPECT_EQ(root.resolved(), "a: 1\nc: 1e-05\nb: 2\n");
  EXPECT_EQ(root.resolved_json().dump(), "{\"a\":1,\"c\":1e-05,\"b\":2}");
}

TEST(Config, ReadsOptionsSavedAsJson) {
  Config root = Config::from_json(
      Json::parse(
          R"({"n": 3, "x": 0.5, "s": "7", "b": true, "l": ["a"], "o": {"k": 1}, "z": null})"),
      "hone.json");
  EXPECT_EQ(root.get("n", int64_t{0}), 3);
  EXPECT_EQ(root.get("x", 0.0), 0.5);
  EXPECT_EQ(root.get("s", ""), "7");
  EXPECT_TRUE(root.get("b", false));
  EXPECT_EQ(root.section("o").get("k", int64_t{0}), 1);
  EXPECT_FALSE(root.has("z"));
  EXPECT_THROW(Config::from_json(Json::parse("[1]"), "hone.json"), Error);
}

TEST(Config, StandsOverAnother) {
  Config base = Config::parse("a: 1\ntrain: {x: 1, y: 2}\ndata: {p: q}\nout: o\n", "base");
  Config own = Config::parse("data: {r: s}\ntrain: {y: 3}\nname: n\n", "own");
  Config both = own.over(base, {"train"}, {"name", "out"});
  EXPECT_EQ(both.get("a", int64_t{0}), 1);
  Config train = both.section("train"), data = both.section("data");
  EXPECT_EQ(train.get("x", int64_t{0}), 1);
  EXPECT_EQ(train.get("y", int64_t{0}), 3);
  EXPECT_EQ(data.get("r", ""), "s");
  EXPECT_FALSE(data.has("p"));
  EXPECT_FALSE(both.has("name"));
  EXPECT_FALSE(both.has("out"));
  both.refuse_unknown();
  EXPECT_EQ(base.section("train").get("y", int64_t{0}), 2);  // as it was
}

TEST(Config, StandsOverAnotherWithItsOwnPlaces) {
  Config base = Config::parse("train: {x: 1}\n", "base");
  Config own = Config::parse("\ntrain: {z: 1}\n", "own");
  Config both = own.over(base, {"train"}, {});
  both.section("train").get("x", int64_t{0});
  try {
    both.refuse_unknown();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.where().str(), "own:2:9");
  }
}

TEST(Config, ReplacesAPartOfEveryText) {
  Config root = Config::parse("a: $D/x\nb: [{c: $D$D}, 1]\n", "c");
  root.replace("$D", "$Dir");
  EXPECT_EQ(root.get("a", ""), "$Dir/x");
  EXPECT_EQ(root.resolved_json().dump(), R"({"a":"$Dir/x"})");
}

}  // namespace
}  // namespace hone
