#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "base/random.h"
#include "data/shared_files.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string load_error(const std::string& name, std::string_view text,
                       TokenizerOptions options = {}) {
  const TemporaryFolder folder;
  return error_of([&] { load_text(folder, name, text, options); });
}

std::string with(std::string_view from, std::string_view to, std::string text = kSmallJson) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(LoadTokenizer, AsksForTheCaseOfABareVocabulary) {
  EXPECT_THAT(load_error("vocab.txt", kSmallVocabulary),
              StartsWith("vocab.txt: a vocabulary alone does not say whether its tokens are "
                         "lower-case; write {\"do_lower_case\""));
  const TemporaryFolder folder;
  folder.write("tokenizer_config.json", R"({"do_lower_case": false, "model_max_length": 512})");
  folder.write("vocab.txt", kSmallVocabulary);
  const auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokens_of(*tokenizer, tokenizer->encode("The caf\u00e9")), "[UNK] [UNK]");
  EXPECT_EQ(tokenizer->max_length(), 512);
  EXPECT_EQ(tokenizer->pad_id(), 3);
  EXPECT_EQ(tokens_of(*tokenizer, Tokenizer::load(folder.path(), {true})->encode("The caf\u00e9")),
            "the cafe")
      << "what the user says wins";
}

TEST(LoadTokenizer, ReadsTheOptionsOfItsConfiguration) {
  const TemporaryFolder folder;
  folder.write(
      "tokenizer_config.json",
      R"({"do_lower_case": true, "strip_accents": false, "tokenize_chinese_chars": false, "model_max_length": 1e30})");
  folder.write("vocab.txt", kSmallVocabulary);
  folder.write("added_tokens.json", R"({"<new>": 29})");
  const auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokens_of(*tokenizer, tokenizer->encode("\u00c9 \u4e2d\u56fd <new>")),
            "\u00e9 \u4e2d ##\u56fd <new>");
  EXPECT_EQ(tokenizer->max_length(), 0);
  EXPECT_EQ(tokenizer->vocab_size(), 30);
}

TEST(LoadTokenizer, PutsTwoTokensBetweenThePairsOfMpnet) {
  const TemporaryFolder folder;
  folder.write("tokenizer_config.json",
               R"({"do_lower_case": true, "tokenizer_class": "MPNetTokenizer"})");
  folder.write("vocab.txt", "<s>\n<pad>\n</s>\n[UNK]\nthe\n<mask>\n");
  const auto tokenizer = Tokenizer::load(folder.path());
  const Encoding text = tokenizer->encode("The <mask>");
  EXPECT_EQ(tokenizer->post_process(text, &text).ids,
            (std::vector<int32_t>{0, 4, 5, 2, 2, 4, 5, 2}));
  EXPECT_EQ(text.offsets[1], (Span{4, 10}));
}

TEST(LoadTokenizer, FindsTheSpecialTokensThatFilesBesideItList) {
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    for (const char* tokens :
         {R"("additional_special_tokens": ["cafe"])", R"("extra_special_tokens": ["cafe"])",
          R"("additional_special_tokens": [{"content": "cafe"}])",
          R"("extra_special_tokens": {"drink": "cafe"})", R"("drink_token": "cafe")"}) {
      const TemporaryFolder folder;
      folder.write("tokenizer_config.json", R"({"do_lower_case": true})");
      folder.write("vocab.txt", kSmallVocabulary);
      folder.write(file, fmt::format(R"({{"do_lower_case": true, {}}})", tokens));
      const auto tokenizer = Tokenizer::load(folder.path());
      EXPECT_EQ(tokens_of(*tokenizer, tokenizer->encode("thecafes")), "the cafe [UNK]")
          << file << tokens;
    }
  }
}

