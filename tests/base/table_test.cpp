#include "base/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <string>

namespace hone {
namespace {

struct Fruit {
  const char* name;
  int weight;
};

Table<Fruit> fruits() { return {"fruit", {{"apple", 2}, {"pear", 3}}}; }

std::string words_of(const std::function<void()>& act, ErrorKind kind) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  return "nothing was refused";
}

TEST(Table, EntriesKeepTheirAddressesWhenOthersAreAdded) {
  Table<Fruit> table = fruits();
  const Fruit* apple = &table.named("apple");
  std::deque<std::string> names;
  for (int i = 0; i < 100; ++i)
    table.add({names.emplace_back("fruit" + std::to_string(i)).c_str(), i});
  EXPECT_EQ(&table.named("apple"), apple);
  EXPECT_EQ(table.named("fruit99").weight, 99);
  EXPECT_EQ(table.size(), 102U);
}

TEST(Table, AnUnknownNameGetsTheNearestAndAllThatAreKnown) {
  EXPECT_THAT(words_of([] { fruits().named("aple"); }, ErrorKind::kUsage),
              testing::AllOf(testing::HasSubstr("unknown fruit \"aple\""),
                             testing::HasSubstr("did you mean \"apple\""),
                             testing::HasSubstr("known: apple, pear")));
  EXPECT_EQ(fruits().find("aple"), nullptr);
}

TEST(Table, ASecondEntryOfOneNameIsRefused) {
  Table<Fruit> table = fruits();
  EXPECT_THAT(words_of([&] { table.add({"pear", 1}); }, ErrorKind::kInternal),
              testing::HasSubstr("two fruits named \"pear\""));
}

}  // namespace
}  // namespace hone
