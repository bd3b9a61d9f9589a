// Several adapters on one base model: whose answer a row gets, and what memory holds once.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "run/adapters.h"
#include "support/errors.h"
#include "support/tiny_run.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::error_of;
using testing_support::tiny_options;
using testing_support::TinyRun;

// An adapter of the tiny model, trained for a few steps.
class AdapterFolderOf {
 public:
  explicit AdapterFolderOf(const std::string& peft, const std::string& task = "classify",
                           int64_t rows = 21)
      : run_(task, {}, rows) {
    run_.peft_yaml = peft;
    TrainOptions options = tiny_options();
    options.learning_rate = 5e-2;
    run_.train(options);
    run_.pipeline().save(path());
  }
  std::string path() const { return run_.folder() + "/saved"; }

 private:
  TinyRun run_;
};

Record row(const std::string& text, const Json& adapter = nullptr, int64_t line = 1) {
  Record record{{{"text", text}}, std::make_shared<const std::string>("rows.jsonl"), line};
  if (!adapter.is_null()) record.fields["adapter"] = adapter;
  return record;
}

std::vector<Json> answers_of(const AdapterModels& models, const std::vector<Record>& rows) {
  std::vector<Json> answers;
  for (const Record& record : rows) answers.push_back(models.of(record).predict({record}).front());
  return answers;
}

const float* memory_of(const Pipeline& pipeline, const std::string& name) {
  for (const auto& [own, value] : pipeline.network().weights()) {
    if (own == name) return value.const_data_ptr<float>();
  }
  return nullptr;
}

constexpr const char* kQuery = "bert.encoder.layer.0.attention.self.query.weight";
constexpr const char* kInner = "bert.encoder.layer.1.intermediate.dense.weight";
constexpr const char* kWords = "bert.embeddings.word_embeddings.weight";

TEST(AdapterModels, EachRowIsAnsweredByTheAdapterItNames) {
  const AdapterFolderOf lora("{peft_type: lora, r: 4}"), ia3("{peft_type: ia3}", "classify", 9),
      tagger("{peft_type: lora, r: 2, use_dora: true}", "ner");
  const auto first = Pipeline::load(lora.path());
  const AdapterModels models(*first, {{"ia3", ia3.path()}, {"tagger", tagger.path()}});
  std::vector<Record> rows = {row("word1 word2"), row("word1 word2", "ia3"),
                              row("word3 word1", "ia3"), row("word2")};
  const auto alone = Pipeline::load(ia3.path());
  const std::vector<Json> answers = answers_of(models, rows);
  EXPECT_EQ(answers[0], first->predict({rows[0]}).front());
  EXPECT_EQ(answers[1], alone->predict({rows[1]}).front());
  EXPECT_EQ(answers[2], alone->predict({rows[2]}).front());
  EXPECT_EQ(answers[3], first->predict({rows[3]}).front());
  EXPECT_NE(answers[0], answers[1]);
  EXPECT_EQ(&models.of(row("", "tagger")), &models.of(row("x", "tagger")));
  EXPECT_EQ(models.of(row("", "tagger")).info().name, std::string("ner"));
  for (const char* name : {kQuery, kInner, kWords}) {
    EXPECT_EQ(memory_of(models.of(row("", "ia3")), name), memory_of(*first, name)) << name;
    EXPECT_EQ(memory_of(models.of(row("", "tagger")), name), memory_of(*first, name)) << name;
  }
}

TEST(AdapterModels, ShareWhatProductsReadInAnyPrecision) {
  for (const char* base : {"full", "int8", "nf4"}) {
    const std::string peft = std::string("{peft_type: lora, r: 4, base: ") + base + "}";
    const AdapterFolderOf one(peft), other(peft, "classify", 9);
    const auto first = Pipeline::load(one.path()), alone = Pipeline::load(other.path());
    for (const auto& pipeline : {first.get(), alone.get()})
      pipeline->network().set_precision(Precision::kBf16);
    const AdapterModels models(*first, {{"other", other.path()}});
    const Record record = row("word1 word2 word3", "other");
    EXPECT_EQ(models.of(record).predict({record}), alone->predict({record})) << base;
    EXPECT_EQ(memory_of(models.of(record), kInner), memory_of(*first, kInner)) << base;
    EXPECT_EQ(models.of(record).adapted()->base_weights, alone->adapted()->base_weights);
  }
}