TEST(LoadTokenizer, RefusesANormalizerThatMakesTheTextGrowWithoutEnd) {
  std::string steps;
  for (int i = 0; i < 30; ++i)
    steps += R"({"type": "Replace", "pattern": {"String": "e"}, "content": "ee"},)";
  const TemporaryFolder folder;
  const std::string normalizer =
      R"("normalizer": {"type": "Sequence", "normalizers": [)" + steps + R"({"type": "NFC"}]})";
  const auto tokenizer =
      load_text(folder, "tokenizer.json",
                with(R"("normalizer": {"type": "BertNormalizer", "clean_text": true, )"
                     R"("handle_chinese_chars": true, "strip_accents": null, "lowercase": true})",
                     normalizer));
  EXPECT_EQ(tokens_of(*tokenizer, tokenizer->encode("th")), "[UNK]");
  EXPECT_THAT(error_of([&] { tokenizer->encode("the"); }),
              HasSubstr("the tokenizer's normalizer makes more than"));
}

TEST(LoadTokenizer, IgnoresTruncationAndPaddingOfTheFile) {
  const TemporaryFolder folder;
  EXPECT_EQ(
      load_text(folder, "tokenizer.json", kSmallJson)->encode("the the the the the the").ids.size(),
      6U);
}

TEST(LoadTokenizer, RefusesAnOptionThatContradictsTheFile) {
  EXPECT_EQ(load_error("tokenizer.json", kSmallJson, {false}),
            "tokenizer.json: its normalizer has \"lowercase\": true, so --do-lower-case false is "
            "refused; leave the option out");
  EXPECT_EQ(load_error("tokenizer.json", kSmallJson, {true}), "no error");
}

TEST(LoadTokenizer, NamesAKindOfModelItDoesNotKnow) {
  EXPECT_EQ(load_error("tokenizer.json",
                       with(R"("type": "WordPiece", "unk)", R"("type": "WordLevel", "unk)")),
            "tokenizer.json: \"model.type\": \"WordLevel\" is not a supported kind of tokenizer; "
            "these are: BPE, WordPiece, Unigram");
}

