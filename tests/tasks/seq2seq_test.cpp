#include "tasks/seq2seq/seq2seq.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_encoder_decoder.h"
#include "tasks/next_token.h"
#include "tasks/pipeline.h"
#include "tasks/pretrained.h"
#include "tasks/seq2seq/scorer.h"
#include "tasks/writing.h"

namespace hone::seq2seq {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;
using testing_support::error_of;
using testing_support::TemporaryFolder;

constexpr int32_t kStartId = 2, kEndId = 3, kEnglish = 4, kDutch = 5, kFirstWord = 6;

// [PAD], [UNK], [START], [END], en_XX, nl_XX, then w0 to w38. `puts_end`: it ends each text.
void write_tokenizer(const std::string& folder, bool puts_end, const char* tokenizer_class) {
  Json ids = Json::object(), added = Json::array();
  for (const char* token : {"[PAD]", "[UNK]", "[START]", "[END]", "en_XX", "nl_XX"}) {
    added.push_back({{"id", ids.size()},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
    ids[token] = ids.size();
  }
  for (int i = 0; i < 39; ++i) ids["w" + std::to_string(i)] = ids.size();
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
             second = {{"Sequence", {{"id", "B"}, {"type_id", 0}}}},
             end = {{"SpecialToken", {{"id", "[END]"}, {"type_id", 0}}}};
  const Json ending = {
      {"type", "TemplateProcessing"},
      {"single", Json::array({text, end})},
      {"pair", Json::array({text, end, second, end})},
      {"special_tokens",
       {{"[END]",
         {{"id", "[END]"}, {"ids", Json::array({kEndId})}, {"tokens", Json::array({"[END]"})}}}}}};
  const Json tokenizer = {
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
      {"post_processor", puts_end ? ending : Json()},
      {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", false}}},
      {"model",
       {{"type", "WordPiece"},
        {"unk_token", "[UNK]"},
        {"continuing_subword_prefix", "##"},
        {"max_input_chars_per_word", 100},
        {"vocab", ids}}}};
  std::filesystem::create_directories(folder);
  write_file(folder + "/tokenizer.json", tokenizer.dump());
  const Json options = {{"tokenizer_class", tokenizer_class},
                        {"model_max_length", 32},
                        {"eos_token", "[END]"},
                        {"pad_token", "[PAD]"},
                        {"unk_token", "[UNK]"}};
  write_file(folder + "/tokenizer_config.json", options.dump());
}

struct Setup {
  bool puts_end = true;
  const char* tokenizer_class = "PreTrainedTokenizerFast";
  const char* family = "marian";
  Json changes = Json::object();  // of config.json
};

void write_model(const std::string& folder, const Setup& setup = {}) {
  testing_support::write_tiny_encoder_decoder(folder, setup.family, setup.changes);
  std::filesystem::remove(folder + "/vocab.txt");
  write_tokenizer(folder, setup.puts_end, setup.tokenizer_class);
}

Record pair(Json source, Json target) {
  return {{{"source", std::move(source)}, {"target", std::move(target)}},
          std::make_shared<const std::string>("pairs.jsonl"),
          7};
}

std::shared_ptr<Seq2Seq> learned(const std::string& options, const TemporaryFolder& folder,
                                 const Tokenizer& tokenizer, int64_t longest = 32) {
  Config section = Config::parse(options, "test.yaml");
  auto task = std::make_shared<Seq2Seq>(Options::read(section, longest));
  section.refuse_unknown();
  task->begin_from(folder.path(), true);
  const Record record = pair("w0 w1", "w2 w3");
  task->learn(record);
  task->learn_tokens(record, tokenizer);
  task->finish_learning();
  return task;
}

// A task with what it makes of a record.
struct Made {
  TemporaryFolder folder;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<Seq2Seq> task;

  explicit Made(const std::string& options = "{}", const Setup& setup = {}, int64_t longest = 32) {
    write_model(folder.path(), setup);
    tokenizer = Tokenizer::load(folder.path());
    task = learned(options, folder, *tokenizer, longest);
  }
  Sample sample(const Record& record, bool with_targets = true, bool* truncated = nullptr) const {
    return task->encode(record, *tokenizer, with_targets, truncated).at(0);
  }
  std::string refusal(const Record& record) const {
    return error_of([&] { sample(record); });
  }
};

TEST(Seq2SeqRows, AreSourceAndWhatTheDecoderReadsAndPredicts) {
  const Made made;
  const Sample sample = made.sample(pair("w0 w1", "w2 w3 w4"));
  ASSERT_THAT(sample.streams, SizeIs(2));
  EXPECT_THAT(sample.streams[0].ids, ElementsAre(kFirstWord, kFirstWord + 1, kEndId));
  EXPECT_THAT(sample.streams[1].ids,
              ElementsAre(kStartId, kFirstWord + 2, kFirstWord + 3, kFirstWord + 4));
  ASSERT_THAT(sample.targets, SizeIs(1));
  EXPECT_EQ(sample.targets[0].name, kNextToken);
  EXPECT_THAT(sample.targets[0].values,
              ElementsAre(kFirstWord + 2, kFirstWord + 3, kFirstWord + 4, kEndId));
}

TEST(Seq2SeqRows, EndWithTheTokenThatEndsAlsoWhereTheTokenizerPutsNone) {
  const Made made("{}", {.puts_end = false});
  const Sample sample = made.sample(pair("w0 w1", "w2"));
  EXPECT_THAT(sample.streams[0].ids, ElementsAre(kFirstWord, kFirstWord + 1));
  EXPECT_THAT(sample.targets[0].values, ElementsAre(kFirstWord + 2, kEndId));
}

TEST(Seq2SeqRows, EndWithItAlsoWhereItStandsInTheText) {
  const Made made("{}", {.puts_end = false});
  EXPECT_THAT(made.sample(pair("w0", "w2 [END] w3")).targets[0].values,
              ElementsAre(kFirstWord + 2, kEndId, kFirstWord + 3, kEndId));
}

TEST(Seq2SeqRows, WithoutTargetsAreThePromptOfAnAnswer) {
  const Made made;
  Record record = pair("w0 w1", "w2");
  record.fields.erase("target");
  const Sample sample = made.sample(record, /*with_targets=*/false);
  EXPECT_THAT(sample.streams[1].ids, ElementsAre(kStartId));
  EXPECT_TRUE(sample.targets.empty());
  const Prompt prompt = prompts_of({&sample, 1}).front();
  EXPECT_EQ(prompt.source, sample.streams[0].ids);
  EXPECT_THAT(prompt.ids, ElementsAre(kStartId));
}

TEST(Seq2SeqRows, BeginWithThePrefix) {
  const Made made("{prefix: \"w9 \"}");
  EXPECT_EQ(made.sample(pair("w0", "w2")).streams[0].ids.front(), kFirstWord + 9);
}

TEST(Seq2SeqRows, ASourceMayBeAListOfSentences) {
  const Made made;
  EXPECT_EQ(made.sample(pair(Json::array({"w0", "w1 w2"}), "w2")).streams[0].ids,
            made.sample(pair("w0 w1 w2", "w2")).streams[0].ids);
}

TEST(Seq2SeqRows, LoseTheEndOfWhatIsTooLong) {
  const Made made("{max_source_length: 5, max_target_length: 6}");
  bool truncated = false;
  const Sample sample =
      made.sample(pair("w0 w1 w2 w3 w4 w5", "w0 w1 w2 w3 w4 w5 w6"), true, &truncated);
  EXPECT_TRUE(truncated);
  EXPECT_THAT(sample.streams[0].ids,
              ElementsAre(kFirstWord, kFirstWord + 1, kFirstWord + 2, kFirstWord + 3, kEndId));
  EXPECT_LE(sample.streams[1].size(), 6);
  EXPECT_EQ(sample.targets[0].values.back(), kEndId);
  truncated = false;
  made.sample(pair("w0 w1", "w0 w1"), true, &truncated);
  EXPECT_FALSE(truncated);
}

TEST(Seq2SeqRows, LanguagesStandFirst) {
  const Made made("{source_language: en_XX, target_language: nl_XX}",
                  {.tokenizer_class = "MBart50Tokenizer", .family = "mbart"});
  const Sample sample = made.sample(pair("w0", "w2"));
  EXPECT_THAT(sample.streams[0].ids, ElementsAre(kEnglish, kFirstWord, kEndId));
  EXPECT_THAT(sample.streams[1].ids, ElementsAre(kStartId, kDutch, kFirstWord + 2));
  EXPECT_THAT(sample.targets[0].values, ElementsAre(kDutch, kFirstWord + 2, kEndId));
  EXPECT_EQ(made.task->generation()->tokens.forced_bos_token_id, kDutch);
}

TEST(Seq2SeqRows, LanguagesStandLastWhereTheTokenizerHasThemThere) {
  const Made made("{source_language: en_XX, target_language: nl_XX}",
                  {.tokenizer_class = "MBartTokenizer", .family = "mbart"});
  const Sample sample = made.sample(pair("w0", "w2"));
  EXPECT_THAT(sample.streams[0].ids, ElementsAre(kFirstWord, kEndId, kEnglish));
  EXPECT_THAT(sample.streams[1].ids, ElementsAre(kDutch, kFirstWord + 2, kEndId));
  EXPECT_THAT(sample.targets[0].values, ElementsAre(kFirstWord + 2, kEndId, kDutch));
  EXPECT_EQ(made.task->generation()->tokens.forced_bos_token_id, -1);
  EXPECT_THAT(made.sample(pair("w0", "w2"), false).streams[1].ids, ElementsAre(kDutch));
}

// Sides with vocabularies of their own.
const Setup kSeparate{.changes = {{"share_encoder_decoder_embeddings", false},
                                  {"decoder_vocab_size", 45},
                                  {"eos_token_id", 3}}};

TEST(Seq2SeqRows, OfATargetWithAVocabularyOfItsOwn) {
  const TemporaryFolder target;
  testing_support::write_tiny_bert(target.path());
  const Made made(fmt::format("{{target_tokenizer: {}}}", target.path()), kSeparate);
  const Sample sample = made.sample(pair("w0", "word1"));
  EXPECT_THAT(sample.targets[0].values, ElementsAre(2, 6, 3));  // [CLS] word1 [SEP]
}

TEST(Seq2SeqRows, NeedATableOfTargetWordsForTheirTokenizer) {
  auto setup = kSeparate;
  setup.changes["decoder_vocab_size"] = 44;
  EXPECT_THAT(error_of([&] { Made("{}", setup); }), HasSubstr("(the model's) has 45 entries"));
  const TemporaryFolder target;
  testing_support::write_tiny_bert(target.path());
  EXPECT_THAT(
      error_of([&] { Made(fmt::format("{{target_tokenizer: {}}}", target.path()), setup); }),
      HasSubstr(target.path() + ") has 45 entries"));
}

TEST(Seq2SeqRows, ThatCannotBeReadAreNamed) {
  const Made made;
  EXPECT_THAT(made.refusal(pair(" ", "w1")), HasSubstr("pairs.jsonl:7"));
  EXPECT_THAT(made.refusal(pair("w0", "")), HasSubstr("\"target\" is empty"));
  EXPECT_THAT(made.refusal(pair("w0", Json::array())), HasSubstr("list without a text"));
  EXPECT_THAT(made.refusal(pair("w0", Json::array({"w1", " "}))), HasSubstr("empty text among"));
  EXPECT_THAT(made.refusal(pair("w0", 3)), HasSubstr("target"));
}

std::string refused_options(const std::string& yaml) {
  return error_of([&] {
    Config section = Config::parse(yaml, "test.yaml");
    Options::read(section, 32);
  });
}

TEST(Seq2SeqOptions, ThatCannotBeAreRefused) {
  EXPECT_THAT(refused_options("{source: a, target: a}"), HasSubstr("are both \"a\""));
  EXPECT_THAT(refused_options("{target: loss}"), HasSubstr("use the name \"loss\""));
  EXPECT_THAT(refused_options("{source_language: en_XX}"), HasSubstr("go together"));
  EXPECT_THAT(refused_options("{max_target_length: 33}"), HasSubstr("longest sequence has 32"));
  EXPECT_THAT(refused_options("{max_source_length: 2}"), HasSubstr("4 or more"));
  EXPECT_THAT(refused_options("{goal: poetry}"), HasSubstr("poetry"));
}

TEST(Seq2SeqOptions, HaveTheScoresThatAreUsualForTheGoal) {
  const auto options_of = [](const char* yaml) {
    Config section = Config::parse(yaml, "test.yaml");
    return Options::read(section, 32);
  };
  EXPECT_THAT(options_of("{}").scores.metrics, ElementsAre("bleu", "chrf"));
  const Options summary = options_of("{goal: summarization}");
  EXPECT_THAT(summary.scores.metrics, ElementsAre("rouge"));
  EXPECT_EQ(summary.scores.lead_sentences, 3);
  EXPECT_THAT(options_of("{goal: summarization, metrics: [bleu]}").scores.metrics,
              ElementsAre("bleu"));
}

TEST(Seq2Seq, RefusesALanguageThatIsNotThere) {
  EXPECT_THAT(error_of([] { Made("{source_language: en_XX, target_language: xx_XX}"); }),
              HasSubstr("\"target_language\" is \"xx_XX\""));
}

TEST(Seq2Seq, RefusesToPutOneLanguageAroundBothSides) {
  for (const char* name : {"MBartTokenizer", "MBart50Tokenizer"})
    EXPECT_THAT(error_of([&] { Made("{}", {.tokenizer_class = name, .family = "mbart"}); }),
                HasSubstr("would put the language en_XX around sources and targets"));
}

// What learning the tokens of a folder says.
std::string refused_tokens(const char* family, const Json& changes, bool has_weights,
                           bool tokenizer_names_end = true) {
  const TemporaryFolder folder;
  write_model(folder.path(), {.family = family, .changes = changes});
  if (!has_weights) std::filesystem::remove(folder / "model.safetensors");
  Json options = read_json(folder / "tokenizer_config.json", ErrorKind::kModel);
  if (!tokenizer_names_end) options.erase("eos_token");
  write_file(folder / "tokenizer_config.json", options.dump());
  const auto tokenizer = Tokenizer::load(folder.path());
  return error_of([&] { learned("{}", folder, *tokenizer); });
}

TEST(Seq2Seq, AFolderWithoutWeightsNamesTheTokensThatBeginAndEndATarget) {
  const Json no_start = {{"decoder_start_token_id", nullptr}}, no_end = {{"eos_token_id", nullptr}};
  EXPECT_THAT(refused_tokens("bart", no_start, false), HasSubstr("a target begins with"));
  EXPECT_EQ(refused_tokens("bart", no_start, true), "no error");  // as usual of the family
  EXPECT_THAT(refused_tokens("bart", no_end, false, false), HasSubstr("\"eos_token_id\""));
  EXPECT_EQ(refused_tokens("bart", no_end, false), "no error");
  EXPECT_EQ(refused_tokens("bart", no_end, true, false), "no error");
}

TEST(Seq2Seq, RefusesAFirstTokenThatTheModelLacks) {
  EXPECT_THAT(refused_tokens("marian", {{"decoder_start_token_id", 45}}, true),
              HasSubstr("\"decoder_start_token_id\" is 45"));
  EXPECT_THAT(refused_tokens("marian", {{"decoder_start_token_id", nullptr}}, true),
              HasSubstr("as usual of the family marian"));
}

TEST(Seq2Seq, RefusesModelsOfOneStream) {
  const TemporaryFolder folder;
  testing_support::write_tiny_bert(folder.path());
  Config section = Config::parse("{}", "test.yaml");
  const Seq2Seq task(Options::read(section, 32));
  EXPECT_THAT(error_of([&] { task.make_head(ModelConfig::load(folder.path())); }),
              HasSubstr("do not read a text and write another"));
}

TEST(Seq2Seq, OtherTasksRefuseItsModels) {
  const TemporaryFolder folder;
  write_model(folder.path());
  Config section = Config::parse("{form: text}", "test.yaml");
  const auto task = task_named("causal_lm").make(section, 32);
  EXPECT_THAT(error_of([&] { make_network(ModelConfig::load(folder.path()), *task); }),
              HasSubstr("task seq2seq"));
}

std::vector<Sample> samples_of(const Made& made, bool with_targets) {
  std::vector<Sample> samples;
  for (const auto& [source, target] :
       {std::pair("w0 w1 w2", "w3"), std::pair("w7", "w8 w9 w10"), std::pair("w20 w21", "w3 w4")})
    samples.push_back(made.sample(pair(source, target), with_targets));
  return samples;
}

TEST(Seq2Seq, ItsLossIsThatOfWholeLogits) {
  const Made made;
  const auto pipeline = Pipeline::create(made.folder.path(), made.tokenizer, made.task, 1);
  const Batch batch = collate(samples_of(made, true), {0, 1, 2}, 0);
  const LossOptions smoothed{.label_smoothing = 0.1};
  Network& network = pipeline->network();
  const Loss in_parts = made.task->forward_loss(network, batch, smoothed),
             whole = made.task->loss(network.forward(batch), batch, smoothed);
  EXPECT_EQ(in_parts.count, 2 + 4 + 3);
  EXPECT_EQ(made.task->targets_in(batch), 9);
  EXPECT_NEAR(in_parts.sum.item<double>(), whole.sum.item<double>(), 1e-4);
}

// An answer depends on its own source alone, beams or not, and is the one that all logits give.
TEST(Seq2Seq, AnswersAreThoseOfEachSourceAlone) {
  const Made made("{max_new_tokens: 6}");
  const auto pipeline = Pipeline::create(made.folder.path(), made.tokenizer, made.task, 1);
  const std::vector<Prompt> prompts = prompts_of(samples_of(made, false));
  for (const int64_t beams : {1, 3}) {
    GenerationSettings settings = *made.task->generation();
    settings.tokens.num_beams = beams;
    const auto answer = [&](const std::vector<Prompt>& asked, int64_t room) {
      return write_answers(pipeline->network(), *made.tokenizer, settings, asked,
                           {.max_tokens = room});
    };
    const std::vector<Generated> together = answer(prompts, 2048), tight = answer(prompts, 6);
    for (size_t i = 0; i < prompts.size(); ++i) {
      ASSERT_FALSE(together[i].failure) << together[i].failure->what();
      EXPECT_EQ(together[i].ids, answer({prompts[i]}, 2048).front().ids) << beams;
      EXPECT_EQ(together[i].ids, tight[i].ids) << beams;
    }
  }
}

TEST(Seq2Seq, GreedyTokensAreTheLikeliestOfAllLogits) {
  const c10::AutoGradMode no_grad(false);
  const Made made("{max_new_tokens: 5}");
  const auto pipeline = Pipeline::create(made.folder.path(), made.tokenizer, made.task, 1);
  Sample sample = made.sample(pair("w0 w1 w2", "w3"), false);
  const Generated answer = write_answers(pipeline->network(), *made.tokenizer,
                                         *made.task->generation(), prompts_of({&sample, 1}))
                               .front();
  Sequence& read = sample.streams[1];
  for (const int32_t token : answer.ids) {
    const at::Tensor logits = pipeline->network().forward(collate({sample}, {0}, 0))[0];
    EXPECT_EQ(logits[-1].argmax().item<int64_t>(), token);
    read.ids.push_back(token);
    read.segments.push_back(0), read.texts.push_back(0), read.words.push_back(-1);
    read.offsets.push_back({0, 0});
  }
}

TEST(Seq2Seq, IsTheSameOnceItIsSavedAndLoaded) {
  for (const char* family : {"marian", "t5", "bart"}) {
    const Made made("{max_new_tokens: 6, num_beams: 2}", {.family = family});
    const auto pipeline = Pipeline::create(made.folder.path(), made.tokenizer, made.task, 1);
    const TemporaryFolder saved;
    pipeline->save(saved / "model");
    const auto loaded = Pipeline::load(saved / "model");
    EXPECT_EQ(loaded->task().state(), pipeline->task().state());
    const std::vector<Record> records = {pair("w0 w1 w2", "w3"), pair("w7", "w8")};
    EXPECT_EQ(loaded->predict(records), pipeline->predict(records)) << family;
    const StateDict weights = load_state_dict(saved / "model");
    EXPECT_EQ(weights.contains("shared.weight"), std::string(family) == "t5");
    EXPECT_EQ(weights.contains("model.shared.weight"), std::string(family) != "t5");
    const Json config = read_json(saved / "model/config.json", ErrorKind::kModel);
    EXPECT_EQ(config["decoder_start_token_id"], kStartId);
    const Json generation = read_json(saved / "model/generation_config.json", ErrorKind::kModel);
    EXPECT_EQ(generation["decoder_start_token_id"], kStartId);
  }
}

TEST(Seq2Seq, StopsAtWordsOfTheTargetsOwnVocabulary) {
  const TemporaryFolder target;
  testing_support::write_tiny_bert(target.path());
  const auto answer = [&](const std::string& more) {
    const Made made(
        fmt::format("{{target_tokenizer: {}, max_new_tokens: 8{}}}", target.path(), more),
        kSeparate);
    const auto pipeline = Pipeline::create(made.folder.path(), made.tokenizer, made.task, 1);
    return pipeline->predict({pair("w0 w1 w2", "word1")}).at(0);
  };
  const std::string text = answer("").at("target");
  const std::string last = text.substr(text.rfind(' ') + 1);
  ASSERT_THAT(last, StartsWith("word"));
  const Json stopped = answer(fmt::format(", stop_strings: [\"{}\"]", last));
  EXPECT_EQ(stopped["finish_reason"], "stop");
  EXPECT_EQ(stopped["target"], text.substr(0, text.find(last)));
}

TEST(Seq2Seq, ATargetsOwnTokenizerIsSavedBesideTheModel) {
  const TemporaryFolder saved;
  const std::vector<Record> records = {pair("w0 w1 w2", "word3"), pair("w7", "word8 word9")};
  std::vector<Json> answers;
  {
    const TemporaryFolder target;
    testing_support::write_tiny_bert(target.path());
    const Made made(fmt::format("{{target_tokenizer: {}, max_new_tokens: 6}}", target.path()),
                    kSeparate);
    const auto pipeline = Pipeline::create(made.folder.path(), made.tokenizer, made.task, 1);
    answers = pipeline->predict(records);
    pipeline->save(saved / "model");
  }
  const auto loaded = Pipeline::load(saved / "model");
  EXPECT_EQ(loaded->predict(records), answers);
  EXPECT_THAT(loaded->task().encode(records[0], loaded->tokenizer(), true)[0].targets[0].values,
              ElementsAre(2, 8, 3));  // [CLS] word3 [SEP]
}

TEST(Seq2Seq, BeginsAtRandomWhereNoWeightsAreAsked) {
  const Made made;
  std::filesystem::remove(made.folder / "model.safetensors");
  const auto begun = [&](uint64_t seed) {
    const auto pipeline = Pipeline::create(made.folder.path(), made.tokenizer, made.task, seed, {},
                                           {}, {.at_random = true});
    return pipeline->network().backbone().word_table().detach().clone();
  };
  EXPECT_TRUE(begun(1).equal(begun(1)));
  EXPECT_FALSE(begun(1).equal(begun(2)));
  EXPECT_GT(begun(1).std().item<double>(), 0.1);  // init_std is 0.2
}

TEST(Seq2SeqScores, AreOfTextsAndOfGoldTokens) {
  Config section = Config::parse("{metrics: [exact_match]}", "test.yaml");
  const auto scorer = make_scorer(Options::read(section, 32), 45);
  scorer->add(pair("w0", "w1"), {{"tokens", 2}, {"loss", 1.0}, {"target", "w1"}});
  scorer->add(pair("w0", Json::array({"w1", "w2"})),
              {{"tokens", 2}, {"loss", 3.0}, {"target", "w2"}});
  scorer->add(pair("w0", "w1"), {{"tokens", 4}, {"loss", 2.0}});
  const Report report = scorer->report();
  EXPECT_EQ(report.metric, "exact_match");
  EXPECT_EQ(report.n, 3);
  EXPECT_THAT(error_of([&] { scorer->add(pair("w0", "w1"), {{"target", 7}}); }),
              HasSubstr("must be a text"));
}

// Four characters of twelve are in no reference; the two sentences that are it can be copied.
TEST(Seq2SeqScores, OfChineseSummariesStandBesideLeadAndOracle) {
  Config section = Config::parse("{goal: summarization}", "test.yaml");
  const auto scorer = make_scorer(Options::read(section, 32), 45);
  scorer->add(pair("小狗跑了。天气很好。小猫坐下。", "小狗跑了。小猫坐下。"),
              {{"target", "小狗跑了。"}});
  const Report report = scorer->report();
  EXPECT_EQ(report.metric, "rougeL");
  EXPECT_DOUBLE_EQ(*report.named("rouge1").baseline, 0.8);
  const auto copied = std::find_if(report.sections.begin(), report.sections.end(),
                                   [](const Section& one) { return one.key == "extraction"; });
  ASSERT_NE(copied, report.sections.end());
  EXPECT_EQ(std::get<PlainTable>(copied->content).rows.front(), (std::vector<Json>{"rouge1", 1.0}));
}

// Rules would end the first one behind "ran.".
TEST(Seq2SeqScores, TakeTheSentencesOfAListAsTheDataPartThem) {
  Config section =
      Config::parse("{goal: summarization, lead_sentences: 1, oracle_sentences: 1}", "test.yaml");
  const auto scorer = make_scorer(Options::read(section, 32), 45);
  scorer->add(pair(Json::array({"A dog ran. It was brown.", " ", "A cat sat."}),
                   "A dog ran. It was brown."),
              {{"target", "A dog."}});
  const Report report = scorer->report();
  EXPECT_DOUBLE_EQ(*report.named("rouge1").baseline, 1);
  const auto copied = std::find_if(report.sections.begin(), report.sections.end(),
                                   [](const Section& one) { return one.key == "extraction"; });
  ASSERT_NE(copied, report.sections.end());
  EXPECT_EQ(std::get<PlainTable>(copied->content).rows.front(), (std::vector<Json>{"rouge1", 1.0}));
}

}  // namespace
}  // namespace hone::seq2seq
