// Rendered conversations as ids: special tokens of the template, plain text of the messages, cuts
// at the borders of answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "chat_testing.h"
#include "data/chat/encode_chat.h"
#include "shared_files.h"
#include "tokenizer_testing.h"

namespace hone {
namespace {

using testing::ElementsAre;

// Letters, a merge across a line end, <end> and <s> as special tokens, <note> as one that is not.
const char* const kLetters = R"({"version": "1.0", "added_tokens": [
    {"id": 17, "content": "<s>", "special": true}, {"id": 18, "content": "<end>", "special": true},
    {"id": 19, "content": "<note>", "special": false, "normalized": false}],
  "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false,
    "trim_offsets": false, "use_regex": false},
  "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
      {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [17], "tokens": ["<s>"]}}},
  "decoder": {"type": "ByteLevel"},
  "model": {"type": "BPE", "dropout": null, "unk_token": null,
    "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": false,
    "vocab": {"<": 0, ">": 1, "e": 2, "n": 3, "d": 4, "a": 5, "b": 6, "u": 7, "Ċ": 8, "Ġ": 9,
      ":": 10, "ab": 11, "Ċa": 12, "/": 13, "s": 14, "o": 15, "t": 16},
    "merges": ["Ċ a", "a b"]}})";

std::string told(const Tokenizer& tokenizer, const EncodedChat& chat) {
  std::string out;
  for (size_t i = 0; i < chat.ids.size(); ++i)
    out += (i > 0 ? " " : "") + tokenizer.token(chat.ids[i]) + (chat.is_answer[i] != 0 ? "*" : "");
  return out;
}

class ChatEncode : public testing::Test {
 protected:
  TemporaryFolder folder_;
  std::shared_ptr<const Tokenizer> letters_ = load_text(folder_, "tokenizer.json", kLetters);

  std::string encoded(const std::string& source, const Json& messages,
                      bool add_generation_prompt = false) {
    RenderOptions options;
    options.add_generation_prompt = add_generation_prompt;
    return told(*letters_,
                encode_chat(*letters_, ChatFolder(source).load()->render(messages, options)));
  }
};

const std::string kTurns =
    "{% for m in messages %}{{ m.role[0] }}:\n{% if m.role == 'assistant' %}{% generation %}"
    "{{ m.content }}<end>{% endgeneration %}{% else %}{{ m.content }}<end>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}a:\n{% endif %}";

Json two(const std::string& user, const std::string& assistant) {
  return {{{"role", "user"}, {"content", user}}, {{"role", "assistant"}, {"content", assistant}}};
}

TEST_F(ChatEncode, ContentThatSpellsASpecialTokenStaysPlain) {
  EXPECT_EQ(encoded(kTurns, two("u<end>", "<s>b")),
            "u : Ċ u < e n d > <end> a : Ċ <* s* >* b* <end>*");
}

TEST_F(ChatEncode, AddedTokensThatAreNotSpecialAreFoundInContent) {
  EXPECT_EQ(encoded(kTurns, two("<note>", "<note>")), "u : Ċ <note> <end> a : Ċ <note>* <end>*");
}

TEST_F(ChatEncode, ASpecialTokenHalfOfContentIsNone) {
  EXPECT_EQ(encoded("{{ messages[0].content }}d>{% generation %}{% endgeneration %}",
                    {{{"role", "user"}, {"content", "<en"}}}),
            "< e n d >");
}

// The model's merge of a line end and "a" would take a byte of the prompt along.
TEST_F(ChatEncode, ABorderInsideAMergeIsCut) {
  EXPECT_EQ(encoded(kTurns, two("ab", "ab")), "u : Ċa b <end> a : Ċ ab* <end>*");
}

TEST_F(ChatEncode, ThePromptHasTheIdsItHasWhenTheAnswerIsMade) {
  const std::string whole = encoded(kTurns, two("ab", "ab"));
  Json question = two("ab", "");
  question.erase(1);
  const std::string prompt = encoded(kTurns, question, true);
  EXPECT_EQ(whole.substr(0, prompt.size()), prompt);
}

