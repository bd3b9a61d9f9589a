// Adapters of encoder-decoders, trained here, become plain models.
#include "run/merge.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "models/layers/initialise.h"
#include "support/errors.h"
#include "support/temporary_folder.h"
#include "support/tiny_encoder_decoder.h"
#include "support/tiny_run.h"
#include "tasks/peft_folder.h"
#include "tasks/pipeline.h"
#include "tasks/seq2seq/seq2seq.h"

namespace hone {
namespace {

using testing_support::TemporaryFolder;

class MergedEncoderDecoder : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Families, MergedEncoderDecoder, testing::Values("t5", "bart", "marian"));

std::shared_ptr<Task> taught_task(const std::string& folder, const Tokenizer& tokenizer) {
  Config section = Config::parse("{max_new_tokens: 6}", "task");
  std::shared_ptr<Task> task = seq2seq::kInfo.make(section, 32);
  task->begin_from(folder, /*has_length=*/true);
  const Record pair{{{"source", "word1 word2"}, {"target", "word3"}}, nullptr};
  task->learn(pair);
  task->learn_tokens(pair, tokenizer);
  task->finish_learning();
  return task;
}

PeftOptions low_rank(const std::string& base) {
  Config section = Config::parse("{peft_type: lora, r: 2}", "peft");
  PeftOptions options = PeftOptions::read(section);
  options.base = base;
  return options;
}

// With a fresh adapter.
std::unique_ptr<Pipeline> adapted_model(const std::string& base, const std::string& family) {
  testing_support::write_tiny_encoder_decoder(base, family);
  const auto tokenizer = Tokenizer::load(base);
  return Pipeline::create(base, tokenizer, taught_task(base, *tokenizer), 1, {}, low_rank(base));
}

TEST_P(MergedEncoderDecoder, AnswersAsWithTheAdapterBesideIt) {
  const TemporaryFolder folder;
  const auto adapted = adapted_model(folder / "base", GetParam());
  uint64_t seed = 0;
  for (const auto& [name, value] : adapted->network().trained_weights())
    fill_normal(value, 0.1, ++seed);  // as if trained; more makes a network that enlarges rounding
  adapted->save(folder / "adapter");
  ASSERT_TRUE(is_adapter_folder(folder / "adapter"));
  const MergeProof proof = merge_adapter(folder / "adapter", folder / "merged");
  EXPECT_EQ(proof.of, "logits");
  EXPECT_GT(proof.largest_difference, 0);
  EXPECT_LT(proof.largest_difference, 1e-4);
  const auto merged = Pipeline::load(folder / "merged");
  EXPECT_FALSE(merged->adapted());
  const std::vector<Record> rows = {{{{"source", "word1 word2 word9"}}, nullptr},
                                    {{{"source", "word7"}}, nullptr}};
  EXPECT_EQ(merged->predict(rows), adapted->predict(rows));
}

TEST(Merged, AHeadOfSeveralOutputsIsProven) {
  testing_support::TinyRun run("ner");
  run.task_yaml = "{crf: true}";
  run.peft_yaml = "{peft_type: lora, r: 2}";
  run.load_pipeline();
  uint64_t seed = 0;
  for (const auto& [name, value] : run.pipeline().network().trained_weights())
    fill_normal(value, 0.3, ++seed);
  run.pipeline().save(run.folder() + "/adapter");
  const MergeProof proof = merge_adapter(run.folder() + "/adapter", run.folder() + "/merged");
  EXPECT_EQ(proof.of, "logits");
  EXPECT_GT(proof.largest_difference, 0);
}

// Nothing differs from what is no number.
TEST(Merged, AModelWhoseOutputsAreNoNumbersIsNotWritten) {
  const TemporaryFolder folder;
  const auto adapted = adapted_model(folder / "base", "t5");
  for (const auto& [name, value] : adapted->network().trained_weights())
    value.detach().fill_(1e30);  // finite, and what is made of it is not
  adapted->save(folder / "adapter");
  EXPECT_THAT(
      testing_support::error_of([&] { merge_adapter(folder / "adapter", folder / "merged"); }),
      ::testing::HasSubstr("are nan or infinite"));
  EXPECT_FALSE(std::filesystem::exists(folder / "merged"));
}

}  // namespace
}  // namespace hone
