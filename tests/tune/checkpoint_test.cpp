#include "tune/checkpoint.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "support/temporary_folder.h"

namespace hone {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing_support::TemporaryFolder;

Checkpoint checkpoint_of(int64_t step, int64_t size = 64) {
  return {{{"step", step},
           {"total_steps", 10},
           {"stopped_early", false},
           {"loss", 0.1 * static_cast<double>(step)}},
          {{"w", at::full({size}, static_cast<double>(step))}},
          {{"exp_avg.w", at::full({size}, 2.0 * static_cast<double>(step))},
           {"step", at::scalar_tensor(step, at::kLong)}}};
}

int64_t step_of(const Checkpoint& checkpoint) { return checkpoint.state.at("step").get<int64_t>(); }

struct Warnings {
  std::vector<std::string> list;
  std::function<void(const std::string&)> sink() {
    return [this](const std::string& message) { list.push_back(message); };
  }
};

void flip_byte(const std::string& path, int64_t from_end) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-from_end, std::ios::end);
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(-from_end, std::ios::end);
  file.put(byte);
}

std::string message_of(const std::function<void()>& act, ErrorKind kind) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return "";
}

TEST(Checkpoint, ComesBackAsItWasSaved) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder / "checkpoints");
  checkpoints.save_last(checkpoint_of(7));
  Warnings warnings;
  const Checkpoint loaded = checkpoints.load_last(warnings.sink());
  EXPECT_EQ(loaded.state, checkpoint_of(7).state);
  EXPECT_TRUE(at::equal(loaded.weights.at("w"), checkpoint_of(7).weights.at("w")));
  EXPECT_TRUE(
      at::equal(loaded.optimizer.at("exp_avg.w"), checkpoint_of(7).optimizer.at("exp_avg.w")));
  EXPECT_EQ(loaded.optimizer.at("step").item<int64_t>(), 7);
  EXPECT_TRUE(warnings.list.empty());
}

TEST(Checkpoint, KeepsLastAndTheOneBefore) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path());
  for (const int64_t step : {1, 2, 3}) checkpoints.save_last(checkpoint_of(step));
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder.path()))
    names.push_back(entry.path().filename());
  EXPECT_THAT(names, testing::UnorderedElementsAre("last", "last.previous"));
  EXPECT_EQ(step_of(checkpoints.load_last([](const std::string&) {})), 3);
}

// Every file of `last`, damaged in every way that a disk or a person can.
TEST(Checkpoint, FallsBackToTheOneBeforeWhereLastIsDamaged) {
  using Damage = std::pair<const char*, std::function<void(const std::string&)>>;
  const std::vector<Damage> damages = {
      {"removed", [](const std::string& path) { fs::remove(path); }},
      {"cut", [](const std::string& path) { fs::resize_file(path, fs::file_size(path) / 2); }},
      {"emptied", [](const std::string& path) { fs::resize_file(path, 0); }},
      {"bit flipped", [](const std::string& path) { flip_byte(path, 20); }},
      {"grown", [](const std::string& path) { std::ofstream(path, std::ios::app) << "x"; }},
  };
  int tried = 0;
  for (const char* name : {"model.safetensors", "optimizer.safetensors", "trainer_state.json"}) {
    for (const auto& [how, damage] : damages) {
      SCOPED_TRACE(std::string(name) + " " + how);
      const TemporaryFolder folder;
      const CheckpointFolder checkpoints(folder.path());
      checkpoints.save_last(checkpoint_of(1));
      checkpoints.save_last(checkpoint_of(2));
      damage(folder / "last/" + name);
      Warnings warnings;
      EXPECT_EQ(step_of(checkpoints.load_last(warnings.sink())), 1);
      ASSERT_EQ(warnings.list.size(), 1U);
      EXPECT_THAT(warnings.list[0], HasSubstr(name));
      // The good one is `last` now, and the next save does not lose it.
      checkpoints.save_last(checkpoint_of(3));
      fs::remove_all(folder / "last");
      EXPECT_EQ(step_of(checkpoints.load_last(warnings.sink())), 1);
      ++tried;
    }
  }
  EXPECT_EQ(tried, 15);
}

TEST(Checkpoint, NamesTheDefectWhereNoneIsGood) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path());
  checkpoints.save_last(checkpoint_of(1));
  flip_byte(folder / "last/optimizer.safetensors", 1);
  EXPECT_THAT(
      message_of([&] { checkpoints.load_last([](const std::string&) {}); }, ErrorKind::kModel),
      testing::AllOf(HasSubstr("last/optimizer.safetensors"), HasSubstr("damaged")));
}

TEST(Checkpoint, SaysThatThereIsNone) {
  const TemporaryFolder folder;
  EXPECT_THAT(
      message_of([&] { CheckpointFolder(folder.path()).load_last([](const std::string&) {}); },
                 ErrorKind::kUsage),
      HasSubstr("start the run again"));
}

