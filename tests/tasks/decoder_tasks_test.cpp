// Tasks of encoders on decoders: what stands for a text, what is saved, and what makes no sense.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_decoder.h"
#include "tasks/encode.h"
#include "tasks/heads.h"
#include "tasks/pipeline.h"
#include "tasks/toy.h"

namespace hone {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing_support::error_of;
using testing_support::TemporaryFolder;
using testing_support::write_tiny_decoder;

std::shared_ptr<Task> task_on_decoders(const std::string& name, const std::string& options = "{}") {
  Config section = Config::parse(options, "task");
  std::shared_ptr<Task> task = task_named(name).make(section, 0);
  section.refuse_unknown();
  if (name == "classify") {
    for (const Record& record : testing_support::tiny_texts(21, "train.jsonl")) task->learn(record);
    task->finish_learning();
  }
  return task;
}

std::unique_ptr<Pipeline> pipeline_on(const std::string& folder,
                                      const std::string& task = "classify",
                                      const std::string& options = "{}") {
  return Pipeline::create(folder, Tokenizer::load(folder), task_on_decoders(task, options), 1);
}

Batch two_texts() {
  std::vector<Sample> samples;
  for (const auto& ids : std::vector<std::vector<int32_t>>{{2, 7, 8, 9}, {11, 12}}) {
    const std::vector<int32_t> zeros(ids.size(), 0);
    Sample& sample = samples.emplace_back();
    sample.streams.push_back({ids, zeros, zeros, zeros, std::vector<Span>(ids.size())});
  }
  return collate(samples, {0, 1}, 0);
}

TEST(DecoderTasks, ATextIsItsLastToken) {
  const TemporaryFolder folder;
  for (const char* model_type : {"gpt2", "llama"}) {
    write_tiny_decoder(folder / model_type, model_type);
    const auto pipeline = pipeline_on(folder / model_type);
    const c10::AutoGradMode no_grad(false);
    const Batch batch = two_texts();
    const at::Tensor hidden = pipeline->network().backbone().forward(batch.streams),
                     logits = pipeline->network().forward(batch);
    at::Tensor score;
    for (const auto& [name, weight] : pipeline->network().weights()) {
      if (name == "score.weight") score = weight;
      EXPECT_NE(name, "score.bias") << model_type;
    }
    const at::Tensor expected = at::mm(hidden.index_select(0, at::tensor({3, 5})), score.t());
    EXPECT_LT((logits - expected).abs().max().item<float>(), 1e-6) << model_type;
  }
}

TEST(DecoderTasks, ASavedGpt2HasTheFormOfItsCheckpointsAndAnswersAlike) {
  const TemporaryFolder folder;
  write_tiny_decoder(folder / "base", "gpt2");
  const auto pipeline = pipeline_on(folder / "base");
  pipeline->save(folder / "saved");
  const StateDict base = load_state_dict(folder / "base"),
                  saved = load_state_dict(folder / "saved");
  const char* product = "transformer.h.0.mlp.c_fc.weight";
  EXPECT_EQ(saved.at(product).sizes(), at::IntArrayRef({16, 64}));
  EXPECT_TRUE(saved.at(product).equal(base.at(product)));
  const c10::AutoGradMode no_grad(false);
  const auto again = Pipeline::load(folder / "saved");
  const at::Tensor before = pipeline->network().forward(two_texts()),
                   after = again->network().forward(two_texts());
  EXPECT_TRUE(before.equal(after));
}

// ---- a tied output that a checkpoint holds too

class TiedOutput : public testing::Test {
 protected:
  TiedOutput() { write_tiny_decoder(folder_ / "model"); }

