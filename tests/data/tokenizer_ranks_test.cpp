#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "data/shared_files.h"
#include "data/tokenizer/base64.h"
#include "data/tokenizer/formats/bpe_files.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string line_of(std::string_view token, int rank) {
  return fmt::format("{} {}\n", to_base64(token), rank);
}

// All bytes by their value, then "th" 256, "he" 257, "the" 258.
std::string small_ranks() {
  std::string out;
  for (int byte = 0; byte < 256; ++byte)
    out += line_of(std::string(1, static_cast<char>(byte)), byte);
  return out + line_of("th", 256) + line_of("he", 257) + line_of("the", 258);
}

std::string load_error(const std::string& text, const std::string& name = "qwen.tiktoken") {
  const TemporaryFolder folder;
  return error_of([&] { load_text(folder, name, text); });
}

TEST(RankFile, MergesTheLowestRankFirst) {
  const TemporaryFolder folder;
  const auto tokenizer = load_text(folder, "cl100k_base.tiktoken", small_ranks());
  EXPECT_EQ(tokenizer->vocab_size(), 259);
  EXPECT_EQ(tokenizer->encode("the").ids, (std::vector<int32_t>{258}));
  EXPECT_EQ(tokenizer->encode("ththe hhe").ids, (std::vector<int32_t>{256, 258, ' ', 'h', 257}));
  EXPECT_EQ(tokenizer->decode({256, 257, 0xC3, 0xA9}, false), "thhe\u00e9");
}

TEST(RankFile, IsFoundInAFolderByItsNameOrByItsLines) {
  const TemporaryFolder folder;
  folder.write("tokenizer.model", small_ranks());
  EXPECT_EQ(Tokenizer::load(folder.path())->vocab_size(), 259);
  const TemporaryFolder other;
  other.write("qwen.tiktoken", small_ranks());
  EXPECT_EQ(Tokenizer::load(other.path())->vocab_size(), 259);
  other.write("cl100k_base.tiktoken", small_ranks());
  EXPECT_THAT(error_of([&] { Tokenizer::load(other.path()); }),
              HasSubstr("more than one rank file"));
}

TEST(RankFile, TakesSpecialTokensAndTheirIdsFromTheConfiguration) {
  const TemporaryFolder folder;
  folder.write("tokenizer.model", small_ranks());
  folder.write("tokenizer_config.json",
               R"({"added_tokens_decoder": {"300": {"content": "<|end|>", "special": true}}})");
  const auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer->encode("th<|end|>").ids, (std::vector<int32_t>{256, 300}));
  EXPECT_EQ(tokenizer->vocab_size(), 301);
  const TemporaryFolder saved;
  tokenizer->save(saved.path());
  EXPECT_EQ(Tokenizer::load(saved.path())->encode("th<|end|>").ids,
            (std::vector<int32_t>{256, 300}));
  folder.write("tokenizer_config.json",
               R"({"added_tokens_decoder": {"256": {"content": "<|end|>"}}})");
  EXPECT_THAT(error_of([&] { Tokenizer::load(folder.path()); }),
              HasSubstr("\"<|end|>\" cannot have the id 256: \"th\" has it"));
}

TEST(RankFile, NamesTheLineThatIsWrong) {
  const std::string ranks = small_ranks();
  EXPECT_EQ(load_error(ranks + "dGg= 259\n"), "qwen.tiktoken:260: \"th\" has the rank 256 already");
  EXPECT_EQ(load_error(ranks + line_of("xx", 7)),
            "qwen.tiktoken:260: \"\u0107\" has the rank 7 already");
  for (const char* line : {"dGg=", "dGg 260", "d*g= 260", "dGg= x", "dGg= -1", "dGg= 99999999999",
                           " 260", "dGg= 260 1", "= 260", "dGg=  260"})
    EXPECT_EQ(load_error(ranks + line + "\n"),
              "qwen.tiktoken:260: not a token in base64 and its rank, with a blank between them")
        << line;
  EXPECT_THAT(load_error(ranks + line_of("xx", 1 << 25)),
              StartsWith("qwen.tiktoken:260: the rank"));
  EXPECT_THAT(load_error(ranks.substr(ranks.find('\n') + 1)),
              HasSubstr("no token for the byte 0x00"));
  EXPECT_THAT(load_error(""), HasSubstr("no token for the byte"));
  EXPECT_THAT(load_error(ranks, "mine.tiktoken"),
              HasSubstr("name the file after its family: qwen"));
}

TEST(RankFile, CutAtAnyByteIsAnErrorOrAShorterFile) {
  const std::string ranks = small_ranks();
  for (size_t size = ranks.size() - 27; size < ranks.size(); ++size) {
    const std::string error = load_error(ranks.substr(0, size));
    const bool is_line_whole = ranks[size] == '\n' || ranks[size - 1] == '\n';
    EXPECT_EQ(error == "no error", is_line_whole) << size << error;
  }
}

TEST(MergesFiles, NameTheLineOfAMergeThatNamesNoPiece) {
  const TemporaryFolder folder;
  folder.write("vocab.json", R"({"a": 0, "b": 1, "ab": 2})");
  folder.write("merges.txt", "#version: 0.2\na b\nab b\n");
  EXPECT_EQ(error_of([&] { Tokenizer::load(folder.path()); }),
            "merges.txt:3: merge 2 (\"ab b\"): \"abb\" is not in the vocabulary");
}

TEST(ClipFile, GivesIdsByTheOrderOfItsMerges) {
  const std::string path = shared_path("tokenizers/clip");
  HONE_NEEDS_SHARED(path);
  const auto tokenizer = Tokenizer::load(path);
  const Sequence sequence = tokenizer->post_process(tokenizer->encode("a photo of a CAT"));
  EXPECT_EQ(sequence.ids, (std::vector<int32_t>{49406, 320, 1125, 539, 320, 2368, 49407}));
  EXPECT_EQ(tokenizer->decode(sequence.ids, true), "a photo of a cat");
}

TEST(ClipFile, ThatEndsTooEarlyOrHoldsOtherLinesIsRefused) {
  EXPECT_EQ(load_error("title\na b\n", "bpe_simple_vocab_16e6.txt"),
            "bpe_simple_vocab_16e6.txt:3: not a merge: two tokens with a blank between them");
  EXPECT_THAT(load_error("title\na b", "bpe_simple_vocab_16e6.txt"),
              HasSubstr("the list ends after 1 merges; CLIP has 48894"));
  EXPECT_THAT(load_error("no gzip", "bpe_simple_vocab_16e6.txt.gz"), StartsWith("bpe_simple"));
}

}  // namespace
}  // namespace hone
