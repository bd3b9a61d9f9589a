// Tokenizer files and texts that mean harm, or that nobody meant: no crash, no silence, and a time
// that grows with the text's length and not with its square.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/file.h"
#include "tokenizer_testing.h"

namespace hone {
namespace {

using ::testing::HasSubstr;

Json json_of(const char* text) { return parse_json(text, {}, ErrorKind::kModel); }

std::string load_error(const Json& json) {
  const TemporaryFolder folder;
  return error_of([&] { load_text(folder, "tokenizer.json", json.dump()); });
}

// What is written beside the name of the file goes to the log.
std::pair<std::shared_ptr<const Tokenizer>, std::string> load_with_log(
    const TemporaryFolder& folder, const Json& json) {
  ::testing::internal::CaptureStderr();
  auto tokenizer = load_text(folder, "tokenizer.json", json.dump());
  return {tokenizer, ::testing::internal::GetCapturedStderr()};
}

TEST(HostileTokenizer, WithHolesInItsIdsKeepsThem) {
  Json json = json_of(kSmallJson);
  json["model"]["vocab"]["中"] = 5000;  // 9 to 4999 are no tokens
  const TemporaryFolder folder;
  const auto tokenizer = load_text(folder, "tokenizer.json", json.dump());
  EXPECT_EQ(tokenizer->vocab_size(), 5001);
  EXPECT_EQ(tokens_of(*tokenizer, tokenizer->encode("the 中")), "the 中");
  EXPECT_EQ(tokenizer->token(100), "");
  EXPECT_EQ(tokenizer->decode({3, 100, 5000, 6000, -1}, false), "the 中");
  const TemporaryFolder saved;
  tokenizer->save(saved.path());
  const auto again = Tokenizer::load(saved.path());
  EXPECT_EQ(again->encode("the 中").ids, (std::vector<int32_t>{3, 5000}));
}

TEST(HostileTokenizer, WithAnIdOutOfAllProportionIsRefused) {
  Json json = json_of(kSmallJson);
  json["model"]["vocab"]["中"] = int64_t{1} << 40;
  EXPECT_THAT(load_error(json),
              HasSubstr("\"model.vocab.中\": 1099511627776 is not between 0 and"));
}

TEST(HostileTokenizer, WithEqualPiecesTellsWhichIsFound) {
  Json json = json_of(kSmallUnigramJson);
  json["model"]["vocab"].push_back({"play", -0.5});
  json["added_tokens"].back()["id"] = 10;
  const TemporaryFolder folder;
  const auto [tokenizer, log] = load_with_log(folder, json);
  EXPECT_EQ(tokenizer->encode("play").ids.back(), 9);
  EXPECT_THAT(log, HasSubstr("the piece \"play\" (9) stands there twice; the later one is found"));
}

TEST(HostileTokenizer, WithAScoreThatIsNoNumberIsRefused) {
  const TemporaryFolder folder;
  for (const char* score : {"NaN", "-Infinity", "1e999", "null", "\"-1\""}) {
    std::string text = kSmallUnigramJson;
    text.replace(text.find("-3.25"), 5, score);
    EXPECT_NE(error_of([&] { load_text(folder, "tokenizer.json", text); }), "") << score;
  }
}

TEST(HostileTokenizer, WithAMergeOfNoPieceIsRefused) {
  Json json = json_of(kSmallBpeJson);
  json["model"]["merges"].push_back("th zz");
  EXPECT_THAT(load_error(json), HasSubstr("merge 4 (\"th zz\"): \"zz\" is not in the vocabulary"));
}

TEST(HostileTokenizer, TakesTheLongestOfAddedTokensThatOverlap) {
  Json json = json_of(kSmallBpeJson);
  const auto add = [&](int id, const char* content) {
    json["added_tokens"].push_back(
        {{"id", id}, {"content", content}, {"special", false}, {"normalized", false}});
  };
  add(13, "het");
  add(14, "hethet");
  add(15, "eth");
  const TemporaryFolder folder;
  const auto tokenizer = load_text(folder, "tokenizer.json", json.dump());
  EXPECT_EQ(tokenizer->encode("hethethethe").ids, (std::vector<int32_t>{14, 13, 4, 5}));
  EXPECT_EQ(tokenizer->encode("heth").ids, (std::vector<int32_t>{13, 4}));
}

// A BPE of characters with some of the bytes that stand for the others.
Json bpe_with_bytes(const std::vector<std::string>& bytes, bool has_unknown) {
  Json vocab = {{"▁", 0}, {"a", 1}, {"▁a", 2}};
  if (has_unknown) vocab["<unk>"] = vocab.size();
  for (const std::string& byte : bytes) vocab[byte] = vocab.size();
  const Json mark = {{"type", "Metaspace"}, {"replacement", "▁"}, {"split", false}};
  return {{"version", "1.0"},
          {"added_tokens", Json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", mark},
          {"post_processor", nullptr},
          {"decoder", mark},
          {"model",
           {{"type", "BPE"},
            {"unk_token", has_unknown ? Json("<unk>") : Json()},
            {"byte_fallback", true},
            {"vocab", vocab},
            {"merges", {"▁ a"}}}}};
}

TEST(HostileTokenizer, WithoutAByteOfItsFallbackTellsSoAndTakesTheUnknownToken) {
  const TemporaryFolder folder;
  const auto [tokenizer, log] = load_with_log(folder, bpe_with_bytes({"<0xC3>", "<0xA9>"}, true));
  EXPECT_THAT(log, HasSubstr("<0x00>"));
  EXPECT_EQ(tokens_of(*tokenizer, tokenizer->encode("aéè")), "▁a <0xC3> <0xA9> <unk>");
}

TEST(HostileTokenizer, WithoutAnUnknownTokenLeavesOutWhatBpeHasNothingFor) {
  const TemporaryFolder folder;
  const auto tokenizer = load_with_log(folder, bpe_with_bytes({}, false)).first;
  EXPECT_EQ(tokens_of(*tokenizer, tokenizer->encode("aéa")), "▁a a");  // as the reference does
  EXPECT_EQ(tokenizer->unk_id(), -1);
}

TEST(HostileTokenizer, WithoutAnUnknownTokenNamesTheCharacterThatUnigramHasNothingFor) {
  Json json = json_of(kSmallUnigramJson);
  json["model"]["unk_id"] = nullptr;
  const TemporaryFolder folder;
  const auto tokenizer = load_text(folder, "tokenizer.json", json.dump());
  EXPECT_THAT(error_of([&] { tokenizer->encode("e \u4e2d"); }),
              HasSubstr("tokenizer.json: the tokenizer has no piece for \"\u4e2d\""));
}

TEST(HostileTokenizer, MadeOfFilesOfTwoModelsIsRefusedWhereTheyDisagree) {
  const TemporaryFolder folder;
  folder.write("vocab.json", R"({"t": 0, "h": 1, "th": 2})");
  folder.write("merges.txt", "#version: 0.2\nt h\nth e\n");
  EXPECT_THAT(error_of([&] { Tokenizer::load(folder.path()); }),
              HasSubstr("merges.txt:3: merge 2 (\"th e\"): \"e\" is not in the vocabulary"));
  Json json = json_of(kSmallJson);  // BERT's special tokens around another model's vocabulary
  json["model"] = json_of(kSmallUnigramJson)["model"];
  json["post_processor"]["special_tokens"]["[SEP]"]["ids"] = {102};
  EXPECT_THAT(load_error(json), HasSubstr("no token has the id 102"));
}

TEST(HostileTokenizer, UnderAnotherKindsNameIsRefused) {
  const std::pair<const char*, std::string> kFiles[] = {
      {"spiece.model", kSmallJson},
      {"tokenizer.json", std::string("\n\x0E\n\x05<unk>", 9)},
      {"x.tiktoken", kSmallVocabulary},
      {"tokenizer.json", kSmallVocabulary},
      {"vocab.json", "#version: 0.2\na b"}};
  for (const auto& [name, bytes] : kFiles) {
    const TemporaryFolder folder;
    folder.write("merges.txt", "#version: 0.2\n");
    folder.write(name, bytes);
    EXPECT_THAT(error_of([&] { Tokenizer::load(folder.path()); }), HasSubstr(name));
  }
}

// Tokenizers of all kinds, by what they are called in the test's name.
Json word_piece() {
  Json json = json_of(kSmallJson);
  json["model"]["max_input_chars_per_word"] = 100;
  json["model"]["vocab"]["a"] = 10;
  return json;
}

Json with_parts(Json json, Json normalizer, Json pre_tokenizer) {
  json["normalizer"] = std::move(normalizer);
  json["pre_tokenizer"] = std::move(pre_tokenizer);
  return json;
}

Json metaspace(bool splits) {
  return {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}, {"split", splits}};
}

Json byte_level(const char* pattern) {
  Json json = json_of(kSmallBpeJson);
  Json& vocab = json["model"]["vocab"];
  for (const char* token : {"a", "aa", "aaaa", "Ì", "ģ", "Ìģ", "ĠĠ", "ĠĠĠĠ"})
    vocab[token] = vocab.size();
  for (const char* merge : {"a a", "aa aa", "Ì ģ", "Ġ Ġ", "ĠĠ ĠĠ"})
    json["model"]["merges"].push_back(merge);
  if (pattern == nullptr) return json;
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", pattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  Json bytes = json["pre_tokenizer"];
  bytes["use_regex"] = false;
  return with_parts(json, {{"type", "NFC"}},
                    {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}});
}

Json unigram(Json normalizer, Json pre_tokenizer) {
  Json json = json_of(kSmallUnigramJson);
  for (const char* piece : {"a", "aa", "aaaa", "\u0301"})
    json["model"]["vocab"].push_back({piece, -5});
  json["added_tokens"].erase(3);
  return with_parts(std::move(json), std::move(normalizer), std::move(pre_tokenizer));
}

Json deberta() {
  const Json blanks = {{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", " "}};
  const Json strip = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}};
  const Json marks = {{"type", "Punctuation"}, {"behavior", "Isolated"}};
  return unigram({{"type", "Sequence"}, {"normalizers", {strip, {{"type", "NFKC"}}, blanks}}},
                 {{"type", "Sequence"}, {"pretokenizers", {marks, metaspace(true)}}});
}

Json sentence_bpe() {
  Json json = bpe_with_bytes({}, true);
  json["model"]["fuse_unk"] = true;
  return json;
}

struct Kind {
  const char* name;
  Json (*make)();
};

const char* kCl100k =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

const Kind kKinds[] = {
    {"WordPiece", word_piece},
    {"ByteLevelBpe", [] { return byte_level(nullptr); }},
    {"ByteLevelBpeWithAPattern", [] { return byte_level(kCl100k); }},
    {"Unigram", [] { return unigram({{"type", "NFKC"}}, metaspace(true)); }},
    {"UnigramOfTheWholeText", [] { return unigram(nullptr, metaspace(false)); }},
    {"UnigramBetweenPunctuation", deberta},
    {"SentencePieceBpe", sentence_bpe},
};

std::string repeated(const std::string& unit, size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += unit;
  return out;
}

// Of the processor, the least of three: what others do on the machine counts as little as can be.
double seconds_of(const HfTokenizer& tokenizer, const std::string& text, bool is_fast) {
  double least = 1e9;
  Encoding out;
  for (int i = 0; i < 3; ++i) {
    const std::clock_t start = std::clock();
    is_fast ? tokenizer.encode(text, out) : tokenizer.encode_by_parts(text, out);
    least = std::min(least, static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
  }
  return least;
}

class LinearTime : public ::testing::TestWithParam<Kind> {};

// Sixteen times the text may take 128 times as long (caches end, queues grow); what grows with the
// square takes 256 times as long.
TEST_P(LinearTime, OnAMegabyteOfOneThing) {
  constexpr size_t kBytes = 1 << 20, kTimes = 16;
  const TemporaryFolder folder;
  const auto loaded = load_text(folder, "tokenizer.json", GetParam().make().dump());
  const auto& tokenizer = dynamic_cast<const HfTokenizer&>(*loaded);
  for (const char* unit : {"a", "\u0301", " ", "\n", "\ue000", ",", "a ", "e\u0301\n"}) {
    const std::string small = repeated(unit, kBytes / kTimes), large = repeated(unit, kBytes);
    for (const bool is_fast : {true, false}) {
      const double least = std::max(seconds_of(tokenizer, small, is_fast), 1e-4);
      EXPECT_LT(seconds_of(tokenizer, large, is_fast), 128 * least)
          << ::testing::PrintToString(unit) << (is_fast ? "" : " by parts");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, LinearTime, ::testing::ValuesIn(kKinds),
                         [](const auto& kind) { return std::string(kind.param.name); });

}  // namespace
}  // namespace hone
