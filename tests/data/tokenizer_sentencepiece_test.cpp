#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdlib>

#include "base/random.h"
#include "data/sentencepiece_testing.h"
#include "data/shared_files.h"
#include "data/tokenizer/sentencepiece_model.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string tokens(const TemporaryFolder& folder, std::string_view text) {
  const auto tokenizer = Tokenizer::load(folder.path());
  const Sequence all = tokenizer->post_process(tokenizer->encode(text));
  std::string out;
  for (const int32_t id : all.ids) out += (out.empty() ? "" : " ") + tokenizer->token(id);
  return out;
}

TEST(SentencePiece, IsReadByItself) {
  for (const int kind : {1, 2}) {
    const TemporaryFolder folder;
    folder.write("spiece.model", small_model(kind));
    EXPECT_EQ(tokens(folder, " ab  abx "), "\u2581ab \u2581ab <unk>") << kind;
    const auto tokenizer = Tokenizer::load(folder.path());
    const Encoding encoding = tokenizer->encode("ab \u00e9");
    EXPECT_EQ(encoding.offsets, (std::vector<Span>{{0, 2}, {2, 3}, {3, 5}}));
    EXPECT_EQ(tokenizer->decode(encoding.ids, true), "ab \u00e9");
  }
}

TEST(SentencePiece, GetsTheIdsAndSpecialTokensOfItsClass) {
  const TemporaryFolder folder;
  folder.write("sentencepiece.bpe.model", small_model(1));
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "XLMRobertaTokenizer"})");
  const auto xlm = Tokenizer::load(folder.path());
  EXPECT_EQ(tokens(folder, "ab <mask>"), "<s> \u2581ab <mask> </s>");
  EXPECT_EQ(xlm->id("\u2581ab"), 4);
  EXPECT_EQ(xlm->id("<pad>"), 1);
  EXPECT_EQ(xlm->id("<mask>"), 14);
  EXPECT_EQ(xlm->special_tokens_added(true), 4);
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "CamembertTokenizerFast"})");
  EXPECT_EQ(Tokenizer::load(folder.path())->id("\u2581ab"), 7);
  EXPECT_EQ(tokens(folder, "1,"), "<s> \u2581 1, </s>");
  folder.write("tokenizer_config.json", "{}");
  folder.write("config.json", R"({"model_type": "t5"})");
  EXPECT_EQ(tokens(folder, "ab"), "\u2581ab </s>");
  EXPECT_EQ(Tokenizer::load(folder.path())->vocab_size(), 113);
}

// Where tokenizer_config.json names no class, config.json may; else the kind of the model tells.
TEST(SentencePiece, FindsItsClassInTheModelsFile) {
  const TemporaryFolder folder;
  folder.write("spiece.model", small_model(1));
  folder.write("tokenizer_config.json", R"({"tokenizer_class": null})");
  folder.write("config.json", R"({"model_type": "mt5", "tokenizer_class": "T5Tokenizer"})");
  EXPECT_EQ(tokens(folder, "ab"), "\u2581ab </s>");
  folder.write("config.json", R"({"model_type": "mt5", "tokenizer_class": null})");
  EXPECT_EQ(tokens(folder, "ab"), "\u2581ab </s>");
  folder.write("config.json", R"({"tokenizer_class": "SomeTokenizer"})");
  EXPECT_THAT(error_of([&] { tokens(folder, "ab"); }), HasSubstr("\"SomeTokenizer\" is not known"));
  testing::internal::CaptureStderr();
  folder.write("config.json", R"({"model_type": "some"})");
  EXPECT_EQ(tokens(folder, "ab"), "\u2581ab");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("nothing is put there"));
}

TEST(SentencePiece, ReadsWhatItsClassDoesToTexts) {
  const TemporaryFolder folder;
  const std::string more = piece("[CLS]", 0, 3) + piece("[SEP]", 0, 3);
  folder.write("spiece.model", small_model(1, more));
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "AlbertTokenizer"})");
  EXPECT_EQ(tokens(folder, "\u00c1B 1,"), "[CLS] \u2581ab \u2581 1 , [SEP]");
  folder.write("tokenizer_config.json",
               R"({"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": true})");
  EXPECT_EQ(tokens(folder, " AB "), "[CLS] \u2581ab [SEP]");
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer"})");
  EXPECT_EQ(tokens(folder, "ab"), "<s> \u2581ab");
}

TEST(SentencePiece, PrefersSymbolsOfItsUser) {
  const TemporaryFolder folder;
  folder.write("spiece.model", small_model(1, piece("b\u2581", -50, 4)));
  folder.write("tokenizer_config.json", "{}");
  EXPECT_EQ(tokens(folder, "b"), "\u2581 b");
  folder.write("spiece.model", small_model(1, piece("ba", -50, 4)));
  EXPECT_EQ(tokens(folder, "aba"), "\u2581a ba");
}

