#include "data/sample_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <thread>

#include "base/random.h"
#include "reader_testing.h"

namespace hone {
namespace {

bool same(const std::vector<float>& a,
          const std::vector<float>& b) {  // bit for bit: NaN and -0 too
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) {
           return std::bit_cast<uint32_t>(x) == std::bit_cast<uint32_t>(y);
         });
}

bool same(const Sample& a, const Sample& b) {
  if (a.record != b.record || a.window != b.window || a.streams.size() != b.streams.size() ||
      a.targets.size() != b.targets.size())
    return false;
  for (size_t i = 0; i < a.streams.size(); ++i) {
    const Sequence &x = a.streams[i], &y = b.streams[i];
    if (x.ids != y.ids || x.segments != y.segments || x.texts != y.texts || x.words != y.words ||
        x.offsets != y.offsets || x.ends != y.ends || x.features.width != y.features.width ||
        !same(x.features.values, y.features.values))
      return false;
  }
  for (size_t i = 0; i < a.targets.size(); ++i) {
    const Target &x = a.targets[i], &y = b.targets[i];
    if (x.name != y.name || x.per_token != y.per_token || x.width != y.width ||
        !same(x.values, y.values))
      return false;
  }
  return true;
}

// A sample as a tokenizer and a task make it.
Sample usual_sample(uint64_t key) {
  RandomStream random(key);
  Sample sample;
  const size_t size = 2 + random.below(200);
  Sequence& stream = sample.streams.emplace_back();
  int32_t at = 0;
  for (size_t i = 0; i < size; ++i) {
    const auto length = static_cast<int32_t>(random.below(8));
    stream.ids.push_back(static_cast<int32_t>(random.below(30522)));
    stream.segments.push_back(i > size / 2 ? 1 : 0);
    stream.texts.push_back(i == 0 || i + 1 == size ? -1 : 0);
    stream.words.push_back(i == 0 || i + 1 == size ? -1 : static_cast<int32_t>(i / 2));
    stream.offsets.push_back({at, at + length});
    at += length + 1;
  }
  sample.targets.push_back({"tags", true, 1, std::vector<float>(size, kNoTarget)});
  sample.targets.push_back({"score", false, 1, {static_cast<float>(random.normal())}});
  sample.record = static_cast<int64_t>(key);
  return sample;
}

RC_GTEST_PROP(SampleStore, GivesBackAnySampleExactly, ()) {
  const auto ints = rc::gen::container<std::vector<int32_t>>(rc::gen::arbitrary<int32_t>());
  const auto spans = rc::gen::container<std::vector<Span>>(
      rc::gen::map(rc::gen::pair(rc::gen::arbitrary<int32_t>(), rc::gen::arbitrary<int32_t>()),
                   [](const auto& pair) { return Span{pair.first, pair.second}; }));
  const auto floats = rc::gen::container<std::vector<float>>(rc::gen::oneOf(
      rc::gen::map(rc::gen::arbitrary<uint32_t>(),
                   [](uint32_t bits) { return std::bit_cast<float>(bits); }),
      rc::gen::element(0.0F, -0.0F, 1.0F, kNoTarget, 16777216.0F, -16777216.0F, 16777217.0F)));
  Sample sample;
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i)
    sample.streams.push_back(
        {*ints, *ints, *ints, *ints, *spans, {*rc::gen::arbitrary<int32_t>(), *floats}, *ints});
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) {
    std::vector<float> values = *floats;
    sample.targets.push_back({*rc::gen::arbitrary<std::string>(), *rc::gen::arbitrary<bool>(),
                              *rc::gen::arbitrary<int32_t>(), std::move(values)});
  }
  sample.record = *rc::gen::arbitrary<int64_t>();
  sample.window = *rc::gen::arbitrary<int32_t>();
  SampleStore store("", *rc::gen::element<int64_t>(0, int64_t{1} << 20));
  store.add(sample);
  store.add(sample);
  store.seal();
  RC_ASSERT(store.size() == 2);
  RC_ASSERT(same(store.get(0), sample));
  RC_ASSERT(same(store.get(1), sample));
}

TEST(SampleStore, SpillsBeyondItsMemoryAndReadsFromManyThreads) {
  const TemporaryFolder temporary;
  const std::string folder = temporary.path() + "/need/not/exist";
  SampleStore store(folder, 64 << 10);
  constexpr int64_t kCount = 20000;
  for (int64_t i = 0; i < kCount; ++i) store.add(usual_sample(static_cast<uint64_t>(i)));
  store.seal();
  EXPECT_TRUE(std::filesystem::is_empty(temporary.path()))
      << "the file has no name: it goes when the program does";
  ASSERT_EQ(store.size(), kCount);
  std::vector<std::thread> threads;
  std::array<int, 4> wrong{};
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&store, &wrong, t] {
      for (int64_t i = static_cast<int64_t>(t); i < kCount; i += 3)
        wrong[t] += same(store.get(i), usual_sample(static_cast<uint64_t>(i))) ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
  for (int64_t i = 0; i < kCount; ++i)
    ASSERT_EQ(store.lengths()[static_cast<size_t>(i)],
              usual_sample(static_cast<uint64_t>(i)).size());
}

TEST(SampleStore, CountsTheTokensOfAllStreams) {
  Sample sample;
  sample.streams.resize(2);
  sample.streams[0].ids = {1, 2, 3};
  sample.streams[1].ids = {1, 2};
  EXPECT_EQ(sample.size(), 5);
  SampleStore store;
  store.add(sample);
  EXPECT_EQ(store.lengths().at(0), 5);
}

TEST(SampleStore, MayBeEmptyAndMayMove) {
  SampleStore empty;
  empty.seal();
  EXPECT_EQ(empty.size(), 0);
  SampleStore store;
  store.add(usual_sample(1));
  SampleStore moved(std::move(store));
  moved.seal();
  EXPECT_TRUE(same(moved.get(0), usual_sample(1)));
}

TEST(SampleStore, RefusesMisuseAndFoldersThatCannotBe) {
  SampleStore store;
  store.add(usual_sample(1));
  EXPECT_THROW(store.get(0), Error) << "not sealed";
  store.seal();
  EXPECT_THROW(store.add(usual_sample(1)), Error);
  EXPECT_THROW(store.get(1), Error);
  EXPECT_THROW(store.get(-1), Error);
  SampleStore some("/proc/all",
                   4 << 10);  // memory first, then the disk of /proc, which takes nothing
  EXPECT_EQ(error_of([&] { some.add(usual_sample(0)); }), "no error");
  EXPECT_THROW(for (uint64_t i = 1; i < 1000; ++i) some.add(usual_sample(i)), Error);
  SampleStore nowhere("/proc/all", 0);
  EXPECT_EQ(error_of([&] { nowhere.add(usual_sample(1)); }),
            "proc: cannot write samples here: No such file or directory");
}

}  // namespace
}  // namespace hone