TEST(LoadTokenizer, NamesTheKeyOfEachDefect) {
  const std::pair<std::pair<const char*, const char*>, const char*> kCases[] = {
      {{R"("the": 3)", R"("the": -3)"}, R"("model.vocab.the": -3 is not between 0 and 16777215)"},
      {{R"("the": 3)", R"("the": "3")"},
       R"("model.vocab.the": expected a whole number, found "3")"},
      {{R"("the": 3)", R"("the": 4)"}, R"("model.vocab": "the" and "play" have the same id 4)"},
      {{R"("the": 3)", R"("[CLS]": 3)"}, "[CLS]"},
      {{R"("lowercase": true)", R"("lowercase": 1)"},
       R"("normalizer.lowercase": expected true or false, found 1)"},
      {{R"("clean_text": true, )", ""}, R"("normalizer": "clean_text" is missing)"},
      {{R"("unk_token": "[UNK]")", R"("unk_token": "<unk>")"},
       R"(the unknown token "<unk>" is not in the vocabulary)"},
      {{R"("ids": [2])", R"("ids": [99])"}, R"("post_processor": no token has the id 99)"},
      {{R"("id": "B")", R"("id": "C")"}, R"("C" is neither A nor B)"},
      {{R"("type": "BertPreTokenizer")", R"("type": "UnicodeScripts")"},
       R"("pre_tokenizer.type": "UnicodeScripts" is not a supported pre-tokenizer)"},
      {{R"("type": "WordPiece", "prefix")", R"("type": "CTC", "prefix")"},
       R"("decoder.type": "CTC" is not a supported decoder)"},
      {{R"("version": "1.0")", R"("version": "2.0")"},
       R"("version": written by version 2.0, this program reads 1.0)"},
      {{R"("model": {)", R"("modell": {)"}, R"("model" is missing)"},
  };
  const std::pair<std::pair<const char*, const char*>, const char*> kUnigramCases[] = {
      {{R"(["play", -3.25])", R"(["play", "x"])"},
       R"("model.vocab": entry 5: expected ["piece", score])"},
      {{R"("unk_id": 2)", R"("unk_id": 9)"}, "unk_id is 9, but the pieces are 0 to 8"},
      {{R"("unk_id": 2)", R"("unk_id": -1)"}, R"("model.unk_id": -1 is not between 0 and)"},
      {{R"("always")", R"("often")"},
       R"("pre_tokenizer.pretokenizers[1].prepend_scheme": "often" is not one of)"},
      {{R"({"Regex": " {2,}"})", R"({"Regex": "("})"},
       R"("normalizer.normalizers[1].pattern.Regex": )"},
  };
  for (const auto& [change, message] : kUnigramCases) {
    EXPECT_THAT(load_error("tokenizer.json", with(change.first, change.second, kSmallUnigramJson)),
                HasSubstr(message))
        << change.second;
  }
  for (const auto& [change, message] : kCases) {
    EXPECT_THAT(load_error("tokenizer.json", with(change.first, change.second)), HasSubstr(message))
        << change.second;
  }
}

TEST(LoadTokenizer, NamesTheLineOfADefectInAVocabulary) {
  EXPECT_EQ(load_error("vocab.txt", "[UNK]\n\xFF\n", {true}),
            "vocab.txt:2:1: not valid UTF-8; is this a vocabulary, one token a line?");
  EXPECT_EQ(load_error("vocab.txt", "", {true}),
            "vocab.txt: the file is empty; a vocabulary has one token a line");
  EXPECT_EQ(load_error("vocab.txt", "[UNK]\na\n", {true}),
            "vocab.txt: \"[CLS]\" is not in the vocabulary");
  EXPECT_EQ(load_error("vocab.txt", "a\n", {true}),
            "vocab.txt: the unknown token \"[UNK]\" is not in the vocabulary");
}

TEST(LoadTokenizer, TellsWhatItLookedFor) {
  const TemporaryFolder folder;
  EXPECT_THAT(
      error_of([&] { Tokenizer::load(folder.path()); }),
      HasSubstr("no tokenizer here: tokenizer.json, vocab.txt, vocab.json with merges.txt, a "
                "SentencePiece model"));
  EXPECT_THAT(error_of([&] { Tokenizer::load(folder.path() + "/nowhere"); }),
              HasSubstr("no such file or folder"));
}

TEST(LoadTokenizer, ReadsVocabularyAndMergesOfByteLevelModels) {
  const TemporaryFolder folder;
  folder.write("vocab.json", R"({"t": 0, "h": 1, "th": 2, "Ġ": 3, "<|endoftext|>": 4})");
  folder.write("merges.txt", "#version: 0.2\nt h\n");
  const auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokens_of(*tokenizer, tokenizer->encode("th t<|endoftext|>")), "th Ġ t <|endoftext|>");
  EXPECT_EQ(tokenizer->special_tokens_added(true), 0);
  folder.write("merges.txt", "#version: 0.2\nt h\nt\n");
  EXPECT_EQ(error_of([&] { Tokenizer::load(folder.path()); }),
            "merges.txt:3: not a merge: two tokens with a blank between them");
}

TEST(LoadTokenizer, TakesLineEndsOfAllKinds) {
  const auto replaced = [](std::string text, const std::string& end) {
    for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += end.size())
      text.replace(at, 1, end);
    return text;
  };
  for (const std::string end : {"\r", "\r\n", "\r\r\n"}) {
    const TemporaryFolder words, bytes;
    const auto tokenizer = load_text(words, "vocab.txt", replaced(kSmallVocabulary, end), {true});
    EXPECT_EQ(tokens_of(*tokenizer, tokenizer->encode("unaffable!")), "un ##aff ##able !");
    EXPECT_EQ(tokenizer->encode("!").ids.front(), 13);
    bytes.write("vocab.json", R"({"t": 0, "h": 1, "th": 2, "e": 3, "the": 4})");
    bytes.write("merges.txt", replaced("#version: 0.2\nt h\nth e\n", end));
    EXPECT_EQ(Tokenizer::load(bytes.path())->encode("the").ids, std::vector<int32_t>{4});
  }
}

