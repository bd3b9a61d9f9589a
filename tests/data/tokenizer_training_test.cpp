#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <numeric>

#include "base/json.h"
#include "data/tokenizer/training/seed_pieces.h"
#include "data/tokenizer/training/train_tokenizer.h"
#include "data/tokenizer_testing.h"

namespace hone {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

WordCounts counts_of(const std::vector<std::pair<std::string, int>>& words) {
  WordCounts out;
  for (const auto& [word, count] : words) out.add(word, count);
  return out;
}

TEST(TrainBpe, MergesTheMostFrequentPairAndOfEqualOnesTheLowerIds) {
  BpeTrainerOptions options;
  options.vocab_size = 8;
  options.special_tokens = {"<unk>"};
  const TrainedBpe trained = train_bpe(counts_of({{"hug", 10}, {"pug", 5}, {"hugs", 5}}), options);
  EXPECT_EQ(trained.tokens,
            (std::vector<std::string>{"<unk>", "g", "h", "p", "s", "u", "ug", "hug"}));
  EXPECT_EQ(trained.merges, (Bpe::Merges{{"u", "g"}, {"h", "ug"}}));
}

TEST(TrainBpe, MarksWhatContinuesAWordAndWhatEndsIt) {
  BpeTrainerOptions options;
  options.vocab_size = 20;
  options.continuing_subword_prefix = "##";
  EXPECT_EQ(train_bpe(counts_of({{"aab", 3}}), options).tokens,
            (std::vector<std::string>{"a", "b", "##a", "##b", "aa", "aab"}));
  options.continuing_subword_prefix = "";
  options.end_of_word_suffix = "</w>";
  EXPECT_EQ(train_bpe(counts_of({{"aab", 3}}), options).tokens,
            (std::vector<std::string>{"a", "b", "b</w>", "aa", "aab</w>"}));
}

TEST(TrainBpe, KeepsToItsLimits) {
  const WordCounts words = counts_of({{"aaaa", 5}, {"bc", 2}, {"d", 1}});
  BpeTrainerOptions options;
  options.vocab_size = 100;
  options.min_frequency = 3;
  EXPECT_EQ(train_bpe(words, options).tokens,
            (std::vector<std::string>{"a", "b", "c", "d", "aa", "aaaa"}));
  options.limit_alphabet = 2;
  EXPECT_THAT(train_bpe(words, options).tokens, ::testing::Not(Contains("d")));
  options.max_token_length = 4;
  EXPECT_THAT(train_bpe(words, options).tokens, ::testing::Not(Contains("aaaa")));
  options = {};
  options.vocab_size = 3;
  EXPECT_THAT(
      error_of([&] { train_bpe(words, options); }),
      HasSubstr("vocab_size is 3, but the special tokens and the alphabet of this corpus are "
                "4 tokens"));
}

RC_GTEST_PROP(TrainBpe, DependsOnTheWordsNotOnTheirOrder, ()) {
  auto words = *rc::gen::container<std::vector<std::string>>(
      rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange('a', 'e'))));
  BpeTrainerOptions options;
  options.vocab_size = 30;
  options.continuing_subword_prefix = "##";
  const auto train = [&] {
    WordCounts counts;
    for (const std::string& word : words) counts.add(word);
    return train_bpe(counts, options);
  };
  const TrainedBpe first = train();
  std::reverse(words.begin(), words.end());
  const TrainedBpe second = train();
  RC_ASSERT(first.tokens == second.tokens);
  RC_ASSERT(first.merges == second.merges);
}

// Every part of a word of two characters and more that stands twice or more and that different
// characters follow.
std::map<std::string, int64_t> parts_by_definition(const std::vector<std::string>& words,
                                                   size_t most) {
  std::map<std::string, std::map<char, int64_t>> followers;
  for (const std::string& word : words) {
    for (size_t at = 0; at < word.size(); ++at) {
      for (size_t size = 2; size <= most && at + size <= word.size(); ++size)
        ++followers[word.substr(at, size)][at + size < word.size() ? word[at + size] : '\0'];
    }
  }
  std::map<std::string, int64_t> out;
  for (const auto& [part, by] : followers) {
    int64_t count = 0;
    for (const auto& [c, n] : by) count += n;
    if (by.size() > 1) out[part] = count * static_cast<int64_t>(part.size());
  }
  return out;
}