TEST_F(ChatEncode, BosStandsOnceAndWhereTheTemplateWritesIt) {
  EXPECT_EQ(encoded("<s>{% generation %}a{% endgeneration %}", messages_of("u")), "<s> a*");
  EXPECT_EQ(encoded("{% generation %}a{% endgeneration %}", messages_of("u")), "a*");
  ChatFolder folder;
  folder.write_config(Json::object());
  folder.write("tokenizer.json", kLetters);
  const auto ids_by = [&](const std::string& chosen) {
    return encode_chat(*letters_, folder.load(chosen)->render(messages_of("u"))).ids;
  };
  const auto ids = ids_by("chatml");
  EXPECT_EQ(letters_->token(ids[0]), "<s>");
  EXPECT_EQ(std::count(ids.begin(), ids.end(), ids[0]), 1);
  folder.load("chatml")->save(folder.path());
  EXPECT_EQ(ids_by(""), ids) << "what is saved says it too";
}

TEST_F(ChatEncode, TheEndOfAnAnswerHasALossWhateverThePaddingIs) {
  const auto rendered = ChatFolder(kTurns).load()->render(two("a", "b"));
  const EncodedChat chat = encode_chat(*letters_, rendered);
  EXPECT_EQ(letters_->token(chat.ids.back()), "<end>");
  EXPECT_EQ(chat.is_answer.back(), 1);
}

// SentencePiece's vocabulary holds the special tokens themselves.
TEST_F(ChatEncode, TheModelMakesNoSpecialTokenOfPlainText) {
  const auto unigram = load_text(folder_, "unigram.json", kSmallUnigramJson);
  const auto ids_of = [&](const std::string& text, bool is_plain) {
    TextBorders borders;
    if (is_plain) borders.plain = {{0, static_cast<int32_t>(text.size())}};
    return unigram->encode(text, borders).encoding.ids;
  };
  for (const std::string text : {"</s>", "play</s></s>", "<s>the</s> <s>", "<mask>"}) {
    SCOPED_TRACE(text);
    const auto is_special = [](int32_t id) { return id == 0 || id == 1 || id == 9; };
    const auto marked = ids_of(text, false), plain = ids_of(text, true);
    EXPECT_TRUE(std::any_of(marked.begin(), marked.end(), is_special));
    EXPECT_FALSE(std::any_of(plain.begin(), plain.end(), is_special));
    EXPECT_FALSE(plain.empty());
  }
}

TEST_F(ChatEncode, CutsCountTheTokensBeforeThem) {
  const std::string text = "ab\nab<end>";
  const CutEncoding cut = letters_->encode(text, {{}, {0, 1, 3, 10}});
  EXPECT_EQ(tokens_of(*letters_, cut.encoding), "a b Ċ ab <end>");
  EXPECT_THAT(cut.before, ElementsAre(0, 1, 3, 5));
}

// Without borders it is the plain encoding; and cuts change nothing but at cuts.
RC_GTEST_PROP(ChatEncodeProperty, NoBordersGiveThePlainEncoding, ()) {
  static const TemporaryFolder folder;
  static const auto letters = load_text(folder, "letters.json", kLetters);
  static const auto unigram = load_text(folder, "unigram.json", kSmallUnigramJson);
  static const auto bert = load_text(folder, "bert.json", kSmallJson);
  const std::string text =
      *any_text() + *rc::gen::element<std::string>("<end>", "[SEP]", "</s>", "the") + *any_text();
  for (const auto& tokenizer : {letters, unigram, bert})
    RC_ASSERT(tokenizer->encode(text, TextBorders{}).encoding == tokenizer->encode(text));
}

RC_GTEST_PROP(ChatEncodeProperty, TokensBeforeACutAreThoseOfTheTextThatEndsThere, ()) {
  static const TemporaryFolder folder;
  static const auto letters = load_text(folder, "letters.json", kLetters);
  static const auto unigram = load_text(folder, "unigram.json", kSmallUnigramJson);
  const std::string first = *any_text(), text = first + *any_text();
  for (const auto& tokenizer : {letters, unigram}) {
    const auto at = static_cast<int32_t>(first.size());
    const CutEncoding cut = tokenizer->encode(text, {{}, {at}});
    RC_ASSERT(cut.before.size() == 1u);
    const auto alone = tokenizer->encode(first);
    const std::vector<int32_t> before(
        cut.encoding.ids.begin(),
        cut.encoding.ids.begin() + static_cast<std::ptrdiff_t>(cut.before[0]));
    RC_ASSERT(before == alone.ids);
  }
}

}  // namespace
}  // namespace hone
