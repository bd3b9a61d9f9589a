#include "run/add_tokens.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "models/weights.h"
#include "run/fine_tune.h"
#include "support/errors.h"
#include "support/run_folder.h"

namespace hone {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing_support::error_of;

class AddTokens : public testing::Test, public testing_support::RunInFolder {
 protected:
  AddTokens() {
    std::string lines;
    for (int row = 0; row < 12; ++row)
      lines +=
          Json{{"text", row % 2 == 0 ? "word1 ж" : "word2 ы"}, {"label", row % 2 == 0 ? "a" : "b"}}
              .dump() +
          "\n";
    write_file(*this / "train.jsonl", lines);
    write_file(*this / "dev.jsonl", lines);
    write_file(*this / "test.jsonl", lines);
  }
};

TEST_F(AddTokens, BeginsTheirRowsFromWhatTheirCharactersWereBefore) {
  const AddedTokens added = add_tokens(config(), *this / "grown", 5);
  ASSERT_EQ(added.pieces.size(), 2U);
  EXPECT_EQ(added.unknown_before, 12);
  EXPECT_EQ(added.unknown_after, 0);
  const StateDict before = load_state_dict(*this / "bert"),
                  after = load_state_dict(*this / "grown");
  const std::string table = "bert.embeddings.word_embeddings.weight";
  ASSERT_EQ(after.at(table).size(0), before.at(table).size(0) + 2);
  EXPECT_TRUE(after.at(table).slice(0, 0, before.at(table).size(0)).equal(before.at(table)));
  for (const int64_t row : {-2, -1})
    EXPECT_TRUE(after.at(table)[row].equal(before.at(table)[1])) << row;  // [UNK]'s
  EXPECT_EQ(after.size(), before.size());
  EXPECT_EQ(read_json(*this / "grown/config.json", ErrorKind::kModel)["vocab_size"],
            before.at(table).size(0) + 2);
}

// A Unigram that falls back on bytes: two for each of the characters.
TEST_F(AddTokens, BeginsARowFromTheMeanOfSeveral) {
  for (const char* name : {"bert/vocab.txt", "bert/tokenizer_config.json"})
    fs::remove(*this / name);
  write_file(*this / "bert/tokenizer.json", R"({"version": "1.0",
    "added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
    "normalizer": {"type": "NFKC"}, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁",
    "prepend_scheme": "always", "split": true}, "post_processor": null, "decoder": null,
    "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": true,
      "vocab": [["<unk>", 0], ["▁", -2], ["▁word1", -1], ["▁word2", -1],
                ["<0xD0>", -9], ["<0xB6>", -9], ["<0xD1>", -9], ["<0x8B>", -9]]}})");
  const AddedTokens added = add_tokens(config(), *this / "grown", 5);
  ASSERT_EQ(added.pieces.size(), 2U);
  const std::string table = "bert.embeddings.word_embeddings.weight";
  const at::Tensor before = load_state_dict(*this / "bert").at(table),
                   after = load_state_dict(*this / "grown").at(table);
  EXPECT_TRUE(after[8].allclose((before[4] + before[5]) / 2)) << added.pieces[0].first;
  EXPECT_TRUE(after[9].allclose((before[6] + before[7]) / 2)) << added.pieces[1].first;
  EXPECT_FALSE(after[8].allclose(before[4]));
  EXPECT_TRUE(after.slice(0, 0, 8).equal(before.slice(0, 0, 8)));
  EXPECT_TRUE(after.slice(0, 10).equal(before.slice(0, 10))) << "rows that no piece has yet";
}

TEST_F(AddTokens, GiveAModelThatTellsTheirCharactersApart) {
  for (const char* split : {"train", "dev", "test"}) {  // without the words that tell the label too
    std::string lines;
    for (int row = 0; row < 12; ++row)
      lines +=
          Json{{"text", row % 2 == 0 ? "ж" : "ы"}, {"label", row % 2 == 0 ? "a" : "b"}}.dump() +
          "\n";
    write_file(*this / std::string(split) + ".jsonl", lines);
  }
  add_tokens(config(), *this / "grown", 5);
  const RunResult result =
      fine_tune(config("", {"model.path=" + *this / "grown", "train.num_train_epochs=12",
                            "train.learning_rate=1e-2", "data.clean.duplicates=keep"}));
  EXPECT_EQ(result.test->report.score, 1);
}

TEST_F(AddTokens, WritesNothingWhereNoCharacterIsThatFrequent) {
  const AddedTokens added = add_tokens(config(), *this / "grown", 7);
  EXPECT_TRUE(added.pieces.empty());
  EXPECT_FALSE(fs::exists(*this / "grown"));
  EXPECT_FALSE(fs::exists(*this / "grown.new"));
  EXPECT_THAT(added.text(), HasSubstr("none added"));
}

TEST_F(AddTokens, IsRefusedWhereItCannotBe) {
  EXPECT_THAT(error_of([&] { add_tokens(config(), *this / "bert", 5); }),
              HasSubstr("is there already"));
  fine_tune(config());
  EXPECT_THAT(error_of([&] {
                add_tokens(config("", {"model.path=" + *this / "run/model"}), *this / "grown", 5);
              }),
              HasSubstr("keeps its vocabulary"));
}

}  // namespace
}  // namespace hone
