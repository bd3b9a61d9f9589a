// Whatever a command throws ends the program with one message and the exit code of its kind.
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <new>
#include <system_error>

#include "base/json.h"
#include "cli/program.h"
#include "tune/torch_error.h"

namespace hone {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Matcher;
using ::testing::Not;

struct Ended {
  int code;
  std::string message;
};

std::function<void()> fail;

int run_failing(const CLI::App&) {
  fail();
  return 0;
}

// What `hone COMMAND …` does where the command fails so.
Ended end_of(std::vector<const char*> words, std::function<void()> how) {
  fail = std::move(how);
  words.insert(words.begin(), "hone");
  testing::internal::CaptureStderr();
  const int code = run_program(static_cast<int>(words.size()), const_cast<char**>(words.data()),
                               {{words[1], run_failing}}, without_torch);
  return {code, testing::internal::GetCapturedStderr()};
}

// One line, as the matcher says, and the exit code.
void expect(const Ended& end, int code, const Matcher<const std::string&>& message) {
  EXPECT_EQ(end.code, code);
  EXPECT_THAT(end.message, message);
  EXPECT_EQ(std::count(end.message.begin(), end.message.end(), '\n'), 1) << end.message;
}

void expect_env(std::function<void()> how, int code, const Matcher<const std::string&>& message) {
  expect(end_of({"env"}, std::move(how)), code, message);
}

TEST(Failure, OfEachKindOfErrorHasItsExitCode) {
  expect_env([] { throw Error(ErrorKind::kUsage, "why"); }, 2, "error: why\n");
  expect_env([] { throw Error(ErrorKind::kData, {"a", 3}, "why"); }, 3, "error: a:3: why\n");
  expect_env([] { throw Error(ErrorKind::kModel, "why"); }, 4, "error: why\n");
  expect_env([] { throw Error(ErrorKind::kInternal, "why"); }, 1, "error: why\n");
}

TEST(Failure, OfLibtorchIsOneLineWithoutAStackTrace) {
  expect_env([] { TORCH_CHECK(false, "no such product"); }, 1,
             AllOf(HasSubstr("internal error: no such product"), Not(HasSubstr("frame #"))));
}

void ask_for_too_much() {
  TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.");
}
void ask_gpu_for_too_much() { TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory."); }
void ask_for_all_memory() { throw std::bad_alloc(); }

TEST(Failure, ForWantOfMemorySaysWhatTheCommandCanLower) {
  for (const auto how : {ask_for_too_much, ask_gpu_for_too_much, ask_for_all_memory}) {
    expect(end_of({"predict", "m"}, how), 2,
           AllOf(HasSubstr("out of memory"), HasSubstr("--max-tokens"), Not(HasSubstr("train."))));
    expect(end_of({"train", "c.yaml"}, how), 2,
           AllOf(HasSubstr("out of memory"), HasSubstr("train.per_device_train_batch_size"),
                 Not(HasSubstr("--max-tokens"))));
    expect(end_of({"env"}, how), 2, "error: out of memory.\n");
  }
}

TEST(Failure, OfTheFileSystemNamesThePath) {
  const auto denied = std::make_error_code(std::errc::permission_denied);
  expect_env([&] { throw std::filesystem::filesystem_error("remove", "runs/a", denied); }, 2,
             AllOf(HasSubstr("runs/a: "), HasSubstr("denied")));
}

TEST(Failure, ToStartAThreadSaysToAskForFewer) {
  const auto busy = std::make_error_code(std::errc::resource_unavailable_try_again);
  expect_env([&] { throw std::system_error(busy); }, 2, HasSubstr("--threads"));
}

TEST(Failure, OfNoKindOfOursIsAnInternalError) {
  expect_env([] { Json(3).get<std::string>(); }, 1, HasSubstr("internal error: "));
  expect_env([] { static_cast<void>(Json::parse("{")); }, 1, HasSubstr("internal error: "));
  expect_env([] { throw std::length_error("first\nsecond"); }, 1,
             AllOf(HasSubstr("internal error: first"), Not(HasSubstr("second"))));
  expect_env([] { throw 7; }, 1, HasSubstr("internal error: "));
}

}  // namespace
}  // namespace hone
