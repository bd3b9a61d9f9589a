// A search for a learning rate, of a whole configuration.
#include "run/find_lr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/errors.h"
#include "support/run_folder.h"

namespace hone {
namespace {

TEST(FindLr, IsRefusedWhereTheOptimizerSetsTheRateItself) {
  const testing_support::RunInFolder folder;
  const RunConfig config =
      folder.config("", {"train.optim=adafactor", "train.optim_args.relative_step=true"});
  EXPECT_THAT(testing_support::error_of([&] { find_lr(config, {}, nullptr); }),
              testing::AllOf(testing::HasSubstr("config.yaml"), testing::HasSubstr("relative_step"),
                             testing::HasSubstr("none to find")));
}

}  // namespace
}  // namespace hone
