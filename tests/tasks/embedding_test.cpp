#include "tasks/embedding/embedding.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "tasks/embedding/head.h"
#include "tasks/embedding/losses.h"
#include "tasks/embedding/sentence_folder.h"
#include "tasks/toy.h"

namespace hone::embedding {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::error_of;
using toy::record;

std::unique_ptr<Task> make(const std::string& yaml = "{}", int64_t longest = 64) {
  Config config = Config::parse(yaml, "run.yaml");
  auto task = kInfo.make(config, longest);
  config.refuse_unknown();
  return task;
}

std::unique_ptr<Task> trained(const std::string& yaml, const std::vector<const char*>& rows) {
  auto task = make(yaml);
  for (const char* row : rows) task->learn(record(row));
  task->finish_learning();
  return task;
}

Options options_of(const std::string& yaml) {
  Config config = Config::parse(yaml, "run.yaml");
  return Options::read(config, 64);
}

constexpr const char* kPair = R"({"anchor": "a", "positive": "b"})";
constexpr const char* kOtherPair = R"({"anchor": "c", "positive": "d"})";

// ---- rows

TEST(EmbeddingRows, TakeNegativesFromTextsListsAndSeveralFields) {
  const Options options = options_of("{negative: [n, m]}");
  const auto negatives = [&](const char* row) {
    return texts_of(record(row), options, true).negatives;
  };
  using List = std::vector<std::string>;
  EXPECT_EQ(negatives(R"({"anchor": "a", "positive": "b"})"), List{});
  EXPECT_EQ(negatives(R"({"anchor": "a", "positive": "b", "n": "x"})"), List{"x"});
  EXPECT_EQ(negatives(R"({"anchor": "a", "positive": "b", "n": ["x", "y"], "m": "z"})"),
            (List{"x", "y", "z"}));
  EXPECT_EQ(negatives(R"({"anchor": "a", "positive": "b", "n": "", "m": null})"), List{});
}

TEST(EmbeddingRows, LeaveOutNegativesThatAreNoneAndSaySo) {
  const Texts texts =
      texts_of(record(R"({"anchor": "a", "positive": "b", "negative": ["b", "x", "x", "a", "y"]})"),
               options_of("{max_negatives: 1}"), true);
  EXPECT_EQ(texts.negatives, std::vector<std::string>{"x"});
  EXPECT_THAT(texts.repair,
              AllOf(HasSubstr("is the positive itself"), HasSubstr("is the anchor itself"),
                    HasSubstr("1 negatives are as others before them, and count once"),
                    HasSubstr("of 2 negatives the first 1 are used")));
}

TEST(EmbeddingRows, SayWhatIsWrong) {
  const auto error = [](const char* yaml, const char* row) {
    return error_of([&] { make(yaml)->learn(record(row, 7)); });
  };
  EXPECT_THAT(error("{}", R"({"anchor": "a", "positve": "b"})"),
              AllOf(StartsWith("data.jsonl:7: the row has no field \"positive\""),
                    HasSubstr("did you mean \"positve\"?")));
  EXPECT_THAT(error("{}", R"({"anchor": 3, "positive": "b"})"), HasSubstr("must be a text"));
  EXPECT_THAT(error("{}", R"({"anchor": "a", "positive": "b", "negative": [1]})"),
              HasSubstr("\"negative\" must be a list of strings, but entry 1 is 1"));
  EXPECT_THAT(error("{loss: triplet}", kPair), HasSubstr("no text that could be a negative"));
  EXPECT_THAT(error("{loss: cosine}", kPair), HasSubstr("no field \"score\""));
  EXPECT_THAT(error("{loss: cosine}", R"({"anchor": "a", "positive": "b", "score": 4.5})"),
              AllOf(HasSubstr("\"score\" is 4.5, but no cosine reaches beyond 1"),
                    HasSubstr("task.max_score")));
  EXPECT_THAT(error("{loss: cosent}", R"({"anchor": "a", "positive": "b", "score": "nan"})"),
              HasSubstr("\"score\" must be a number, but is \"nan\""));
  EXPECT_THAT(error("{loss: contrastive}", R"({"anchor": "a", "positive": "b", "label": 2})"),
              HasSubstr("\"label\" must be 1 (the texts belong together) or 0, but is 2"));
}

TEST(EmbeddingRows, TakeScoresAndLabelsWrittenAsText) {
  EXPECT_EQ(need_score(record(R"({"score": " 2.5"})"), options_of("{max_score: 5}")), 2.5);
  EXPECT_TRUE(need_label(record(R"({"label": "1"})"), {}));
  EXPECT_FALSE(need_label(record(R"({"label": false})"), {}));
}

// ---- what cannot train

TEST(Embedding, RefusesDataThatTeachNothing) {
  const auto error = [](const char* yaml, const std::vector<const char*>& rows) {
    return error_of([&] { trained(yaml, rows); });
  };
  EXPECT_THAT(error("{}", {kPair, kPair}), HasSubstr("one \"positive\" in all rows"));
  EXPECT_EQ(error("{}", {R"({"anchor": "a", "positive": "b", "negative": "c"})"}), "no error");
  const char* same = R"({"anchor": "a", "positive": "b", "label": 1, "score": 3})";
  EXPECT_THAT(error("{loss: contrastive}", {same, same}),
              AllOf(HasSubstr("has the label 1: there is nothing to tell apart"),
                    HasSubstr("multiple_negatives")));
  EXPECT_THAT(error("{loss: cosent, max_score: 5}", {same, same}), HasSubstr("the score 3"));
  EXPECT_THAT(error("{}", {}), HasSubstr("no row"));
}

TEST(Embedding, RefusesStepsThatTeachNothing) {
  const auto task = trained("{}", {kPair, kOtherPair});
  EXPECT_THAT(error_of([&] { task->check_step(1); }),
              HasSubstr("no other text that could be a negative"));
  EXPECT_EQ(error_of([&] { task->check_step(2); }), "no error");
  EXPECT_EQ(error_of([&] { task->check_step(0); }), "no error");
  const auto hard = trained("{}", {R"({"anchor": "a", "positive": "b", "negative": "c"})"});
  EXPECT_EQ(error_of([&] { hard->check_step(1); }), "no error");
}

TEST(Embedding, TellsOfOptionsThatItsLossDoesNotHave) {
  EXPECT_TRUE(make("{scale: 30, symmetric: true}")->idle_options().empty());
  EXPECT_THAT(make("{loss: cosine, scale: 30}")->idle_options(),
              ::testing::ElementsAre("\"scale\" has no meaning with \"loss: cosine\""));
}

// ---- samples

TEST(Embedding, EncodesEachTextAsAStreamOfItsOwn) {
  const auto task =
      trained("{}", {kPair, R"({"anchor": "a", "positive": "b", "negative": ["c", "d"]})"});
  const toy::ToyTokenizer tokenizer;
  const Sample full = task->encode(
      record(R"({"anchor": "a", "positive": "b", "negative": ["c", "d"]})"), tokenizer, true)[0];
  const Sample pair = task->encode(record(kPair), tokenizer, true)[0];
  ASSERT_EQ(full.streams.size(), 4u);
  ASSERT_EQ(pair.streams.size(), 4u);
  EXPECT_EQ(pair.streams[2].ids, (std::vector<int32_t>{1, 2}));  // no such text
  EXPECT_EQ(full.targets[0].values.size(), pair.targets[0].values.size());
  EXPECT_TRUE(pair.targets[0].is_input);  // other negatives of equal texts are no contradiction
}

TEST(Embedding, CutsEachTextAlone) {
  const auto task = trained("{max_negatives: 2}", {kPair, kOtherPair});
  bool truncated = false;
  Config config = Config::parse("{}", "run.yaml");
  const auto brief = kInfo.make(config, 5);
  brief->learn(record(kPair));
  const Sample sample =
      brief->encode(record(R"({"anchor": "one two three four", "positive": "one"})"),
                    toy::ToyTokenizer(), true, &truncated)[0];
  EXPECT_TRUE(truncated);
  EXPECT_EQ(sample.streams[0].size(), 5);
  EXPECT_EQ(sample.streams[1].size(), 3);
}

TEST(Embedding, TakesEmptyTexts) {
  const auto task = trained("{}", {kPair, kOtherPair});
  const Sample sample =
      task->encode(record(R"({"anchor": "", "positive": ""})"), toy::ToyTokenizer(), true)[0];
  EXPECT_EQ(sample.streams[0].ids, (std::vector<int32_t>{1, 2}));
}

// ---- losses

// Numbers of texts, `texts` of each sample.
at::Tensor numbered(const std::vector<int64_t>& numbers, int64_t texts) {
  return at::tensor(numbers, at::kLong).view({-1, texts});
}

// K texts of S samples, with keys by number; 0: no such text.
StepTexts step(const at::Tensor& vectors, const at::Tensor& numbers) {
  const at::Tensor keys = numbers.to(at::kFloat).unsqueeze(-1);
  return {vectors, keys.expand({-1, -1, kKeyWidth})};
}

double value(const Loss& loss) { return loss.sum.item<double>() / loss.count; }

// Texts 0 … 3 as unit vectors, turned by 40 degrees each.
at::Tensor turned(const at::Tensor& numbers) {
  const at::Tensor angle = numbers.to(at::kFloat) * 0.7;
  return at::stack({angle.cos(), angle.sin()}, -1);
}

TEST(MultipleNegatives, TellsEachPositiveFromAllOthers) {
  const at::Tensor numbers = numbered({1, 2, 3, 5}, 2);
  const Loss loss = multiple_negatives(step(turned(numbers), numbers), options_of("{scale: 2}"));
  const auto term = [](double own, double other) {
    return std::log(1 + std::exp(2 * std::cos(0.7 * other) - 2 * std::cos(0.7 * own)));
  };
  EXPECT_NEAR(value(loss), (term(1, 4) + term(2, 1)) / 2, 1e-6);
}

TEST(MultipleNegatives, OfOneSampleIsNone) {
  const at::Tensor numbers = numbered({1, 2}, 2);
  for (const char* yaml : {"{}", "{symmetric: true}"})
    EXPECT_EQ(value(multiple_negatives(step(turned(numbers), numbers), options_of(yaml))), 0);
}

TEST(MultipleNegatives, DoesNotSeeTextsThatAreNotThere) {
  const at::Tensor with = numbered({1, 2, 0, 3, 5, 4}, 3), moved = numbered({1, 2, 9, 3, 5, 4}, 3);
  const Options options = options_of("{}");
  EXPECT_EQ(value(multiple_negatives(step(turned(with), with), options)),
            value(multiple_negatives(step(turned(moved), with), options)));
  EXPECT_NE(value(multiple_negatives(step(turned(moved), with), options)),
            value(multiple_negatives(step(turned(moved), moved), options)));
}

// The loss of what is left when a text that is no negative is taken away.
TEST(MultipleNegatives, DoesNotTakeDuplicatesForNegatives) {
  const Options masked = options_of("{}"), plain = options_of("{mask_duplicates: false}");
  const auto loss = [&](std::vector<std::vector<int64_t>> rows, const Options& options) {
    std::vector<at::Tensor> list;
    for (const auto& row : rows) list.push_back(at::tensor(row, at::kLong));
    const at::Tensor numbers = at::stack(list);
    return multiple_negatives(step(turned(numbers), numbers), options).sum.item<double>();
  };
  // Two samples with one positive: each is alone.
  EXPECT_EQ(loss({{1, 2}, {3, 2}}, masked), 0);
  EXPECT_GT(loss({{1, 2}, {3, 2}}, plain), 1);
  // Two positives of one anchor: neither is a negative of the other.
  EXPECT_EQ(loss({{1, 2}, {1, 3}}, masked), 0);
  // An anchor that is another's positive is no negative of itself.
  EXPECT_NEAR(loss({{1, 2}, {3, 1}}, masked),
              std::log1p(std::exp(20 * (std::cos(0.7) - std::cos(1.4)))), 1e-4);
}

TEST(MultipleNegatives, DoesNotTakeDuplicatesForNegativesOfPositivesEither) {
  const at::Tensor numbers = numbered({1, 2, 1, 3}, 2);
  EXPECT_EQ(
      value(multiple_negatives(step(turned(numbers), numbers), options_of("{symmetric: true}"))),
      0);
}

TEST(MultipleNegatives, SmoothsOverTheCandidatesThatCount) {
  const at::Tensor three = numbered({1, 2, 3, 5, 4, 7}, 2), twice = numbered({1, 2, 3, 2, 4, 7}, 2);
  const Options options = options_of("{scale: 2}");
  const auto scores_of = [](const at::Tensor& numbers) {
    const at::Tensor vectors = turned(numbers);
    return 2 * vectors.select(1, 0).matmul(vectors.select(1, 1).t());
  };
  const double plain =
      at::cross_entropy_loss(scores_of(three), at::arange(3), {}, at::Reduction::Mean, -100, 0.2)
          .item<double>();
  EXPECT_NEAR(value(multiple_negatives(step(turned(three), three), options, 0.2)), plain, 1e-6);
  // The other sample's equal positive is no candidate: of the first two, two are left.
  const at::Tensor all = scores_of(twice);
  const at::Tensor first = all[0].index_select(0, at::tensor({0, 2})),
                   second = all[1].index_select(0, at::tensor({1, 2}));
  const auto entropy = [](const at::Tensor& of, int64_t own) {
    return at::cross_entropy_loss(of.unsqueeze(0), at::full({1}, own, at::kLong), {},
                                  at::Reduction::Sum, -100, 0.2)
        .item<double>();
  };
  EXPECT_NEAR(multiple_negatives(step(turned(twice), twice), options, 0.2).sum.item<double>(),
              entropy(first, 0) + entropy(second, 0) + entropy(all[2], 2), 1e-5);
}

TEST(Triplet, CountsTheNegativesThatAreThere) {
  const at::Tensor numbers = numbered({1, 2, 3, 4, 5, 0}, 3);
  const Loss loss = triplet(step(turned(numbers), numbers), options_of("{margin: 1}"));
  EXPECT_EQ(loss.count, 1);
  EXPECT_NEAR(value(loss), 1 + (1 - std::cos(0.7)) - (1 - std::cos(1.4)), 1e-6);
}

TEST(Cosent, ComparesPairsOfDifferentScoresAlone) {
  const at::Tensor numbers = numbered({1, 2, 1, 3, 1, 4}, 2);
  const StepTexts texts = step(turned(numbers), numbers);
  const Options options = options_of("{scale: 1}");
  EXPECT_EQ(value(cosent(texts, at::tensor({1.0F, 1.0F, 1.0F}), options)), 0);
  const auto excess = [](double low, double high) {
    return std::exp(std::cos(0.7 * low) - std::cos(0.7 * high));
  };
  EXPECT_NEAR(value(cosent(texts, at::tensor({0.9F, 0.9F, 0.1F}), options)),
              std::log(1 + excess(3, 1) + excess(3, 2)), 1e-6);
}

TEST(Vectors, OfNoLengthHaveFiniteLossesAndGradients) {
  const at::Tensor numbers = numbered({1, 2, 3, 5}, 2);
  for (const char* yaml : {"{}", "{loss: cosine}", "{loss: contrastive}",
                           "{loss: contrastive, distance: euclidean}"}) {
    const at::Tensor vectors = at::zeros({2, 2, 3}).requires_grad_();
    const StepTexts texts = step(vectors, numbers);
    const Options options = options_of(yaml);
    const at::Tensor gold = at::tensor({1.0F, 0.0F});
    const Loss loss = options.loss == Objective::kCosine ? cosine(texts, gold)
                      : options.loss == Objective::kContrastive
                          ? contrastive(texts, gold, options)
                          : multiple_negatives(texts, options);
    loss.sum.backward();
    EXPECT_TRUE(std::isfinite(loss.sum.item<double>())) << yaml;
    EXPECT_LT(vectors.grad().abs().max().item<double>(), 10) << yaml;
  }
}

// ---- scores

Report scored(const std::string& yaml,
              const std::vector<std::pair<const char*, const char*>>& rows) {
  Config config = Config::parse(yaml, "test");
  const auto scorer = kInfo.make(config, 0)->make_scorer();
  int64_t line = 0;
  for (const auto& [gold, result] : rows) scorer->add(record(gold, ++line), Json::parse(result));
  return scorer->report();
}

TEST(EmbeddingScores, SearchEachAnchorsTextsAmongAll) {
  const Report report = scored(
      "{k: 2}", {{R"({"anchor": "a", "positive": "p"})", R"({"embeddings": [[1, 0], [1, 0.1]]})"},
                 {R"({"anchor": "b", "positive": "q", "negative": "r"})",
                  R"({"embeddings": [[0, 1], [1, 0.5], [0.1, 1]]})"}});
  EXPECT_EQ(report.metric, "ndcg@2");
  EXPECT_EQ(report.n, 2);
  EXPECT_DOUBLE_EQ(report.value("accuracy@1"), 0.5);  // r is nearer to b than q
  EXPECT_DOUBLE_EQ(report.value("mrr@2"), 0.75);
  EXPECT_DOUBLE_EQ(report.value("recall@2"), 1);
  EXPECT_EQ(report.baseline, "texts in random order");
  EXPECT_NEAR(report.named("recall@2").baseline.value(), 2.0 / 3, 1e-12);
}

TEST(EmbeddingScores, TakeAnchorsOfOneTextForOneQuery) {
  const Report report = scored(
      "{}", {{R"({"anchor": "a", "positive": "p"})", R"({"embeddings": [[1, 0], [1, 0]]})"},
             {R"({"anchor": "a", "positive": "q"})", R"({"embeddings": [[1, 0], [1, 0.1]]})"}});
  EXPECT_DOUBLE_EQ(report.value("recall@10"), 1);
  EXPECT_DOUBLE_EQ(report.value("ndcg@10"), 1);
}

TEST(EmbeddingScores, GoByWhatTheFirstRowHas) {
  const Report by_score =
      scored("{}", {{R"({"anchor": "a", "positive": "p", "score": 0.2})", R"({"score": 0.1})"},
                    {R"({"anchor": "a", "positive": "q", "score": 0.9})", R"({"score": 0.7})"}});
  EXPECT_EQ(by_score.metric, "spearman");
  EXPECT_DOUBLE_EQ(by_score.score, 1);
  const Report by_label =
      scored("{loss: contrastive}",
             {{R"({"anchor": "a", "positive": "p", "label": 1})", R"({"score": 0.1})"},
              {R"({"anchor": "a", "positive": "q", "label": 0})", R"({"score": 0.7})"}});
  EXPECT_EQ(by_label.metric, "average_precision");
  EXPECT_DOUBLE_EQ(by_label.score, 0.5);
}

TEST(EmbeddingScores, RefuseRowsAndResultsThatDoNotFit) {
  const auto error = [](const char* first, const char* gold, const char* result) {
    return error_of([&] {
      scored("{}", {{first, R"({"score": 1, "embeddings": [[1], [2]]})"}, {gold, result}});
    });
  };
  const char* scores = R"({"anchor": "a", "positive": "p", "score": 1})";
  EXPECT_THAT(error(scores, kPair, R"({"score": 1})"),
              StartsWith("data.jsonl:2: the row has no field \"score\""));
  EXPECT_THAT(error(scores, scores, R"({"score": "x"})"), HasSubstr("must be a number"));
  EXPECT_THAT(error(kPair, kPair, R"({"score": 1})"), HasSubstr("no field \"embeddings\""));
  EXPECT_THAT(error(kPair, kPair, R"({"embeddings": [[1, 2], [3, 4]]})"),
              HasSubstr("has 2 numbers, those before have 1"));
  EXPECT_THAT(error(kPair, kPair, R"({"embeddings": [[1]]})"), HasSubstr("one for each text"));
  EXPECT_THAT(error(kPair, kPair, R"({"embeddings": [[1], [null]]})"),
              HasSubstr("has null, which is no number"));
}

// ---- folders of sentence-transformers

class SentenceFolders : public ::testing::Test {
 protected:
  void modules(const std::vector<const char*>& names) {
    Json list = Json::array();
    for (const char* name : names)
      list.push_back({{"path", list.empty() ? "" : "1_Pooling"},
                      {"type", std::string("sentence_transformers.models.") + name}});
    write("modules.json", list.dump());
  }
  void write(const std::string& name, const std::string& text) {
    const std::string path = folder_ / name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    write_file(path, text);
  }
  std::string error() {
    return error_of([&] { read_sentence_folder(folder_.path()); });
  }
  testing_support::TemporaryFolder folder_;
};

TEST_F(SentenceFolders, AreReadAsTheyAreWritten) {
  for (const Pooling pooling : {Pooling::kMean, Pooling::kFirst, Pooling::kMax}) {
    for (const bool is_unit : {true, false}) {
      write_sentence_folder({pooling, is_unit, 77}, 32, folder_.path());
      const SentenceFolder found = read_sentence_folder(folder_.path());
      EXPECT_EQ(found.pooling, pooling);
      EXPECT_EQ(found.is_unit, is_unit);
      EXPECT_EQ(found.max_seq_length, 77);
    }
  }
}

TEST_F(SentenceFolders, SayNothingWhereThereAreNone) {
  EXPECT_FALSE(read_sentence_folder(folder_.path()).pooling);
}

TEST_F(SentenceFolders, AreReadInTheirNewForm) {
  write("modules.json",
        R"([{"path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
            {"path": "1_Pooling",
             "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"}])");
  write("1_Pooling/config.json", R"({"embedding_dimension": 32, "pooling_mode": "cls"})");
  EXPECT_EQ(read_sentence_folder(folder_.path()).pooling, Pooling::kFirst);
}

