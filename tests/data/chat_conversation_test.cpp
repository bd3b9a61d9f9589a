// Conversations of other formats as messages, and what is refused of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chat_testing.h"
#include "data/chat/conversation.h"

namespace hone {
namespace {

using testing::HasSubstr;

Json plain(const char* text) {
  Json messages = Json::parse(text);
  make_plain(messages);
  return messages;
}

std::string refusal(const char* text) {
  return error_of([&] { plain(text); });
}

TEST(Conversation, PartsOfTextBecomeOne) {
  EXPECT_EQ(plain(R"([{"role": "user", "content": [{"type": "text", "text": "a"},
                                                    {"type": "text", "text": "b"}]}])")[0]
                                                                                       ["content"],
            "ab");
  EXPECT_EQ(refusal(R"([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])"),
            "message 1 has the part {\"type\":\"image_url\",\"image_url\":{}}; only parts "
            "{\"type\": \"text\", \"text\": …} can be read");
}

TEST(Conversation, ArgumentsInATextAreRead) {
  const Json messages = plain(R"([{"role": "user", "content": "?"},
    {"role": "assistant", "tool_calls": [
      {"type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
    {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"},
    {"role": "assistant", "content": "3"}])");
  EXPECT_EQ(messages[1]["tool_calls"][0]["function"]["arguments"], Json::parse(R"({"x": 1})"));
  EXPECT_TRUE(messages[1]["content"].is_null());
  EXPECT_THAT(refusal(
                  R"([{"role": "assistant", "tool_calls": [
            {"function": {"name": "f", "arguments": "{x"}}]}])"),
              HasSubstr("message 1 has tool calls whose arguments \"{x\" are no JSON"));
}

TEST(Conversation, WhatCannotBeUsedIsNamed) {
  EXPECT_EQ(refusal("[]"), "\"messages\" is an empty list");
  EXPECT_EQ(refusal("{}"), "\"messages\" is {}; a list was expected");
  EXPECT_EQ(refusal("[5]"), "message 1 is 5; an object with \"role\" and \"content\" was expected");
  EXPECT_EQ(refusal(R"([{"content": "x"}])"), "message 1 has no \"role\"");
  EXPECT_EQ(refusal(R"([{"role": 3}])"), "message 1 has the role 3");
  EXPECT_EQ(refusal(R"([{"role": "asistant", "content": "x"}])"),
            "message 1 has the unknown role \"asistant\"; did you mean \"assistant\"?; known: "
            "system, developer, user, assistant, tool, function");
  EXPECT_EQ(
      refusal(R"([{"role": "user", "content": 5}])"),
      "message 1 has the content 5; a text was expected, or a list of parts of the type text");
  EXPECT_EQ(refusal(R"([{"role": "user"}])"), "message 1 has the role user and no content");
  EXPECT_EQ(refusal(R"([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}])"),
            "message 2 has the role system, which may only come before all others");
  EXPECT_EQ(refusal(R"([{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}])"),
            "message 2 has the role tool, but no message before it calls one");
}

class ConversationReaders : public testing::Test {
 protected:
  std::vector<Record> read(const std::string& format, const std::string& bytes,
                           const std::string& on_bad_row = "error") {
    SourceOptions options;
    options.format = format;
    options.on_bad_row = on_bad_row;
    options.path = folder_.write("rows", bytes);
    reader_ = open_reader(options);
    return read_all(*reader_);
  }

  TemporaryFolder folder_;
  std::unique_ptr<RecordReader> reader_;
};

TEST_F(ConversationReaders, AlpacaBecomesMessages) {
  const auto rows = read("alpaca", R"([
    {"instruction": "Add.", "input": "1 2", "output": "3", "id": 7},
    {"instruction": "Again", "input": "", "output": "x", "system": "Be brief.",
     "history": [["a", "b"]]}])");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].fields, Json::parse(R"({"id": 7, "messages": [
    {"role": "user", "content": "Add.\n\n1 2"}, {"role": "assistant", "content": "3"}]})"));
  EXPECT_EQ(rows[1].fields["messages"], Json::parse(R"([{"role": "system", "content": "Be brief."},
    {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
    {"role": "user", "content": "Again"}, {"role": "assistant", "content": "x"}])"));
}

TEST_F(ConversationReaders, ShareGptBecomesMessages) {
  const auto rows =
      read("sharegpt",
           R"({"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}],
  "system": "S"}
{"conversations": [{"from": "human", "value": "t?"},
  {"from": "function_call", "value": "{\"name\": \"clock\", \"arguments\": {}}"},
  {"from": "observation", "value": "12"}, {"from": "gpt", "value": "Noon"}],
  "tools": "[{\"name\": \"clock\"}]"}
)");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].fields, Json::parse(R"({"messages": [{"role": "system", "content": "S"},
    {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]})"));
  EXPECT_EQ(rows[1].fields["messages"][1]["tool_calls"][0]["function"]["name"], "clock");
  EXPECT_EQ(rows[1].fields["messages"][2]["role"], "tool");
  EXPECT_EQ(rows[1].fields["tools"][0]["name"], "clock");
}

TEST_F(ConversationReaders, BadRowsAreNamedWithTheirPlace) {
  const std::string bad =
      "{\"conversations\": [{\"from\": \"human\", \"value\": \"a\"}]}\n"
      "{\"conversations\": [{\"from\": \"robot\", \"value\": \"a\"}]}\n"
      "{\"messages\": []}\n";
  EXPECT_EQ(error_of([&] { read("sharegpt", bad); }),
            "rows:2:1: message 1 is from \"robot\"; known: human, user, gpt, assistant, chatgpt, "
            "model, system, tool, observation, function_call");
  EXPECT_EQ(read("sharegpt", bad, "skip").size(), 1u);
  EXPECT_EQ(reader_->bad_count(), 2);
  EXPECT_THAT(reader_->bad_rows()[1].reason, HasSubstr("has a list \"conversations\""));
  EXPECT_THAT(error_of([&] { read("alpaca", "{\"input\": \"x\"}\n"); }),
              HasSubstr("rows:1:1: the row has no \"instruction\""));
}

}  // namespace
}  // namespace hone
