#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "base/file.h"
#include "support/errors.h"
#include "tasks/task.h"

namespace hone {
namespace {

using ::testing::AllOf;
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

// The page of a task is the help for its options.
TEST(Registry, HasAPageThatNamesEveryOption) {
  for (const TaskInfo& info : tasks()) {
    Config section = Config::parse("{}", "test");
    info.make(section, 0);
    const std::string page =
        read_file(std::string("docs/tasks/") + info.name + ".md", ErrorKind::kUsage);
    const Json options = section.resolved_json();
    for (const auto& [key, value] : options.items())
      EXPECT_THAT(page, HasSubstr("`" + key + "`")) << info.name;
  }
}

TEST(Registry, MakesTheSameTaskFromItsSavedState) {
  for (const auto& [name, options] :
       {std::pair("classify", "{text: t, text_pair: u, label: [a, b], threshold: 0.25}"),
        std::pair("classify", "{type: regression, unknown_labels: count}"),
        std::pair("classify", "{type: multi, label_format: list, label_separator: ','}"),
        std::pair("ner", "{tokens: w, tags: t, stride: 3, scoring: strict}")}) {
    Config section = Config::parse(options, "test");
    const Json state = task_named(name).make(section, 17)->state();
    section.refuse_unknown();
    EXPECT_EQ(state["options"]["max_seq_length"], 17);
    EXPECT_EQ(task_named(name).restore(Json::parse(state.dump()))->state(), state) << options;
  }
}

TEST(Registry, RefusesASavedOptionThatIsNone) {
  Config section = Config::parse("{}", "test");
  Json state = task_named("classify").make(section, 0)->state();
  state["options"]["label_format"] = "hot";
  EXPECT_THAT(testing_support::error_of([&] { task_named("classify").restore(state); }),
              AllOf(HasSubstr("hot"), HasSubstr("multi_hot")));
}

}  // namespace
}  // namespace hone