TEST_F(SentenceFolders, WithWhatHoneDoesNotHaveAreRefusedByName) {
  modules({"Transformer", "Pooling", "LSTM"});
  EXPECT_THAT(error(), HasSubstr("module 2 is \"LSTM\""));
  modules({"Transformer", "Dense"});
  EXPECT_THAT(error(), HasSubstr("module 1 is \"Dense\""));
  modules({"Transformer", "Pooling", "Normalize", "Dense"});
  EXPECT_THAT(error(), HasSubstr("module 3 is \"Dense\""));
  modules({"CLIPModel"});
  EXPECT_THAT(error(), HasSubstr("module 0 is \"CLIPModel\""));
  modules({"Transformer"});
  EXPECT_THAT(error(), HasSubstr("names no Pooling"));
  modules({"Transformer", "Pooling"});
  EXPECT_THAT(error(), HasSubstr("no such file, but modules.json names it"));
  write("1_Pooling/config.json",
        R"({"pooling_mode_mean_tokens": true, "pooling_mode_lasttoken": true})");
  EXPECT_THAT(error(), HasSubstr("pools by mean, lasttoken"));
  write("1_Pooling/config.json", R"({"pooling_mode_mean_tokens": true})");
  EXPECT_EQ(error(), "no error");
  write("sentence_bert_config.json", R"({"do_lower_case": true})");
  EXPECT_THAT(error(), HasSubstr("\"do_lower_case\" is true"));
  write("sentence_bert_config.json", R"({"max_seq_length": "long"})");
  EXPECT_THAT(error(), HasSubstr("must be a whole number above 0"));
  write("sentence_bert_config.json", "{}");
  write("config_sentence_transformers.json", R"({"default_prompt_name": "query"})");
  EXPECT_THAT(error(), HasSubstr("puts the prompt \"query\" before every text"));
  write("modules.json", "{}");
  EXPECT_THAT(error(), HasSubstr("must be a list of modules"));
}

