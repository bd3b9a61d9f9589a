#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

namespace hone {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("hone-file-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  int count() const {
    return static_cast<int>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  template <typename Action>
  static std::string message_of(Action action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  fs::path folder_;
};

TEST_F(FileTest, WritesAndReadsBack) {
  const std::string bytes("a\0b\n\xFF", 5);
  write_file(path("x"), bytes);
  EXPECT_EQ(read_file(path("x"), ErrorKind::kData), bytes);
  EXPECT_EQ(MappedFile(path("x"), ErrorKind::kData).bytes(), bytes);
  write_file(path("x"), "");
  EXPECT_EQ(read_file(path("x"), ErrorKind::kData), "");
  EXPECT_EQ(MappedFile(path("x"), ErrorKind::kData).bytes(), "");
  EXPECT_EQ(count(), 1);
}

TEST_F(FileTest, LeavesTheOldFileUntilCommit) {
  write_file(path("x"), "old");
  {
    AtomicFile file(path("x"));
    file.write("new");
    EXPECT_EQ(read_file(path("x"), ErrorKind::kData), "old");
  }
  EXPECT_EQ(read_file(path("x"), ErrorKind::kData), "old");
  EXPECT_EQ(count(), 1) << "a file that was not committed leaves nothing behind";
  AtomicFile file(path("x"));
  file.write("new");
  file.commit();
  EXPECT_EQ(read_file(path("x"), ErrorKind::kData), "new");
  EXPECT_EQ(count(), 1);
}

TEST_F(FileTest, NamesAMissingFileAndTheNearestOne) {
  write_file(path("train.jsonl"), "");
  EXPECT_THAT(message_of([&] { read_file(path("trian.jsonl"), ErrorKind::kData); }),
              HasSubstr("no such file; did you mean \"train.jsonl\"?"));
  EXPECT_THAT(message_of([&] { read_file(path("nowhere/x"), ErrorKind::kData); }),
              HasSubstr("there is no folder"));
  EXPECT_THAT(message_of([&] { read_file(folder_.string(), ErrorKind::kModel); }),
              HasSubstr("Is a directory"));
  EXPECT_THAT(message_of([&] { MappedFile(path("zzz"), ErrorKind::kModel); }),
              HasSubstr("no such file"));
  EXPECT_THAT(message_of([&] { write_file(path("nowhere/x"), "a"); }),
              HasSubstr("cannot be written: No such file"));
}

TEST_F(FileTest, KeepsTheOldFileWhereTheNewOneDoesNotFit) {
  write_file(path("x"), "old");
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{1 << 16, before.rlim_max};
  std::signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = message_of([&] { write_file(path("x"), std::string(4 << 20, 'a')); });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(message, HasSubstr("cannot be written: File too large"));
  EXPECT_EQ(read_file(path("x"), ErrorKind::kData), "old");
  EXPECT_EQ(count(), 1);
}

TEST_F(FileTest, RemovesWhatProcessesThatEndedLeft) {
  const pid_t ended = ::fork();
  if (ended == 0) ::_exit(0);
  ::waitpid(ended, nullptr, 0);
  const std::string dead = "a.json.tmp-" + std::to_string(ended) + "-0",
                    alive = "a.json.tmp-" + std::to_string(::getppid()) + "-3";
  for (const std::string& name :
       {dead, alive, dead + "x", std::string("b.tmp-notes"), std::string("c.tmp-12")})
    std::ofstream(path(name)) << "x";
  AtomicFile mine(path("mine"));
  remove_leftovers(folder_.string());
  EXPECT_FALSE(fs::exists(path(dead)));
  EXPECT_EQ(count(), 5);
}

TEST_F(FileTest, ASignalRemovesWhatIsHalfWritten) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::signal(signal, SIG_DFL);
      clean_up_on_signals();
      AtomicFile file(path("x"));
      ::raise(signal);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal);
    EXPECT_EQ(count(), 0);
  }
}

TEST_F(FileTest, SyncsFoldersAndNamesTheOneThatCannotBe) {
  sync_folder(folder_.string());
  EXPECT_THAT(message_of([&] { sync_folder(path("none")); }),
              testing::AllOf(HasSubstr("none"), HasSubstr("cannot be synced")));
}

TEST_F(FileTest, RenamesOrNamesBoth) {
  write_file(path("a"), "x");
  rename_path(path("a"), path("b"));
  EXPECT_EQ(read_file(path("b"), ErrorKind::kData), "x");
  EXPECT_THAT(message_of([&] { rename_path(path("a"), path("c")); }),
              testing::AllOf(HasSubstr("/a\""), HasSubstr("/c")));
}

TEST(Sha256, GivesTheKnownAnswers) {  // FIPS 180-4 examples
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(FileTest, HashesAFileAsItsBytes) {
  const std::string bytes(3 << 20, 'x');
  write_file(path("big"), bytes);
  EXPECT_EQ(sha256_file(path("big")), sha256(bytes));
  EXPECT_THAT(message_of([&] { sha256_file(path("bog")); }), HasSubstr("did you mean \"big\"?"));
}

TEST_F(FileTest, MeasuresFreeSpaceAlsoBelowFoldersThatAreNotThereYet) {
  EXPECT_EQ(existing_folder(folder_.string()), folder_.string());
  EXPECT_EQ(existing_folder(path("a/b/c")), folder_.string());
  EXPECT_EQ(existing_folder("relative"), std::filesystem::current_path().string());
  const int64_t here = free_disk_bytes(folder_.string());
  EXPECT_GT(here, 0);
  EXPECT_GT(free_disk_bytes(path("a/b/c/model.safetensors")), 0);
  EXPECT_GT(free_disk_bytes("relative"), 0);
}

}  // namespace
}  // namespace hone
