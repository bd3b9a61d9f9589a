#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "data/sentencepiece_testing.h"
#include "data/tokenizer/marian_tokenizer.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// <unk>, <s>, </s>, then these, the likeliest first.
std::string model_of(const std::vector<std::string>& pieces, const std::string& unknown = "<unk>") {
  std::string out = piece(unknown, 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3);
  float score = -1;
  for (const std::string& text : pieces) out += piece(text, score--);
  return out + field(2, number_field(3, 1)) + field(3, number_field(3, 1));
}

const char* kIdList =
    R"({"</s>": 0, "<unk>": 1, "▁the": 2, "▁": 3, "e": 4, "t": 5, "▁das": 6, "s": 7, "é": 8,
        ">>deu<<": 9, "<pad>": 10})";

struct MarianFiles {
  TemporaryFolder folder;

  MarianFiles() {
    folder.write("source.spm", model_of({"▁the", "▁", "e", "t", "h"}));
    folder.write("target.spm", model_of({"▁das", "▁", "s", "e", "é"}));
    folder.write("vocab.json", kIdList);
  }
  std::shared_ptr<const Tokenizer> load() const { return Tokenizer::load(folder.path()); }
  std::string refusal() const {
    return error_of([&] { load(); });
  }
};

std::vector<int32_t> with_end(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.post_process(tokenizer.encode(text)).ids;
}

TEST(Marian, PiecesOfBothSidesHaveTheIdsOfOneList) {
  const MarianFiles files;
  const auto source = files.load();
  ASSERT_NE(source->of_targets(), nullptr);
  EXPECT_THAT(with_end(*source, "the te"), ElementsAre(2, 3, 5, 4, 0));
  EXPECT_THAT(with_end(*source->of_targets(), "das se"), ElementsAre(6, 3, 7, 4, 0));
  EXPECT_EQ(source->vocab_size(), 11);
  EXPECT_EQ(source->unk_id(), 1);
  EXPECT_EQ(source->pad_id(), 10);
  EXPECT_EQ(source->special_tokens_added(false), 1);
}

TEST(Marian, PiecesWithoutAnIdAreUnknown) {
  const auto source = MarianFiles().load();
  EXPECT_THAT(source->encode("the h").ids, ElementsAre(2, 3, 1));
  EXPECT_THAT(source->encode("<s>").ids, ElementsAre(3, 1));  // it spells what no text holds
}

TEST(Marian, WhatOneModelLacksMayBeAPieceOfTheOther) {
  const MarianFiles files;
  EXPECT_THAT(files.load()->encode("té").ids, ElementsAre(3, 5, 8));
  EXPECT_THAT(files.load()->encode("éé").ids, ElementsAre(3, 1));  // both are one unknown piece
}

TEST(Marian, ALanguageCodeIsOneTokenAtTheBeginningAlone) {
  const auto source = MarianFiles().load();
  const Encoding known = source->encode(">>deu<< the");
  EXPECT_THAT(known.ids, ElementsAre(9, 2));
  EXPECT_EQ(known.offsets, (std::vector<Span>{{0, 7}, {7, 11}}));
  EXPECT_THAT(known.words, ElementsAre(0, 1));
  EXPECT_THAT(source->encode(">>fra<< the").ids, ElementsAre(1, 2));
  EXPECT_THAT(source->encode("the >>deu<<").ids, ::testing::Not(::testing::Contains(9)));
}

TEST(Marian, DecodesPiecesOfBothSides) {
  const auto source = MarianFiles().load();
  EXPECT_EQ(source->decode({2, 6, 3, 8, 0}, /*skip_special=*/true), "the das é");
  EXPECT_EQ(source->decode({10, 2, 1, 6, 0}, /*skip_special=*/false), "<pad> the<unk> das</s>");
  EXPECT_EQ(source->of_targets()->decode({6, 7}, true), "dass");
  EXPECT_EQ(source->decode({}, true), "");
}

TEST(Marian, SpecialTokensOfTheModelsOfPiecesPlayNoPart) {
  const MarianFiles files;
  files.folder.write("target.spm", model_of({"▁das", "▁", "s"}, "[UNK]"));
  const auto source = files.load();
  EXPECT_THAT(source->of_targets()->encode("das xs").ids, ElementsAre(6, 3, 1, 7));
}

TEST(Marian, EachSideMayHaveAListOfItsOwn) {
  const MarianFiles files;
  files.folder.write("tokenizer_config.json", R"({"separate_vocabs": true})");
  EXPECT_THAT(files.refusal(), HasSubstr("target_vocab.json is missing"));
  files.folder.write("target_vocab.json", R"({"</s>": 0, "<unk>": 1, "▁das": 2, "<pad>": 3})");
  const auto source = files.load();
  EXPECT_THAT(with_end(*source, "the"), ElementsAre(2, 0));
  EXPECT_THAT(with_end(*source->of_targets(), "das"), ElementsAre(2, 0));
  EXPECT_EQ(source->of_targets()->vocab_size(), 4);
}

TEST(Marian, SavesTheFilesThatItWasReadFrom) {
  const MarianFiles files;
  const TemporaryFolder saved;
  files.load()->save(saved.path());
  for (const char* name : {"/source.spm", "/target.spm", "/vocab.json"})
    EXPECT_EQ(read_file(saved.path() + name, ErrorKind::kModel),
              read_file(files.folder.path() + name, ErrorKind::kModel));
  const Json config = read_json(saved.path() + "/tokenizer_config.json", ErrorKind::kModel);
  EXPECT_EQ(config["tokenizer_class"], "MarianTokenizer");
  EXPECT_EQ(config["eos_token"], "</s>");
  EXPECT_EQ(with_end(*Tokenizer::load(saved.path()), "the te"), with_end(*files.load(), "the te"));
}

TEST(Marian, FilesThatDoNotBelongTogetherAreRefused) {
  const MarianFiles files;
  files.folder.write("vocab.json", R"({"</s>": 0, "<unk>": 1, "▁das": 2})");
  EXPECT_THAT(files.refusal(), HasSubstr("source.spm: none of its 5 pieces is in vocab.json"));
  files.folder.write("vocab.json", R"({"</s>": 0, "▁the": 1, "▁das": 2})");
  EXPECT_EQ(files.refusal(), "vocab.json: \"<unk>\" is not in the vocabulary");
  std::filesystem::remove(files.folder.path() + "/target.spm");
  EXPECT_THAT(files.refusal(), HasSubstr("target.spm is missing"));
}

TEST(Marian, FilesThatAreCutShortAreNamed) {
  for (const char* name : {"source.spm", "target.spm", "vocab.json"}) {
    const MarianFiles files;
    const std::string whole = read_file(files.folder.path() + "/" + name, ErrorKind::kModel);
    for (size_t size = 0; size < whole.size(); ++size) {
      files.folder.write(name, whole.substr(0, size));
      try {
        files.load();
        ADD_FAILURE() << name << " of " << size << " bytes was taken";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kModel);
        EXPECT_EQ(error.where().file, files.folder.path() + "/" + name) << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace hone
