#include "tasks/heads.h"

#include <gtest/gtest.h>

#include "support/temporary_folder.h"
#include "support/tiny_model.h"

namespace hone {
namespace {

using testing_support::TemporaryFolder;

// Two samples of a model whose head alone drops anything.
class HeadsTest : public testing::Test {
 protected:
  HeadsTest() {
    testing_support::write_tiny_bert(folder_ / "bert", {.dropout = 0});
    config_ = ModelConfig::load(folder_ / "bert");
    config_.sentence_head.dropout = config_.token_head.dropout = 0.5;
    Sample sample;
    sample.streams.resize(1);
    sample.streams[0].ids = {2, 7, 8, 3};
    sample.streams[0].segments = {0, 0, 0, 0};
    batch_ = collate({sample, sample}, {3, 4}, 11);
  }

  at::Tensor logits(const std::shared_ptr<Head>& head, uint32_t pass) {
    const auto backbone = make_backbone(config_);
    backbone->initialise(1);
    head->initialise(2);
    Network network(backbone, head);
    network.train();
    batch_.streams[0].pass = pass;
    return network.forward(batch_);
  }

  TemporaryFolder folder_;
  ModelConfig config_;
  Batch batch_;
};

TEST_F(HeadsTest, AnotherPassDrawsOtherMasksAndTheSamePassTheSame) {
  for (const std::shared_ptr<Head>& head :
       {std::shared_ptr<Head>(std::make_shared<SentenceHead>(config_, 3)),
        std::shared_ptr<Head>(std::make_shared<TokenHead>(config_, config_.token_head, 3))}) {
    EXPECT_TRUE(logits(head, 1).equal(logits(head, 1)));
    EXPECT_FALSE(logits(head, 1).equal(logits(head, 0)));
    EXPECT_FALSE(logits(head, 1).equal(logits(head, 2)));
  }
}

}  // namespace
}  // namespace hone
