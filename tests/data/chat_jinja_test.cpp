// The engine of chat templates beside Jinja2: tests/golden/chat_templates.py wrote what it renders.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "data/chat/jinja/template.h"
#include "support/errors.h"

namespace hone::jinja {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using testing_support::error_of;

std::string rendered(const std::string& source, const Json& variables = Json::object()) {
  Variables values;
  for (const auto& [name, value] : variables.items())
    values.emplace_back(name, Value::of_json(value, kFromData));
  return Template(source, "t.jinja").render(values, std::tm{}).bytes;
}

TEST(ChatJinja, RendersWhatJinja2Renders) {
  std::ifstream file("tests/golden/chat_templates.json");
  ASSERT_TRUE(file) << "tests/golden/chat_templates.json is missing";
  const Json golden = Json::parse(file);
  ASSERT_GT(golden["cases"].size(), 150u);
  for (const Json& one : golden["cases"]) {
    const std::string source = one["template"];
    SCOPED_TRACE(source);
    if (one["text"].is_null()) {
      EXPECT_THROW(rendered(source, golden["variables"]), Error);
      continue;
    }
    try {
      EXPECT_EQ(rendered(source, golden["variables"]), one["text"].get<std::string>());
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(ChatJinja, ErrorsNameLineAndColumnOfTheTemplate) {
  EXPECT_EQ(error_of([] { rendered("a\n  {{ 1 + }}"); }),
            "t.jinja:2:10: found \"}}\" where a value was expected");
  EXPECT_EQ(error_of([] { rendered("{% if x %}\n{% for a in b %}\n{% endif %}"); }),
            "t.jinja:3:4: \"endif\" is no tag, or closes nothing");
  EXPECT_EQ(error_of([] { rendered("{% if x %}"); }),
            "t.jinja:1:11: the template ends where {% elif %} or {% else %} or {% endif %} was "
            "expected");
  EXPECT_EQ(error_of([] { rendered("é\n{{ a.b.c }}", {{"a", Json::object()}}); }),
            "t.jinja:2:7: a dict has no \"b\"");
  EXPECT_EQ(error_of([] { rendered("{{ raise_exception('No.') }}"); }),
            "t.jinja:1:19: the template refuses these messages: No.");
  EXPECT_EQ(error_of([] { rendered("{% include 'x' %}"); }),
            "t.jinja:1:4: the tag \"include\" is not available in chat templates");
  EXPECT_EQ(error_of([] { rendered("{{ 'a' | nosuch }}"); }), "t.jinja:1:10: no filter \"nosuch\"");
}

ErrorKind kind_of(const std::string& source) {
  try {
    rendered(source);
  } catch (const Error& error) {
    return error.kind();
  }
  return ErrorKind::kInternal;
}

TEST(ChatJinja, WhatTheMessagesCauseIsTheirsAndTheRestTheTemplates) {
  EXPECT_EQ(kind_of("{{ messages[0].content }}"), ErrorKind::kData);
  EXPECT_EQ(kind_of("{{ raise_exception('x') }}"), ErrorKind::kData);
  EXPECT_EQ(kind_of("{{ 'x' | nosuch }}"), ErrorKind::kModel);
  EXPECT_EQ(kind_of("{% endif %}"), ErrorKind::kModel);
  EXPECT_EQ(kind_of("{% for i in range(99999999) %}{% endfor %}"), ErrorKind::kModel);
}

TEST(ChatJinja, EndlessWorkIsRefused) {
  const std::string loops =
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
  EXPECT_THAT(error_of([&] { rendered(loops); }), HasSubstr("takes more than 5000000 steps"));
  EXPECT_THAT(error_of([] { rendered("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"); }),
              HasSubstr("does a macro call itself without an end?"));
  EXPECT_THAT(error_of([] { rendered("{{ range(10**9) }}"); }), HasSubstr("the most is 100000"));
}

TEST(ChatJinja, TextsAndListsHaveBounds) {
  const std::string doubled =
      "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ";
  for (const char* growth :
       {"ns.x ~ ns.x", "ns.x + ns.x", "ns.x * 2", "ns.x | replace('a', 'aa')",
        "[ns.x, ns.x] | join", "ns.x.join([ns.x, ns.x, ns.x])", "'%s%s' % (ns.x, ns.x)",
        "'{0}{0}'.format(ns.x)", "(ns.x ~ ns.x) | indent", "ns.x | list + ns.x | list",
        "[ns.x, ns.x] | string", "[ns.x, ns.x] | tojson"}) {
    SCOPED_TRACE(growth);
    EXPECT_THROW(rendered(doubled + growth + " %}{% endfor %}"), Error);
  }
  for (const char* source :
       {"{{ 'a' * 10**12 }}", "{{ [1] * 10**12 }}", "{{ 'x' | center(10**12) }}",
        "{{ 'x'.ljust(10**12) }}", "{{ 'x' | indent(10**12, true) }}",
        "{{ '%999999d' % 1 ~ 9**99 }}", "{{ [1] | batch(10**12, 'x') | list }}",
        "{{ [1] | slice(10**12) | list }}", "{{ 2 ** 64 }}", "{{ 9223372036854775807 + 1 }}",
        "{{ -9223372036854775807 - 2 }}", "{{ 99999999999999999999 }}"}) {
    SCOPED_TRACE(source);
    EXPECT_THROW(rendered(source), Error);
  }
}

TEST(ChatJinja, ValuesNestedWithoutAnEndAreRefused) {
  const std::string head = "{% set ns = namespace(x=[]) %}{% for i in range(99999) %}";
  EXPECT_THAT(error_of([&] { rendered(head + "{% set ns.x = [ns.x] %}{% endfor %}"); }),
              HasSubstr("nested deeper than 600 levels"));
  EXPECT_THAT(error_of([&] { rendered(head + "{% set ns.x = {'a': ns.x} %}{% endfor %}"); }),
              HasSubstr("nested deeper than 600 levels"));
  // Wide as well as deep: 2^60 parts when it is written or compared.
  const std::string wide =
      "{% set ns = namespace(x=[]) %}{% for i in range(60) %}"
      "{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
  EXPECT_THROW(rendered(wide + "{{ ns.x }}"), Error);
  EXPECT_THROW(rendered(wide + "{{ ns.x | tojson }}"), Error);
  EXPECT_THROW(rendered(wide + "{{ ns.x == ns.x[:] }}"), Error);
}

TEST(ChatJinja, ANamespaceMayHoldItself) {
  EXPECT_EQ(rendered("{% set ns = namespace(a=1) %}{% set ns.me = ns %}{{ ns.me.me.a }}"), "1");
  EXPECT_THROW(rendered("{% set ns = namespace() %}{% set ns.me = [ns] %}{{ ns }}"), Error);
}

TEST(ChatJinja, ALoopThatIsKeptOutlivesItsBlock) {
  const std::string kept =
      "{% set ns = namespace() %}{% for i in [1, 2] if i %}{% set ns.l = loop %}{% endfor %}";
  EXPECT_EQ(rendered(kept + "{{ ns.l.index }}{{ ns.l.length }}"), "22");
  EXPECT_EQ(rendered("{% set ns = namespace() %}{% for i in [[1], [2]] recursive %}"
                     "{% if not ns.l %}{% set ns.l = loop %}{% endif %}{{ i }}{% endfor %}"
                     "{{ ns.l([5]) }}"),
            "[1][2]5");
  // A condition that asks the loop it belongs to.
  EXPECT_THAT(error_of([] {
                rendered(
                    "{% set ns = namespace(l=none) %}"
                    "{% for i in [1, 2, 3] if ns.l is none or ns.l.length > 1 %}"
                    "{% set ns.l = loop %}{{ i }}{% endfor %}");
              }),
              HasSubstr("asks for the loop itself"));
}

TEST(ChatJinja, DeepSyntaxIsRefused) {
  const auto times = [](const std::string& part, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += part;
    return out;
  };
  EXPECT_THROW(rendered("{{ " + times("(", 5000) + "1" + times(")", 5000) + " }}"), Error);
  EXPECT_THROW(rendered("{{ " + times("not ", 5000) + "1 }}"), Error);
  EXPECT_THROW(rendered("{{ " + times("-", 5000) + "1 }}"), Error);
  EXPECT_THROW(rendered("{{ 1" + times(" + 1", 5000) + " }}"), Error);
  EXPECT_THROW(rendered("{{ a" + times(".b", 5000) + " }}"), Error);
  EXPECT_THROW(rendered("{{ a" + times(" | list", 5000) + " }}"), Error);
  EXPECT_THROW(rendered(times("{% if 1 %}", 5000) + times("{% endif %}", 5000)), Error);
  EXPECT_THROW(rendered("{{ 1" + times(" if 1 else 1", 5000) + " }}"), Error);
  EXPECT_THROW(rendered("{% set " + times("(", 5000) + "a = 1 %}"), Error);
  EXPECT_EQ(rendered("{{ ''" + times(" ~ 'a'", 3000) + " }}").size(), 3000u);
}

TEST(ChatJinja, BytesKnowWhereTheyCameFrom) {
  const auto marks = [](const std::string& source) {
    Variables variables;
    variables.emplace_back("d", Value::of_json(Json(" Ab,c "), kFromData));
    std::string out;
    for (const char mark : Template(source, "t").render(variables, std::tm{}).marks)
      out += mark == 0 ? '.' : static_cast<char>('0' + mark);
    return out;
  };
  EXPECT_EQ(marks("x{{ d }}y"), ".111111.");
  EXPECT_EQ(marks("<{{ d | trim }}>{{ 'z' ~ d[1:3] }}"), ".1111..11");
  EXPECT_EQ(marks("{{ d.split(',')[0] }}{{ d.upper() }}{{ 'a' + 'b' }}"), "111111111..");
  EXPECT_EQ(marks("{{ d | replace(',', ';') }}{{ 'a,b' | replace(',', d) }}"), "111.11.111111.");
  EXPECT_EQ(marks("{{ ['a', d] | join('-') }}{{ [d] }}"), "..111111..111111..");
  EXPECT_EQ(marks("{{ {'k': d} | tojson }}"), ".......111111..");
  EXPECT_EQ(marks("{% set x %}<{{ d[1] }}>{% endset %}{{ x }}"), ".1.");
  EXPECT_EQ(marks("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(d[1]) }}"), ".1.");
  EXPECT_EQ(marks("a{% generation %}b{{ d[1] }}{% endgeneration %}c"), ".23.");
  EXPECT_EQ(marks("{% macro m() %}{% generation %}b{% endgeneration %}{% endmacro %}a{{ m() }}c"),
            ".2.");
}

TEST(ChatJinja, StrftimeShowsTheTimeItIsGiven) {
  std::tm time{};
  time.tm_year = 124;
  time.tm_mon = 6;
  time.tm_mday = 26;
  const Template made("{{ strftime_now('%d %b %Y') }}|{{ strftime_now('') }}", "t");
  EXPECT_EQ(made.render({}, time).bytes, "26 Jul 2024|");
}

}  // namespace
}  // namespace hone::jinja