RC_GTEST_PROP(SeedPieces, AreThePartsThatRepeat, ()) {
  const auto list = *rc::gen::unique<std::vector<std::string>>(
      rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange('a', 'd'))));
  WordCounts words;
  for (const std::string& word : list) words.add(word);
  std::map<std::string, int64_t> found;
  for (const auto& [piece, score] : seed_pieces(words, 4, 1'000'000)) {
    if (piece.size() > 1) found[piece] = score;
  }
  RC_ASSERT(found == parts_by_definition(list, 4));
}

TEST(TrainUnigram, GivesAllCharactersAndLikelyPieces) {
  WordCounts words =
      counts_of({{"lowest", 10}, {"newest", 10}, {"widest", 10}, {"low", 20}, {"new", 20}});
  UnigramTrainerOptions options;
  options.vocab_size = 20;
  options.special_tokens = {"<s>", "<unk>"};
  const TrainedUnigram trained = train_unigram(words, options);
  EXPECT_EQ(trained.unk_id, 1);
  std::vector<std::string> pieces;
  for (const auto& [piece, score] : trained.pieces) pieces.push_back(piece);
  EXPECT_THAT(pieces, Contains("low"));
  for (const char* character : {"l", "o", "w", "e", "s", "t", "n", "i", "d"})
    EXPECT_THAT(pieces, Contains(character));
  EXPECT_LE(trained.pieces.size(), 20U);
  for (size_t i = 3; i < trained.pieces.size(); ++i)
    EXPECT_GE(trained.pieces[i - 1].second, trained.pieces[i].second);
  options.vocab_size = 5;
  EXPECT_THAT(error_of([&] { train_unigram(words, options); }), HasSubstr("vocab_size is 5"));
}

TrainedTokenizer train(const TemporaryFolder& folder, const std::string& data,
                       const std::vector<std::string>& words) {
  Config config = Config::parse("", "command line", words);
  const TrainTokenizerOptions options = TrainTokenizerOptions::read(config);
  config.refuse_unknown();
  SourceOptions source;
  source.path = data;
  return train_tokenizer(options, source, folder.path() + "/out");
}

TEST(TrainTokenizer, SavesWhatItCanRead) {
  for (const char* algorithm : {"byte_level_bpe", "bpe", "unigram", "wordpiece"}) {
    const TemporaryFolder folder;
    const std::string data = folder.write("t.txt", "the cat sat on the mat\nthe hat, the cats\n");
    const TrainedTokenizer trained =
        train(folder, data, {fmt::format("algorithm={}", algorithm), "vocab_size=300"});
    EXPECT_EQ(trained.texts, 2);
    const auto tokenizer = Tokenizer::load(folder.path() + "/out");
    EXPECT_EQ(tokenizer->vocab_size(), trained.vocab_size);
    const Sequence sequence = tokenizer->post_process(tokenizer->encode("the cats"));
    EXPECT_EQ(sequence.offsets.front(), (Span{0, 0})) << algorithm;  // <s> or [CLS]
    EXPECT_EQ(tokenizer->decode(sequence.ids, true), "the cats") << algorithm;
  }
}

TEST(TrainTokenizer, AUnigramTokenizerGetsAnUnknownTokenWhereNoneIsNamed) {
  const TemporaryFolder folder;
  const std::string data = folder.write("t.txt", "the cat sat on the mat\n");
  train(folder, data, {"algorithm=unigram", "vocab_size=30", "special_tokens=['<s>','</s>']"});
  const auto tokenizer = Tokenizer::load(folder.path() + "/out");
  EXPECT_EQ(tokenizer->id("<unk>"), 0);
  const Sequence sequence = tokenizer->post_process(tokenizer->encode("cat?"));
  EXPECT_EQ(tokenizer->token(sequence.ids.front()), "<s>");
  EXPECT_EQ(tokenizer->token(*(sequence.ids.end() - 2)), "<unk>");
  EXPECT_EQ(tokenizer->token(sequence.ids.back()), "</s>");
}

using Roles = std::map<std::string, std::string>;