  // The message of beginning from a folder whose weights were edited, and what was told.
  template <typename Edit>
  std::string begin_after(const Edit& edit) {
    const std::string path = folder_ / "model/model.safetensors";
    StateDict weights;
    for (const auto& [name, weight] : read_safetensors(path)) weights[name] = weight.clone();
    edit(weights);
    write_safetensors(path, weights);
    testing::internal::CaptureStderr();
    const std::string error = error_of([&] { table_ = table_of(*pipeline_on(folder_ / "model")); });
    told_ = testing::internal::GetCapturedStderr();
    return error;
  }
  static at::Tensor table_of(Pipeline& pipeline) {
    return pipeline.network().backbone().word_table().detach().clone();
  }

  static constexpr const char *kTable = "model.embed_tokens.weight", *kOut = "lm_head.weight";
  TemporaryFolder folder_;
  std::string told_;
  at::Tensor table_;
};

TEST_F(TiedOutput, MayStandBesideTheTableIfItIsTheSame) {
  EXPECT_EQ(begin_after([](StateDict& weights) { weights[kOut] = weights[kTable].clone(); }),
            "no error");
  EXPECT_THAT(told_, testing::Not(HasSubstr(kOut)));
}

TEST_F(TiedOutput, MayStandInTheTablesPlace) {
  at::Tensor table;
  EXPECT_EQ(begin_after([&](StateDict& weights) {
              table = weights[kOut] = weights[kTable];
              weights.erase(kTable);
            }),
            "no error");
  EXPECT_TRUE(table_.equal(table));
}

TEST_F(TiedOutput, IsRefusedWhereItIsAnother) {
  EXPECT_THAT(begin_after([](StateDict& weights) { weights[kOut] = weights[kTable] + 1; }),
              AllOf(HasSubstr("\"lm_head.weight\" and \"model.embed_tokens.weight\" differ"),
                    HasSubstr("set \"tie_word_embeddings\" to false")));
}

// ---- what makes no sense

TEST(DecoderTasks, RefuseWhatACausalModelCannotDo) {
  const TemporaryFolder folder;
  write_tiny_decoder(folder / "llama");
  const auto error = [&](const std::string& task, const std::string& options) {
    return error_of([&] { pipeline_on(folder / "llama", task, options); });
  };
  EXPECT_THAT(error("embedding", "{pooling: cls}"),
              AllOf(HasSubstr("first token"), HasSubstr("(llama)"), HasSubstr("\"mean\"")));
  EXPECT_EQ(error("embedding", "{}"), "no error");
  EXPECT_THAT(error("qa", "{}"), HasSubstr("family llama"));
  EXPECT_THAT(error("mlm", "{}"), HasSubstr("family llama have no head for masked words"));
}

// GPT-2's tokenizer adds no tokens of its own.
class BareTokenizer : public toy::ToyTokenizer {
 public:
  Sequence post_process(const Encoding& first, const Encoding* /*second*/) const override {
    Sequence bare;
    for (size_t i = 0; i < first.ids.size(); ++i) {
      bare.ids.push_back(first.ids[i]);
      bare.words.push_back(first.words[i]);
      bare.offsets.push_back(first.offsets[i]);
    }
    bare.segments = bare.texts = std::vector<int32_t>(bare.ids.size(), 0);
    return bare;
  }
  int64_t special_tokens_added(bool /*is_pair*/) const override { return 0; }
};

TEST(DecoderTasks, ATextWithoutTokensIsNamedAndFailsNoOther) {
  const auto task = task_on_decoders("classify");
  const std::vector<Record> records = {toy::record(R"({"text": "word1", "label": "b"})"),
                                       toy::record(R"({"text": "", "label": "a"})")};
  const auto encoded = encode_records(records, *task, BareTokenizer(), true);
  EXPECT_FALSE(encoded[0].failure);
  ASSERT_TRUE(encoded[1].failure);
  EXPECT_EQ(encoded[1].failure->kind(), ErrorKind::kData);
  EXPECT_THAT(encoded[1].failure->what(), HasSubstr("has no tokens: the text is empty"));
}

}  // namespace
}  // namespace hone