// A save that cannot end must not have cost the last good one: `last` is damaged, unseen so far.
TEST(Checkpoint, ADamagedLastAndASaveThatFailsLeaveTheOneBefore) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path());
  checkpoints.save_last(checkpoint_of(1));
  checkpoints.save_last(checkpoint_of(2));
  flip_byte(folder / "last/model.safetensors", 1);
  Checkpoint impossible = checkpoint_of(3);
  impossible.weights["w"] = at::zeros({2}, at::kComplexFloat);  // no type of safetensors
  EXPECT_THROW(checkpoints.save_last(impossible), Error);
  Warnings warnings;
  EXPECT_EQ(step_of(checkpoints.load_last(warnings.sink())), 1);
  EXPECT_EQ(warnings.list.size(), 1U);
}

TEST(Checkpoint, ADamagedOneStaysUntilTheNextIsThere) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path());
  checkpoints.save_last(checkpoint_of(1));
  checkpoints.save_last(checkpoint_of(2));
  flip_byte(folder / "last/model.safetensors", 1);
  checkpoints.load_last([](const std::string&) {});
  EXPECT_TRUE(fs::exists(folder / "last.damaged"));
  checkpoints.save_last(checkpoint_of(3));
  EXPECT_FALSE(fs::exists(folder / "last.damaged"));
  EXPECT_EQ(step_of(checkpoints.load_last([](const std::string&) {})), 3);
}

TEST(Checkpoint, KnowsWhetherARunCanGoOn) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path());
  fs::create_directory(folder / "last.new");
  checkpoints.save_best(checkpoint_of(1));
  EXPECT_FALSE(checkpoints.has_last());
  EXPECT_FALSE(checkpoints.last_state());
  checkpoints.save_last(checkpoint_of(1));
  checkpoints.save_last(checkpoint_of(2));
  EXPECT_TRUE(checkpoints.has_last());
  EXPECT_EQ(checkpoints.last_state()->at("step"), 2);
  fs::remove(folder / "last/trainer_state.json");
  EXPECT_EQ(checkpoints.last_state()->at("step"), 1);
}

TEST(Checkpoint, OfTheFormatBeforeIsRead) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path());
  checkpoints.save_last(checkpoint_of(1));
  Json state = read_json(folder / "last/trainer_state.json", ErrorKind::kModel);
  state.erase("sha256");
  state["format"] = 2;
  state["sha256"] = sha256(state.dump());
  write_file(folder / "last/trainer_state.json", state.dump());
  EXPECT_EQ(step_of(checkpoints.load_last([](const std::string&) {})), 1);
}

TEST(Checkpoint, OfANewerFormatIsRefusedByName) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path());
  checkpoints.save_last(checkpoint_of(1));
  Json state = read_json(folder / "last/trainer_state.json", ErrorKind::kModel);
  state["format"] = 9;
  write_file(folder / "last/trainer_state.json", state.dump());
  EXPECT_THAT(
      message_of([&] { checkpoints.load_last([](const std::string&) {}); }, ErrorKind::kModel),
      HasSubstr("another version"));
}

// A kill between any two steps of saving leaves one of these states.
TEST(Checkpoint, SurvivesAKillBetweenTheRenames) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path());
  checkpoints.save_last(checkpoint_of(1));
  fs::rename(folder / "last", folder / "last.previous");  // the new one not yet in place
  fs::create_directory(folder / "last.new");
  std::ofstream(folder / "last.new/model.safetensors") << "half";
  Warnings warnings;
  EXPECT_EQ(step_of(checkpoints.load_last(warnings.sink())), 1);
  EXPECT_EQ(warnings.list.size(), 1U);
  checkpoints.save_last(checkpoint_of(2));
  EXPECT_EQ(step_of(checkpoints.load_last(warnings.sink())), 2);
}

// A file larger than the limit fails as on a full disk: the write, not the program.
TEST(Checkpoint, ThatFindsNoRoomLeavesTheGoodOneAlone) {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(folder.path());
  checkpoints.save_last(checkpoint_of(1));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 100 << 10;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message =
      message_of([&] { checkpoints.save_last(checkpoint_of(2, 1 << 20)); }, ErrorKind::kUsage);
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, old_handler);
  EXPECT_THAT(message, HasSubstr("cannot be written"));
  EXPECT_FALSE(fs::exists(folder / "last.new"));
  EXPECT_EQ(step_of(checkpoints.load_last([](const std::string&) {})), 1);
}

TEST(Checkpoint, RefusesBeforehandWhereTheDiskIsTooSmall) {
  const TemporaryFolder folder;
  const std::string message = message_of(
      [&] { require_disk(folder.path(), int64_t{1} << 60, "this run"); }, ErrorKind::kUsage);
  EXPECT_THAT(message,
              testing::AllOf(HasSubstr("1152921504606.8 MB needed"), HasSubstr("MB free")));
  EXPECT_NO_THROW(require_disk(folder.path(), 1, "this run"));
}

}  // namespace
}  // namespace hone