// What a file says of the special tokens.
Roles roles_in(const std::string& path) {
  Roles roles;
  const Json document = read_json(path, ErrorKind::kModel);
  for (const auto& [key, value] : document.items()) {
    if (key.ends_with("_token")) roles[key] = value.get<std::string>();
  }
  return roles;
}

// Of both files, which must agree.
Roles trained_roles(const std::string& algorithm, const std::string& special_tokens = "") {
  const TemporaryFolder folder;
  const std::string data = folder.write("t.txt", "the cat sat on the mat\n");
  std::vector<std::string> words = {"algorithm=" + algorithm, "vocab_size=300"};
  if (!special_tokens.empty()) words.push_back("special_tokens=" + special_tokens);
  train(folder, data, words);
  Roles roles = roles_in(folder.path() + "/out/tokenizer_config.json");
  EXPECT_EQ(roles_in(folder.path() + "/out/special_tokens_map.json"), roles) << algorithm;
  return roles;
}

TEST(TrainTokenizer, NamesWhatSpecialTokensAreFor) {
  const Roles roberta = {{"bos_token", "<s>"},    {"cls_token", "<s>"},   {"eos_token", "</s>"},
                         {"sep_token", "</s>"},   {"pad_token", "<pad>"}, {"unk_token", "<unk>"},
                         {"mask_token", "<mask>"}};
  for (const char* algorithm : {"byte_level_bpe", "bpe", "unigram"})
    EXPECT_EQ(trained_roles(algorithm), roberta) << algorithm;
  Roles bert = {{"cls_token", "[CLS]"},
                {"sep_token", "[SEP]"},
                {"pad_token", "[PAD]"},
                {"unk_token", "[UNK]"},
                {"mask_token", "[MASK]"}};
  EXPECT_EQ(trained_roles("wordpiece"), bert);  // it writes nothing
  bert["bos_token"] = "[BOS]", bert["eos_token"] = "[EOS]";
  EXPECT_EQ(
      trained_roles("wordpiece", "['[PAD]','[UNK]','[CLS]','[SEP]','[MASK]','[BOS]','[EOS]']"),
      bert);
  EXPECT_EQ(trained_roles("byte_level_bpe", "['<|endoftext|>']"),
            (Roles{{"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}}));
  EXPECT_EQ(trained_roles("unigram", "['<pad>','</s>','<unk>']"),
            (Roles{{"eos_token", "</s>"},
                   {"sep_token", "</s>"},
                   {"pad_token", "<pad>"},
                   {"unk_token", "<unk>"}}));  // T5's
}

TEST(TrainTokenizer, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  const std::string data = folder.write("t.jsonl", "{\"txt\": \"a b\"}\n");
  const auto error = [&](const std::vector<std::string>& words) {
    return error_of([&] { train(folder, data, words); });
  };
  EXPECT_THAT(error({"algorithm=unigam"}), HasSubstr("did you mean \"unigram\"?"));
  EXPECT_THAT(error({"normalizer=[nfkd,lowercas]"}), HasSubstr("did you mean \"lowercase\"?"));
  EXPECT_THAT(error({"algorithm=unigram", "min_frequency=2"}), HasSubstr("min_frequency"));
  EXPECT_THAT(error({"algorithm=wordpiece", "special_tokens=[a]"}),
              HasSubstr("WordPiece needs [UNK]"));
  EXPECT_THAT(error({"special_tokens=[a,a]"}), HasSubstr("\"a\" is listed twice"));
  EXPECT_EQ(error({}),
            "t.jsonl:1: no field \"text\" here; there are txt; did you mean \"txt\"?. "
            "text=… names those to learn from");
  EXPECT_THAT(error({"text=txt", "algorithm=bpe", "vocab_size=3"}), HasSubstr("vocab_size is 3"));
  folder.write("t.jsonl", "{\"txt\": \" \"}\n");
  EXPECT_THAT(error({"text=txt", "algorithm=bpe", "pre_tokenizer=whitespace"}),
              HasSubstr("no word in its 1 texts"));
  folder.write("out", "");
  EXPECT_THAT(error({"text=txt"}), HasSubstr("something is there already"));
}

}  // namespace
}  // namespace hone
