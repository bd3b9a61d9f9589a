#include "data/tokenizer/new_pieces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "support/errors.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using testing_support::error_of;
using testing_support::TemporaryFolder;

// Words of a, b and "c", which no word goes on with.
std::shared_ptr<const Tokenizer> word_pieces(const TemporaryFolder& folder) {
  folder.write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n##a\n##b\n");
  folder.write("tokenizer_config.json", R"({"do_lower_case": true})");
  return Tokenizer::load(folder.path());
}

std::string unigram_json(bool byte_fallback) {
  std::string vocab = R"(["<unk>", 0], ["▁", -2], ["a", -1], ["b", -3])";
  if (byte_fallback) vocab += R"(, ["<0xC3>", -9], ["<0xA9>", -8])";
  return R"({"version": "1.0", "added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
    "normalizer": {"type": "NFKC"}, "pre_tokenizer": {"type": "Metaspace", "replacement": "▁",
    "prepend_scheme": "always", "split": true}, "post_processor": null, "decoder": null,
    "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": )" +
         std::string(byte_fallback ? "true" : "false") + R"(, "vocab": [)" + vocab + "]}}";
}

TEST(NewPieces, OfWordPieceStandAtTheStartOfAWordAndInside) {
  TemporaryFolder folder, saved;
  const auto tokenizer = word_pieces(folder);
  tokenizer->save(saved.path());
  const PieceForm form = piece_form(saved.path());
  MissingPieces missing(*tokenizer, form);
  missing.count("abc Жa a中b");  // "##c" lacks, "ж" and, as a word of its own, "中"
  missing.count("ab Ж");
  EXPECT_EQ(missing.tokens(), 8);  // [UNK], [UNK], a [UNK] b, and a ##b, [UNK]
  EXPECT_THAT(missing.frequent(2), ElementsAre(Pair("ж", 2)));
  EXPECT_THAT(missing.frequent(1), ElementsAre(Pair("ж", 2), Pair("##c", 1), Pair("中", 1)));
  EXPECT_THAT(former_pieces(*tokenizer, form, "##c"), ElementsAre(7));  // as "c"
  EXPECT_THAT(former_pieces(*tokenizer, form, "ж"), ElementsAre(1));    // [UNK]
  append_pieces(saved.path(), {"ж", "##c", "中"}, tokenizer->vocab_size());
  const auto grown = Tokenizer::load(saved.path());
  EXPECT_THAT(grown->encode("abc Жa a中b").ids, ElementsAre(5, 9, 11, 10, 8, 5, 12, 6));
  EXPECT_THAT(read_file(saved / "vocab.txt", ErrorKind::kModel), HasSubstr("##b\nж\n##c\n中\n"));
  EXPECT_EQ(grown->vocab_size(), tokenizer->vocab_size() + 3);
}

TEST(NewPieces, OfUnigramAreOneEverywhere) {
  TemporaryFolder folder, saved;
  folder.write("tokenizer.json", unigram_json(false));
  const auto tokenizer = Tokenizer::load(folder.path());
  tokenizer->save(saved.path());
  MissingPieces missing(*tokenizer, piece_form(saved.path()));
  missing.count("ab éa bé");
  EXPECT_THAT(missing.frequent(1), ElementsAre(Pair("é", 2)));
  append_pieces(saved.path(), {"é"}, tokenizer->vocab_size());
  EXPECT_THAT(Tokenizer::load(saved.path())->encode("éa").ids, ElementsAre(1, 4, 2));
}

TEST(NewPieces, TakeThePlaceOfBytes) {
  TemporaryFolder folder, saved;
  folder.write("tokenizer.json", unigram_json(true));
  const auto tokenizer = Tokenizer::load(folder.path());
  tokenizer->save(saved.path());
  const PieceForm form = piece_form(saved.path());
  MissingPieces missing(*tokenizer, form);
  missing.count("bé é");
  EXPECT_EQ(missing.unknown(), 4);
  EXPECT_THAT(missing.frequent(1), ElementsAre(Pair("é", 2)));
  EXPECT_THAT(former_pieces(*tokenizer, form, "é"), ElementsAre(4, 5));
}

TEST(NewPieces, AreRefusedWhereTheVocabularyCannotGrow) {
  TemporaryFolder merges, behind;
  merges.write("tokenizer.json", R"({"model": {"type": "BPE"}})");
  EXPECT_THAT(error_of([&] { piece_form(merges.path()); }), HasSubstr("BPE"));
  behind.write("tokenizer.json", unigram_json(false));
  EXPECT_THAT(error_of([&] { append_pieces(behind.path(), {"é"}, 5); }),
              HasSubstr("behind its vocabulary"));
}

}  // namespace
}  // namespace hone