// What is saved loads again as the same tokenizer; and saving that gives the same bytes.
void expect_saved_alike(const Tokenizer& tokenizer, const std::vector<std::string>& texts) {
  const TemporaryFolder first, second;
  tokenizer.save(first.path());
  const auto again = Tokenizer::load(first.path());
  again->save(second.path());
  for (const auto& entry : std::filesystem::directory_iterator(first.path())) {
    const std::string name = entry.path().filename();
    EXPECT_EQ(read_file(first.path() + "/" + name, ErrorKind::kModel),
              read_file(second.path() + "/" + name, ErrorKind::kModel))
        << name;
  }
  for (const std::string& text : texts)
    EXPECT_TRUE(tokenizer.encode(text) == again->encode(text)) << text;
  EXPECT_EQ(tokenizer.vocab_size(), again->vocab_size());
  EXPECT_EQ(tokenizer.pad_id(), again->pad_id());
  EXPECT_EQ(tokenizer.special_tokens_added(true), again->special_tokens_added(true));
}

TEST(SaveTokenizer, LosesNothing) {
  const std::vector<std::string> texts{"The unaffable caf\u00e9[SEP] <mask>", "\u4e2d\u56fd the!"};
  const TemporaryFolder a, b, c, d;
  expect_saved_alike(*load_text(a, "vocab.txt", kSmallVocabulary, {true}), texts);
  expect_saved_alike(*load_text(b, "tokenizer.json", kSmallJson), texts);
  expect_saved_alike(*load_text(c, "tokenizer.json", kSmallBpeJson), texts);
  expect_saved_alike(*load_text(d, "tokenizer.json", kSmallUnigramJson), texts);
}

TEST(SaveTokenizer, LosesNothingOfPublishedTokenizers) {
  HONE_NEEDS_SHARED(shared_path("tokenizers/bert-base-uncased/vocab.txt"));
  const std::vector<std::string> texts{"The unaffable caf\u00e9[SEP] <mask>", "\u4e2d\u56fd the!"};
  expect_saved_alike(
      *Tokenizer::load(shared_path("tokenizers/bert-base-multilingual-cased"), {false}), texts);
  expect_saved_alike(*Tokenizer::load(shared_path("tokenizers/roberta-base")), texts);
}

// Loads damaged files: each is refused with a place, or is a tokenizer that works.
class Damaged {
 public:
  Damaged(std::string name, TokenizerOptions options) : name_(std::move(name)), options_(options) {}

  void load(const std::string& text) {
    ++tried;
    try {
      use(*load_text(folder_, name_, text, options_));
    } catch (const Error& error) {
      ++refused;
      ASSERT_EQ(error.kind(), ErrorKind::kModel) << error.what();
      ASSERT_FALSE(error.where().file.empty()) << error.what();
    }
  }

  int tried = 0, refused = 0;

 private:
  TemporaryFolder folder_;
  std::string name_;
  TokenizerOptions options_;

  static void use(const Tokenizer& tokenizer) {
    for (const std::string_view sample :
         {"The playing [SEP] caf\u00e9 <mask>\u4e2d 'll", "\xFF\xC3 \n\n"}) {
      const Encoding encoding = tokenizer.encode(sample);
      const Sequence sequence = tokenizer.post_process(encoding, &encoding);
      tokenizer.decode(sequence.ids, true);
      for (const Span span : encoding.offsets)
        ASSERT_TRUE(span.start >= 0 && span.end <= static_cast<int32_t>(sample.size()));
      for (const int32_t id : sequence.ids) ASSERT_TRUE(id >= 0 && id < tokenizer.vocab_size());
    }
  }
};