TEST_F(SentenceFolders, NameNoFilesElsewhere) {
  const std::string inner = folder_ / "model";
  write("1_Pooling/config.json", R"({"pooling_mode_mean_tokens": true})");
  for (const std::string& place :
       {std::string("../1_Pooling"), std::string("a/../../1_Pooling"), folder_ / "1_Pooling"}) {
    const Json list = {{{"path", ""}, {"type", "sentence_transformers.models.Transformer"}},
                       {{"path", place}, {"type", "sentence_transformers.models.Pooling"}}};
    write("model/modules.json", list.dump());
    EXPECT_THAT(error_of([&] { read_sentence_folder(inner); }),
                AllOf(HasSubstr("modules.json"), HasSubstr("a folder beside this file, not")))
        << place;
  }
}

TEST_F(SentenceFolders, MayHaveALayerBehindThePooling) {
  const Dense layer{"identity", at::rand({5, 32}), at::rand({5})};
  for (const bool is_unit : {true, false}) {
    write_sentence_folder({Pooling::kMean, is_unit, 77, layer}, 32, folder_.path());
    const SentenceFolder found = read_sentence_folder(folder_.path());
    ASSERT_TRUE(found.dense);
    EXPECT_EQ(found.is_unit, is_unit);
    EXPECT_EQ(found.dense->activation, "identity");
    EXPECT_TRUE(at::equal(found.dense->weight, layer.weight));
    EXPECT_TRUE(at::equal(found.dense->bias, layer.bias));
  }
  const auto changed = [&](const char* key, const Json& value) {
    Json config = read_json(folder_ / "2_Dense/config.json", ErrorKind::kModel);
    config[key] = value;
    write("2_Dense/config.json", config.dump());
    return error();
  };
  EXPECT_THAT(changed("activation_function", "torch.nn.modules.activation.ReLU"),
              HasSubstr("hone has Tanh and Identity"));
  changed("activation_function", "torch.nn.modules.activation.Tanh");
  EXPECT_THAT(changed("module_input_name", "token_embeddings"), HasSubstr("\"module_input_name\""));
  changed("module_input_name", "sentence_embedding");
  write_safetensors(folder_ / "2_Dense/model.safetensors", {{"linear.bias", at::rand({5})}});
  EXPECT_THAT(error(), HasSubstr("no matrix \"linear.weight\""));
  std::filesystem::remove(folder_ / "2_Dense/model.safetensors");
  EXPECT_THAT(error(), HasSubstr("pytorch_model.bin"));
}

TEST_F(SentenceFolders, DecideWhatTheConfigurationLeavesOpen) {
  write_sentence_folder({Pooling::kFirst, false, 40}, 32, folder_.path());
  const auto begun = [&](const char* yaml, bool has_length) {
    auto task = make(yaml);
    task->begin_from(folder_.path(), has_length);
    return task->state()["options"];
  };
  EXPECT_EQ(begun("{}", false)["pooling"], "cls");
  EXPECT_EQ(begun("{}", false)["normalize"], "false");
  EXPECT_EQ(begun("{}", false)["max_seq_length"], 40);
  EXPECT_EQ(begun("{}", true)["max_seq_length"], 64);
  EXPECT_EQ(begun("{pooling: max, normalize: true}", false)["pooling"], "max");
  EXPECT_EQ(begun("{pooling: max, normalize: true}", false)["normalize"], "true");
}

}  // namespace
}  // namespace hone::embedding
