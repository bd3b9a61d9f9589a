#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "tasks/task.h"

namespace hone {
namespace {

using ::testing::HasSubstr;

TEST(Registry, FindsATaskByName) {
  for (const TaskInfo& info : tasks()) EXPECT_EQ(&task_named(info.name), &info);
}

TEST(Registry, OffersTheNearestName) {
  try {
    task_named("clasify");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_THAT(error.what(), HasSubstr("did you mean \"classify\""));
  }
}

// A folder of src/tasks with a file of its own name holds a task; it needs its line in the
// registry.
TEST(Registry, HasALineForEveryFolder) {
  std::set<std::string> folders, lines;
  for (const auto& entry : std::filesystem::directory_iterator("src/tasks")) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && std::filesystem::exists(entry.path() / (name + ".cpp")))
      folders.insert(name);
  }
  for (const TaskInfo& info : tasks()) lines.insert(info.name);
  EXPECT_GE(folders.size(), 2u);
  EXPECT_EQ(folders, lines);
}

}  // namespace
}  // namespace hone