// Cut at every byte; then bytes flipped, pieces removed, doubled or moved, JSON values exchanged.
void damage_every_way(const std::string& text, Damaged& damage, uint64_t seed) {
  for (size_t size = 0; size < text.size(); ++size) damage.load(text.substr(0, size));
  RandomStream random(seed);
  const std::vector<std::string> values{
      "null", "true",        "-1",          "1e99", "99999999999999999999", "\"\"", "[]",
      "{}",   "\"\\u0000\"", "\"\\ud800\"", "[[[[", "\xED\xA0\x80"};
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = text;
    for (uint64_t changes = 1 + random.below(3); changes > 0; --changes) {
      const size_t at = random.below(damaged.size()),
                   size = std::min<size_t>(damaged.size() - at, random.below(20));
      switch (random.below(5)) {
        case 0:
          damaged[at] = static_cast<char>(random.below(256));
          break;
        case 1:
          damaged.erase(at, size);
          break;
        case 2:
          damaged.insert(at, damaged.substr(random.below(damaged.size()), size));
          break;
        case 3:
          damaged.insert(at, values[random.below(values.size())]);
          break;
        default: {  // a whole value for another
          const size_t colon = damaged.find(": ", at),
                       end =
                           colon == std::string::npos ? colon : damaged.find_first_of(",}]", colon);
          if (end != std::string::npos)
            damaged.replace(colon + 2, end - colon - 2, values[random.below(values.size())]);
        }
      }
      if (damaged.empty()) damaged = "x";
    }
    damage.load(damaged);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

// Thousands of warnings about ids would say nothing.
struct OnlyErrorsLogged {
  OnlyErrorsLogged() { setenv("HONE_LOG", "error", 1); }
  ~OnlyErrorsLogged() { unsetenv("HONE_LOG"); }
};

TEST(LoadTokenizer, RefusesDamagedFilesAndNeverCrashes) {
  const OnlyErrorsLogged only_errors;
  Damaged wordpiece("tokenizer.json", {}), bpe("tokenizer.json", {}), unigram("tokenizer.json", {}),
      vocabulary("vocab.txt", {true});
  damage_every_way(kSmallJson, wordpiece, 1);
  damage_every_way(kSmallBpeJson, bpe, 2);
  damage_every_way(kSmallVocabulary, vocabulary, 3);
  damage_every_way(kSmallUnigramJson, unigram, 4);
  for (const Damaged* damage : {&wordpiece, &bpe, &unigram, &vocabulary}) {
    EXPECT_GT(damage->tried, 3000);
    EXPECT_GT(damage->refused, damage == &vocabulary ? 100 : 1500);
  }
  RecordProperty("tried", wordpiece.tried + bpe.tried + unigram.tried + vocabulary.tried);
}

TEST(LoadTokenizer, RefusesDamagedMergesAndConfigurations) {
  RandomStream random(4);
  const TemporaryFolder folder;
  const std::string
      merges = "#version: 0.2\nt h\nth e\n",
      config = R"({"do_lower_case": true, "pad_token": {"content": "e"}, "model_max_length": 12})";
  folder.write("vocab.json", R"({"t": 0, "h": 1, "e": 2, "th": 3, "the": 4})");
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string damaged_merges = merges, damaged_config = config;
    damaged_merges[random.below(merges.size())] = static_cast<char>(random.below(256));
    damaged_config[random.below(config.size())] = static_cast<char>(random.below(256));
    folder.write("merges.txt", damaged_merges);
    folder.write("tokenizer_config.json", i % 2 == 0 ? damaged_config : config);
    try {
      Tokenizer::load(folder.path())->encode("the thethe");
    } catch (const Error& error) {
      ++refused;
      ASSERT_FALSE(error.where().file.empty()) << error.what();
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace hone
