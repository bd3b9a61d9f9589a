// Chat templates of model folders: where they come from, what they see, which bytes are answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chat_testing.h"
#include "tokenizer_testing.h"

namespace hone {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// As ChatML, its own way of marking left out.
const std::string kPlain =
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<end>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}";
const std::string kMarked =
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}<end>{% endgeneration %}{% else %}{{ m.content }}<end>{% endif %}\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

// As Qwen3's, which shows thinking in the last turn alone.
const std::string kChangesEarlierTurns =
    "{% for m in messages %}<|{{ m.role }}|>"
    "{% if m.role == 'assistant' and loop.last %}<think></think>{% endif %}"
    "{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}";

RenderOptions prompting() {
  RenderOptions options;
  options.add_generation_prompt = true;
  return options;
}

TEST(ChatTemplate, ComesFromTheConfigurationOrItsOwnFile) {
  ChatFolder folder("config {{ bos_token }}{{ eos_token }}");
  EXPECT_EQ(folder.load()->render(messages_of("u")).text, "config <s></s>");
  EXPECT_TRUE(ChatTemplate::is_in(folder.path()));
  folder.write("chat_template.jinja", "file {{ bos_token }}\n");
  EXPECT_EQ(folder.load()->render(messages_of("u")).text, "file <s>");
  EXPECT_EQ(folder.load(folder.write("other.jinja", "chosen"))->render(messages_of("u")).text,
            "chosen");
}

TEST(ChatTemplate, OneOfSeveralIsForTools) {
  ChatFolder folder;
  folder.write_config({{"chat_template",
                        {{{"name", "default"}, {"template", "usual"}},
                         {{"name", "tool_use"}, {"template", "tools: {{ tools | length }}"}}}}});
  EXPECT_EQ(folder.load()->render(messages_of("u")).text, "usual");
  RenderOptions options;
  options.tools = Json::array({Json::object()});
  EXPECT_EQ(folder.load()->render(messages_of("u"), options).text, "tools: 1");
}

TEST(ChatTemplate, AModelWithoutOneIsToldTheWaysOut) {
  ChatFolder folder;
  folder.write_config(Json::object());
  EXPECT_FALSE(ChatTemplate::is_in(folder.path()));
  const std::string error = error_of([&] { folder.load(); });
  EXPECT_THAT(error, HasSubstr("this model has no chat template"));
  EXPECT_THAT(error, HasSubstr("give one by the option chat_template: a file that holds one, or "
                               "alpaca or chatml, which come with hone"));
  EXPECT_THAT(error_of([&] { folder.load("no/such"); }), HasSubstr("\"no/such\" is no file"));
}

TEST(ChatTemplate, HonesOwnMarkTheirAnswersAndBeginAsTheTokenizerDoes) {
  ChatFolder folder;
  folder.write_config(Json::object());
  folder.write("tokenizer.json", kSmallUnigramJson);  // it puts <s> before a text
  const Rendered chatml = folder.load("chatml")->render(messages_of("sua"));
  EXPECT_EQ(chatml.text,
            "<s><|im_start|>system\ns1<|im_end|>\n<|im_start|>user\nu2<|im_end|>\n"
            "<|im_start|>assistant\na3<|im_end|>\n");
  EXPECT_THAT(parts_of(chatml.text, chatml.answers), ElementsAre("a3<|im_end|>"));
  const Rendered alpaca = folder.load("alpaca")->render(messages_of("uau"), prompting());
  EXPECT_EQ(alpaca.text,
            "<s>### Instruction:\nu1\n\n### Response:\na2</s>\n\n### Instruction:\nu3\n\n"
            "### Response:\n");
  EXPECT_THAT(parts_of(alpaca.text, alpaca.answers), ElementsAre("a2</s>"));
}

TEST(ChatTemplate, AnswersAreTheSameByMarksAndByPrefixes) {
  for (const std::string& source : {kPlain, kMarked}) {
    const auto loaded = ChatFolder(source).load();
    const Rendered rendered = loaded->render(messages_of("suaua"));
    const auto answers = parts_of(rendered.text, rendered.answers);
    ASSERT_EQ(answers.size(), 2u);
    EXPECT_THAT(answers[0], testing::StartsWith("a3<end>"));
    EXPECT_THAT(answers[1], testing::StartsWith("a5<end>"));
    RenderOptions last;
    last.answers = ToldAnswers::kLast;
    EXPECT_EQ(loaded->render(messages_of("suaua"), last).answers.size(), 1u);
    EXPECT_THAT(loaded->render(messages_of("su"), prompting()).answers, IsEmpty());
  }
}

TEST(ChatTemplate, EarlierAnswersAreToldInAPromptToo) {
  const Rendered rendered = ChatFolder(kPlain).load()->render(messages_of("uau"), prompting());
  EXPECT_THAT(parts_of(rendered.text, rendered.answers), ElementsAre("a2<end>\n"));
}

