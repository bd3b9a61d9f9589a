// Damaged templates and messages: whatever they hold, a rendering gives a text or an Error. It
// never crashes, hangs or throws anything else.
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/random.h"
#include "base/utf8.h"
#include "data/chat/builtin_templates.h"
#include "data/chat/jinja/template.h"

namespace hone::jinja {
namespace {

// HONE_ATTACK=1 asks for the long form.
int damage_rounds() { return std::getenv("HONE_ATTACK") != nullptr ? 100'000 : 1000; }

// What templates are made of, to be put where it does not belong.
const char* const kPieces[] = {"{% if x %}",
                               "{% endif %}",
                               "{% for a in b %}",
                               "{% endfor %}",
                               "{{",
                               "}}",
                               "{%",
                               "%}",
                               "{#",
                               "#}",
                               "-",
                               " | join(",
                               " is ",
                               " in ",
                               "[::-1]",
                               "[",
                               "]",
                               "(",
                               ")",
                               "loop",
                               "loop.length",
                               "namespace(",
                               "{% macro f(a) %}",
                               "{% endmacro %}",
                               "{{ f(f) }}",
                               "**",
                               " * 99999",
                               "'",
                               "\"",
                               "\\",
                               "\n",
                               "é",
                               "\xFF",
                               "{% set messages = ",
                               "range(9999)",
                               ".items()",
                               "~",
                               " if ",
                               " else ",
                               "{% generation %}",
                               "none",
                               "0",
                               "{% break %}",
                               "recursive",
                               "messages",
                               ".x",
                               "|map('",
                               "|tojson",
                               "{% call f(1) %}",
                               "{% endcall %}",
                               "{% set x %}",
                               "{% endset %}"};

std::vector<std::string> sound_templates() {
  std::vector<std::string> sources;
  for (const BuiltinTemplate& builtin : builtin_templates()) sources.emplace_back(builtin.source);
  sources.emplace_back(
      "{%- macro f(a, b=1) %}{{ a ~ b }}{{ caller() if caller }}{% endmacro %}"
      "{% set ns = namespace(n=0, l=[]) %}{% for m in messages if m.role != 'x' recursive %}"
      "{% set ns.n = ns.n + m.content | length %}{{ loop.index }}{{ loop.nextitem.role }}"
      "{% if loop.last %}{% break %}{% endif %}{{ f(m.content[1:-1:2], b=m | tojson(indent=2)) }}"
      "{% endfor %}{% call(x) f(1) %}{{ x }}{% endcall %}{% raw %}{{ raw }}{% endraw %}"
      "{{ messages | map(attribute='content') | select('string') | sort | join(', ') | title }}"
      "{{ '%s %d' % ('a', 1) }}{{ '{} {!r}'.format(1, 'x') }}{{ messages[0].items() | list }}"
      "{% with a = 1 %}{% filter upper %}x{% endfilter %}{% endwith %}{{ 1.5e3 // 7 ** -1 }}"
      "{{ messages | groupby('role') }}{{ 'a b c'.split(' ', 1) }}{{ range(3) | batch(2) | list }}"
      "{% set x | trim %} {{ 1 < 2 <= 3 }} {% endset %}{{ {'a': [1, (2,)]} | dictsort }}");
  return sources;
}

void render(const std::string& source, const Json& messages, int64_t& rendered, int64_t& refused) {
  try {
    const Template made(source, "damaged.jinja");
    Variables variables;
    variables.emplace_back("messages", Value::of_json(messages, kFromData));
    variables.emplace_back("eos_token", Value::text("</s>"));
    const Text text = made.render(variables, std::tm{});
    ASSERT_EQ(text.bytes.size(), text.marks.size());
    ASSERT_EQ(invalid_utf8(text.bytes), std::string::npos);
    ++rendered;
  } catch (const Error& error) {
    ASSERT_TRUE(error.kind() == ErrorKind::kModel || error.kind() == ErrorKind::kData)
        << error.what();
    ASSERT_GE(error.where().line, 1) << error.what();
    ++refused;
  }
}

const Json& sound_messages() {
  static const Json kMessages = Json::parse(
      R"([{"role": "user", "content": "héllo"},
          {"role": "assistant", "content": "a<b>", "n": 1.5}])");
  return kMessages;
}

TEST(ChatDamage, TemplatesCutOffAnywhere) {
  int64_t rendered = 0, refused = 0;
  for (const std::string& source : sound_templates()) {
    for (size_t size = 0; size <= source.size(); ++size) {
      render(source.substr(0, size), sound_messages(), rendered, refused);
      ASSERT_FALSE(HasFatalFailure()) << source.substr(0, size);
    }
  }
  EXPECT_GT(rendered, 3);
  EXPECT_GT(refused, 100);
}

TEST(ChatDamage, ChangedTemplates) {
  RandomStream random(11);
  int64_t rendered = 0, refused = 0;
  const std::vector<std::string> sources = sound_templates();
  for (int round = 0; round < damage_rounds(); ++round) {
    std::string source = sources[random.below(sources.size())];
    for (uint64_t changes = 1 + random.below(4); changes > 0; --changes) {
      const size_t at = random.below(source.size() + 1);
      const size_t length = random.below(std::min<size_t>(20, source.size() - at + 1));
      const std::string piece = random.below(3) == 0 ? source.substr(at, length)
                                                     : kPieces[random.below(std::size(kPieces))];
      if (random.below(2) == 0) source.erase(at, length);
      source.insert(std::min(at, source.size()), piece);
    }
    render(source, sound_messages(), rendered, refused);
    ASSERT_FALSE(HasFatalFailure()) << source;
  }
  EXPECT_GT(rendered, 10);
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace hone::jinja