TEST(SentencePiece, TellsWhatItCannotMake) {
  const TemporaryFolder folder;
  folder.write("spiece.model", small_model(1));
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "MarianTokenizer"})");
  EXPECT_THAT(error_of([&] { Tokenizer::load(folder.path()); }),
              StartsWith("tokenizer_config.json: \"tokenizer_class\": \"MarianTokenizer\" is not "
                         "known how to make from a SentencePiece model"));
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "AlbertTokenizer"})");
  EXPECT_EQ(error_of([&] { Tokenizer::load(folder.path()); }),
            "spiece.model: \"[CLS]\", which stands around each text, is not in the vocabulary");
  folder.write("tokenizer_config.json", "{}");
  folder.write("spiece.model", small_model(3));
  EXPECT_THAT(error_of([&] { Tokenizer::load(folder.path()); }), HasSubstr("words or characters"));
  folder.write("spiece.model", small_model(1, piece("x", std::numeric_limits<float>::quiet_NaN())));
  EXPECT_EQ(error_of([&] { Tokenizer::load(folder.path()); }),
            "spiece.model: piece 13 (\"x\") has a score that is no number");
  folder.write("spiece.model", "not one");
  EXPECT_THAT(error_of([&] { Tokenizer::load(folder.path()); }),
              StartsWith("spiece.model: byte 0: "));
}

// What a damaged file gives: an error with its name, or a tokenizer that works.
bool is_refused(const TemporaryFolder& folder, const std::string& bytes) {
  folder.write("spiece.model", bytes);
  try {
    const auto tokenizer = Tokenizer::load(folder.path());
    for (const std::string_view text : {"ab 1, \u00e9x<s>", "\xFF\u2581\u2581 \n"}) {
      const Encoding encoding = tokenizer->encode(text);
      tokenizer->decode(encoding.ids, false);
      for (const int32_t id : encoding.ids) EXPECT_LT(id, tokenizer->vocab_size());
      for (const Span span : encoding.offsets)
        EXPECT_LE(span.end, static_cast<int32_t>(text.size()));
    }
    return false;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kModel) << error.what();
    EXPECT_EQ(error.where().file, folder.path() + "/spiece.model") << error.what();
    return true;
  }
}

TEST(SentencePiece, CutAnywhereIsRefused) {
  setenv("HONE_LOG", "error", 1);
  const TemporaryFolder folder;
  for (const int kind : {1, 2}) {
    const std::string whole = small_model(kind);
    ASSERT_FALSE(is_refused(folder, whole));
    for (size_t size = 0; size < whole.size(); ++size)
      ASSERT_TRUE(is_refused(folder, whole.substr(0, size))) << size;
  }
  unsetenv("HONE_LOG");
}

TEST(SentencePiece, SurvivesAnyChange) {
  setenv("HONE_LOG", "error", 1);
  RandomStream random(5);
  const TemporaryFolder folder;
  int refused = 0;
  const int rounds = std::getenv("HONE_ATTACK") != nullptr ? 100'000 : 3000;
  for (int i = 0; i < rounds && !::testing::Test::HasFailure(); ++i) {
    std::string bytes = small_model(1 + i % 2);
    for (uint64_t changes = 1 + random.below(3); changes > 0; --changes) {
      const size_t at = random.below(bytes.size());
      if (random.below(3) == 0) {
        bytes.erase(at, 1 + random.below(9));
      } else if (random.below(2) == 0) {
        bytes.insert(at, bytes.substr(random.below(bytes.size()), random.below(20)));
      } else {
        bytes[at] = static_cast<char>(random.below(256));
      }
    }
    refused += is_refused(folder, bytes);
  }
  EXPECT_GT(refused, rounds / 4);
  unsetenv("HONE_LOG");
}

// The fast path and the separate parts, on every kind of tokenizer that has a fast path.
RC_GTEST_PROP(PieceEncoder, GivesWhatThePartsGive, ()) {
  static const TemporaryFolder folder;
  const auto name =
      *rc::gen::element<std::string>("", "XLMRobertaTokenizer", "T5Tokenizer", "LlamaTokenizer");
  const int kind = *rc::gen::element(1, 2);
  const bool legacy = *rc::gen::arbitrary<bool>();
  const std::string part = "/" + name + std::to_string(kind) + (legacy ? "l" : "n");
  std::filesystem::create_directories(folder.path() + part);
  const Json config = {{"tokenizer_class", name.empty() ? "PreTrainedTokenizer" : name},
                       {"legacy", legacy}};
  folder.write(part.substr(1) + "/tokenizer_config.json", config.dump());
  folder.write(part.substr(1) + "/tokenizer.model", small_model(kind));
  const auto tokenizer = Tokenizer::load(folder.path() + part);
  std::string text;
  const auto pieces = *rc::gen::container<std::vector<std::string>>(rc::gen::oneOf(
      rc::gen::element<std::string>("a", "b", "ab", " ", "  ", "\u2581", "1,", "\u00e9", "\n",
                                    "<s>", "<mask>", "e\u0301", "\u00a0", "\xFF"),
      any_text()));
  for (const std::string& one : pieces) text += one;
  Encoding fast, slow;
  const auto& whole = dynamic_cast<const HfTokenizer&>(*tokenizer);
  whole.encode(text, fast);
  whole.encode_by_parts(text, slow);
  RC_ASSERT(fast == slow);
}

}  // namespace
}  // namespace hone