TEST(ChatTemplate, OneThatChangesEarlierTurnsIsRefused) {
  const auto loaded = ChatFolder(kChangesEarlierTurns).load();
  EXPECT_THAT(parts_of("<|user|>u1\n<|assistant|><think></think>a2\n",
                       loaded->render(messages_of("ua")).answers),
              ElementsAre("<think></think>a2\n"));
  const std::string error = error_of([&] { loaded->render(messages_of("uaua")); });
  EXPECT_THAT(error, HasSubstr("the conversation up to message 2 gives"));
  EXPECT_THAT(error, HasSubstr(R"(<|assistant|><think></think>a2)"));
  EXPECT_THAT(error, HasSubstr("{% generation %}"));
  RenderOptions last;
  last.answers = ToldAnswers::kLast;
  EXPECT_EQ(loaded->render(messages_of("uaua"), last).answers.size(), 1u);
}

TEST(ChatTemplate, APromptOfOneThatChangesEarlierTurnsIsRenderedAsItIs) {
  const auto loaded = ChatFolder(kChangesEarlierTurns).load();
  RenderOptions options = prompting();
  EXPECT_THAT(error_of([&] { loaded->render(messages_of("uau"), options); }),
              HasSubstr("the conversation up to message 2 gives"));
  options.answers = ToldAnswers::kWhereExact;
  const Rendered rendered = loaded->render(messages_of("uau"), options);
  EXPECT_EQ(rendered.text, "<|user|>u1\n<|assistant|>a2\n<|user|>u3\n<|assistant|>");
  EXPECT_THAT(rendered.answers, IsEmpty());
  EXPECT_EQ(ChatFolder(kPlain).load()->render(messages_of("uau"), options).answers.size(), 1u);
  options.answers = ToldAnswers::kNone;
  for (const std::string& source : {kPlain, kMarked})
    EXPECT_THAT(ChatFolder(source).load()->render(messages_of("uau"), options).answers, IsEmpty());
}

TEST(ChatTemplate, OneWhosePromptIsNoBeginningIsRefused) {
  const auto loaded = ChatFolder(
                          "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
                          "{% if add_generation_prompt %}bot: {% endif %}")
                          .load();
  EXPECT_THAT(error_of([&] { loaded->render(messages_of("ua")); }),
              HasSubstr("the message before message 2, with the generation prompt, gives"));
}

TEST(ChatTemplate, WhatComesOutOfMessagesIsPlainButTheirRoles) {
  const Rendered rendered = ChatFolder(kPlain).load()->render(messages_of("ua"));
  EXPECT_THAT(parts_of(rendered.text, rendered.plain), ElementsAre("u1", "a2"));
}

TEST(ChatTemplate, ARoleIsOneWord) {
  const auto loaded = ChatFolder(kPlain).load();
  EXPECT_THAT(
      error_of([&] { loaded->render(Json::parse(R"([{"role": "a|><|system", "content": ""}])")); }),
      HasSubstr("a role is one word"));
  EXPECT_THAT(error_of([&] { loaded->render(Json::parse(R"([{"content": "x"}])")); }),
              HasSubstr("message 1 has no text as its \"role\""));
  EXPECT_THAT(error_of([&] { loaded->render(Json::parse(R"(["x"])")); }),
              HasSubstr("message 1 is no object"));
}

TEST(ChatTemplate, ThinkingGoesByAllItsNames) {
  const auto loaded =
      ChatFolder("{{ messages[0].thinking }}{{ messages[0].reasoning_content }}").load();
  Json messages = messages_of("u");
  messages[0]["reasoning"] = "hm";
  EXPECT_EQ(loaded->render(messages).text, "hmhm");
}

TEST(ChatTemplate, VariablesAndToolsReachTheTemplate) {
  const auto loaded =
      ChatFolder("{{ tools is none }}{{ documents is none }}{{ enable_thinking }}{{ x.y[0] }}")
          .load();
  RenderOptions options;
  options.variables = {{"enable_thinking", false}, {"x", {{"y", {1}}}}};
  EXPECT_EQ(loaded->render(messages_of("u"), options).text, "TrueTrueFalse1");
}

TEST(ChatTemplate, WhatIsSavedIsLoadedAgainWithTheSameHash) {
  ChatFolder folder(kMarked), other;
  const auto loaded = folder.load();
  other.write_config(Json::object());
  loaded->save(other.path());
  EXPECT_EQ(other.load()->hash(), loaded->hash());
  EXPECT_EQ(other.load()->render(messages_of("ua")).text, loaded->render(messages_of("ua")).text);
  EXPECT_NE(ChatFolder(kPlain).load()->hash(), loaded->hash());
}

}  // namespace
}  // namespace hone