TEST(AdapterModels, WhatAnAdapterTrainsInFullStaysItsOwn) {
  const AdapterFolderOf plain("{peft_type: lora, r: 4}"),
      with_query(
          "{peft_type: lora, r: 2, target_modules: [dense], modules_to_save: [query, LayerNorm]}",
          "classify", 9);
  const std::vector<Record> rows = {row("word1 word2 word3"), row("word7", "other")};
  for (const auto& [first, other] : {std::pair(&plain, &with_query), {&with_query, &plain}}) {
    const auto loaded = Pipeline::load(first->path()), alone = Pipeline::load(other->path());
    const std::vector<Json> before = loaded->predict(rows);
    const AdapterModels models(*loaded, {{"other", other->path()}});
    EXPECT_EQ(loaded->predict(rows), before);
    EXPECT_EQ(models.of(rows[1]).predict(rows), alone->predict(rows));
    EXPECT_NE(memory_of(models.of(rows[1]), kQuery), memory_of(*loaded, kQuery));
    EXPECT_EQ(memory_of(models.of(rows[1]), kWords), memory_of(*loaded, kWords));
  }
}

TEST(AdapterModels, UnknownNamesAreToldAtTheirRow) {
  const AdapterFolderOf one("{peft_type: lora, r: 4}"), other("{peft_type: ia3}");
  const auto first = Pipeline::load(one.path());
  const AdapterModels models(*first, {{"french", other.path()}});
  EXPECT_THAT(error_of([&] { models.of(row("", "frensh", 7)); }),
              AllOf(HasSubstr("rows.jsonl:7"), HasSubstr("frensh"), HasSubstr("french")));
  EXPECT_THAT(error_of([&] { models.of(row("", 3)); }), HasSubstr("\"adapter\" is 3"));
  EXPECT_EQ(&models.of(row("", nullptr)), first.get());
}

TEST(AdapterModels, RowsOfAFileAreAnsweredInTheirOrder) {
  const AdapterFolderOf one("{peft_type: lora, r: 4}"), other("{peft_type: ia3}", "classify", 9);
  const auto first = Pipeline::load(one.path());
  const AdapterModels models(*first, {{"b", other.path()}});
  const testing_support::TemporaryFolder folder;
  write_file(
      folder / "rows.jsonl",
      "{\"id\": 1, \"text\": \"word1\"}\n{\"id\": 2, \"text\": \"word1\", \"adapter\": \"b\"}\n"
      "{\"id\": 3, \"text\": \"word1\", \"adapter\": \"c\"}\n{\"id\": 4, \"text\": \"word2\"}\n");
  Reading reading;
  reading.source.path = folder / "rows.jsonl";
  std::vector<Json> lines;
  const Answered answered = answer_rows(models, reading, {}, [&](std::span<const Json> some) {
    lines.insert(lines.end(), some.begin(), some.end());
  });
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(answered.bad_rows, 1);
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i]["id"], i + 1);
  EXPECT_EQ(lines[1]["adapter"], "b");
  EXPECT_FALSE(lines[0].contains("adapter"));
  EXPECT_THAT(lines[2]["error"].get<std::string>(), HasSubstr("rows.jsonl:3"));
}

TEST(AdapterModels, RefuseWhatCannotShareTheBase) {
  const AdapterFolderOf one("{peft_type: lora, r: 4}"),
      in_bits("{peft_type: lora, r: 4, base: nf4}");
  TinyRun of_another("classify", {.hidden = 16, .layers = 2, .heads = 2, .intermediate = 32});
  of_another.peft_yaml = "{peft_type: lora, r: 4}";
  of_another.load_pipeline();
  of_another.pipeline().save(of_another.folder() + "/saved");
  const auto first = Pipeline::load(one.path());
  const auto refusal = [&](const std::vector<NamedAdapter>& others) {
    return error_of([&] { AdapterModels(*first, others); });
  };
  EXPECT_THAT(refusal({{"a", in_bits.path()}}), HasSubstr("nf4"));
  EXPECT_THAT(refusal({{"a", of_another.folder() + "/saved"}}), HasSubstr("another base model"));
  EXPECT_THAT(refusal({{"a", one.path()}, {"a", one.path()}}), HasSubstr("twice"));
  EXPECT_THAT(error_of([&] { NamedAdapter::read("nothing"); }), HasSubstr("NAME=FOLDER"));
  TinyRun plain;
  plain.load_pipeline();
  EXPECT_THAT(error_of([&] { AdapterModels(plain.pipeline(), {{"a", one.path()}}); }),
              HasSubstr("no adapter's folder"));
}

}  // namespace
}  // namespace hone
