#include "models/layers/key_value_cache.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "models/kernels_testing.h"
#include "support/temporary_folder.h"
#include "support/tiny_decoder.h"

namespace hone {
namespace {

using kernels::testing::error;
using kernels::testing::normal;
using testing::HasSubstr;
using testing_support::TemporaryFolder;

constexpr int64_t kHeads = 2, kDim = 3;

template <class Action>
std::string refusal(const Action& action) {
  try {
    action();
    return "";
  } catch (const std::exception& error) {
    return error.what();
  }
}

// `counts[s]` new tokens of each sequence, which has `before[s]`.
Packed new_tokens(const std::vector<int64_t>& counts, const std::vector<int64_t>& before) {
  std::vector<int64_t> positions;
  std::vector<int32_t> ends = {0};
  Packed tokens;
  for (size_t s = 0; s < counts.size(); ++s) {
    for (int64_t i = 0; i < counts[s]; ++i) positions.push_back(before[s] + i);
    ends.push_back(static_cast<int32_t>(positions.size()));
    tokens.max_len = std::max(tokens.max_len, counts[s]);
  }
  tokens.positions = at::tensor(positions, at::kLong);
  tokens.ids = (tokens.positions * 7 + 3) % 40;
  tokens.segments = at::zeros_like(tokens.ids);
  tokens.cu_seqlens = at::tensor(ends, at::kInt);
  return tokens;
}

// What a cache should hold: the rows of each sequence, kept apart.
class Expected {
 public:
  explicit Expected(size_t sequences) : k_(sequences, none()), v_(sequences, none()) {}

  std::vector<int64_t> lengths() const {
    std::vector<int64_t> lengths;
    for (const at::Tensor& k : k_) lengths.push_back(k.size(0));
    return lengths;
  }
  // Appends new random rows to both.
  KeyValueCache::View append(KeyValueCache& cache, const std::vector<int64_t>& counts) {
    const Packed tokens = new_tokens(counts, lengths());
    const at::Tensor k = normal({tokens.tokens(), kHeads, kDim}, ++seed_),
                     v = normal({tokens.tokens(), kHeads, kDim}, ++seed_);
    for (size_t s = 0; s < counts.size(); ++s) {
      const int64_t begin = tokens.cu_seqlens[static_cast<int64_t>(s)].item<int64_t>();
      k_[s] = at::cat({k_[s], k.narrow(0, begin, counts[s])});
      v_[s] = at::cat({v_[s], v.narrow(0, begin, counts[s])});
    }
    return cache.append(0, k, v, tokens);
  }
  void select(const std::vector<int64_t>& order) {
    std::vector<at::Tensor> k, v;
    for (const int64_t s : order) {
      k.push_back(k_[static_cast<size_t>(s)]);
      v.push_back(v_[static_cast<size_t>(s)]);
    }
    k_ = k, v_ = v;
  }
  void cut(size_t sequence, int64_t length) {
    k_[sequence] = k_[sequence].narrow(0, 0, length);
    v_[sequence] = v_[sequence].narrow(0, 0, length);
  }
  void join(size_t count) {
    k_.resize(k_.size() + count, none());
    v_.resize(v_.size() + count, none());
  }
  void expect(const KeyValueCache::View& view) const {
    ASSERT_EQ(view.of_k.lengths.size(0), static_cast<int64_t>(k_.size()));
    ASSERT_EQ(view.of_k.ends[-1].item<int64_t>(), view.k.size(0));
    for (size_t s = 0; s < k_.size(); ++s) {
      const auto at = static_cast<int64_t>(s);
      const int64_t begin = view.of_k.ends[at].item<int64_t>(),
                    length = view.of_k.lengths[at].item<int64_t>();
      EXPECT_TRUE(at::equal(view.k.slice(0, begin, begin + length), k_[s])) << s;
      EXPECT_TRUE(at::equal(view.v.slice(0, begin, begin + length), v_[s])) << s;
    }
  }

 private:
  static at::Tensor none() { return at::empty({0, kHeads, kDim}); }
  std::vector<at::Tensor> k_, v_;
  uint64_t seed_ = 0;
};

TEST(KeyValueCache, KeepsTheTokensOfEachSequenceInTheirOrder) {
  KeyValueCache cache(1);
  EXPECT_EQ(cache.sequences(), 0);
  Expected expected(4);
  for (const std::vector<int64_t>& counts : std::vector<std::vector<int64_t>>{
           {5, 1, 0, 40}, {1, 1, 3, 1}, {0, 0, 0, 0}, {70, 1, 0, 1}, {1, 200, 1, 1}}) {
    expected.expect(expected.append(cache, counts));
    for (int64_t s = 0; s < 4; ++s)
      EXPECT_EQ(cache.length(s), expected.lengths()[static_cast<size_t>(s)]);
  }
  EXPECT_EQ(cache.sequences(), 4);
  EXPECT_EQ(cache.longest(), 203);
}

TEST(KeyValueCache, SequencesLeaveAreCopiedAndChangePlaces) {
  for (const std::vector<int64_t>& order : std::vector<std::vector<int64_t>>{
           {0, 1, 2, 3}, {1, 3}, {2}, {3, 3, 0, 3, 1}, {2, 1}, {0, 0, 0, 0, 0, 0, 0}}) {
    KeyValueCache cache(1);
    Expected expected(4);
    expected.append(cache, {3, 10, 1, 35});
    cache.select(order);
    expected.select(order);
    EXPECT_EQ(cache.sequences(), static_cast<int64_t>(order.size()));
    for (int step = 0; step < 3; ++step)
      expected.expect(expected.append(cache, std::vector<int64_t>(order.size(), 20)));
  }
}

TEST(KeyValueCache, SelectionsFollowEachOther) {
  KeyValueCache cache(1);
  Expected expected(3);
  expected.append(cache, {4, 2, 9});
  for (const std::vector<int64_t>& order :
       std::vector<std::vector<int64_t>>{{1, 2}, {1}, {0, 0}, {1, 0}, {1}}) {
    cache.select(order);
    expected.select(order);
    expected.expect(expected.append(cache, std::vector<int64_t>(order.size(), 1)));
  }
  cache.select({});
  EXPECT_EQ(cache.sequences(), 0);
}

TEST(KeyValueCache, SequencesJoinBehindThoseThatAreThere) {
  KeyValueCache cache(1);
  Expected expected(2);
  expected.append(cache, {4, 9});
  cache.select(std::vector<int64_t>{1});
  expected.select({1});
  expected.join(2);
  expected.expect(expected.append(cache, {1, 7, 40}));
  cache.select({});
  expected.select({});
  expected.join(1);
  expected.expect(expected.append(cache, {3}));
}

TEST(KeyValueCache, MovesItsMemoryRarelyAndHoldsLittleMoreThanItNeeds) {
  KeyValueCache cache(1);
  Expected expected(3);
  expected.append(cache, {1, 20, 60});
  std::set<const void*> memories;
  for (int step = 0; step < 400; ++step)
    memories.insert(expected.append(cache, {1, 1, 1}).k.const_data_ptr());
  EXPECT_LE(memories.size(), 10U);
  const int64_t needed = (1 + 20 + 60 + 3 * 400) * kHeads * kDim * 2 * 4;
  EXPECT_GE(cache.bytes(), needed);
  EXPECT_LT(cache.bytes(), 2 * needed);
}

TEST(KeyValueCache, MovesNothingWhereSequencesLeave) {
  KeyValueCache cache(1);
  Expected expected(3);
  const void* before = expected.append(cache, {5, 5, 5}).k.const_data_ptr();
  cache.select(std::vector<int64_t>{0, 2});
  expected.select({0, 2});
  EXPECT_EQ(expected.append(cache, {1, 1}).k.const_data_ptr(), before);
}

// Beams of two prompts, and then of one, which take each other's places.
TEST(KeyValueCache, BeamsAreReorderedWhereTheyLie) {
  KeyValueCache cache(1);
  Expected expected(2);
  expected.append(cache, {6, 4});
  const auto next = [&](const std::vector<int64_t>& order) {
    cache.select(order);
    expected.select(order);
    const KeyValueCache::View all = expected.append(cache, std::vector<int64_t>(order.size(), 1));
    expected.expect(all);
    return all.k.storage().data();
  };
  const void* const memory = next({0, 0, 0, 1, 1, 1});
  for (const std::vector<int64_t>& order : std::vector<std::vector<int64_t>>{{2, 1, 0, 3, 4, 5},
                                                                             {1, 0, 1, 5, 5, 3},
                                                                             {0, 0, 0, 4, 3, 3},
                                                                             {2, 0, 5, 4},
                                                                             {3, 2},
                                                                             {1, 0}})
    EXPECT_EQ(next(order), memory) << order[0] << order[1];
}

// What follows a cut is another token, though it stands where one stood that beams shared.
TEST(KeyValueCache, BeamsThatWereCutAreNotTakenForEqual) {
  KeyValueCache cache(1);
  Expected expected(1);
  expected.append(cache, {5});
  for (const std::vector<int64_t>& order : std::vector<std::vector<int64_t>>{{0, 0}, {1, 0}}) {
    cache.select(order);
    expected.select(order);
    cache.cut(0, 3);
    expected.cut(0, 3);
    expected.expect(expected.append(cache, {2, 1}));
  }
}

// Each time one leaves and another one comes.
TEST(KeyValueCache, SequencesThatJoinSeldomMoveTheOthers) {
  for (const bool grows : {true, false}) {
    KeyValueCache cache(1, grows);
    Expected expected(4);
    expected.append(cache, {9, 9, 9, 9});
    std::set<const void*> memories;
    for (int turn = 0; turn < 60; ++turn) {
      const std::vector<int64_t> staying =
          turn % 2 == 0 ? std::vector<int64_t>{1, 2, 3} : std::vector<int64_t>{0, 1, 2};
      cache.select(staying);
      expected.select(staying);
      expected.join(1);
      const KeyValueCache::View all = expected.append(cache, {0, 0, 0, 9});
      expected.expect(all);
      memories.insert(all.k.storage().data());
    }
    EXPECT_LE(memories.size(), 35U) << grows;  // of 60
    const int64_t needed = 4 * (grows ? 32 : 9) * kHeads * kDim * 2 * 4;
    EXPECT_LE(cache.bytes(), 3 * needed) << grows;
  }
}

TEST(KeyValueCache, GoesOnBehindACut) {
  KeyValueCache cache(1);
  Expected expected(2);
  expected.append(cache, {9, 4});
  cache.cut(0, 3);
  EXPECT_EQ(cache.length(0), 3);
  EXPECT_EQ(cache.length(1), 4);
  expected.cut(0, 3);
  expected.expect(expected.append(cache, {50, 1}));
  cache.cut(0, 0);
  expected.cut(0, 0);
  expected.expect(expected.append(cache, {2, 0}));
  EXPECT_THAT(refusal([&] { cache.cut(1, 6); }), HasSubstr("is to keep 6 tokens"));
}

TEST(KeyValueCache, RefusesWhatAreNotTheNextTokens) {
  KeyValueCache cache(2);
  Expected expected(2);
  expected.append(cache, {3, 1});
  const auto append = [&](int64_t layer, const Packed& tokens, at::Tensor v = {}) {
    const at::Tensor k = at::zeros({tokens.tokens(), kHeads, kDim});
    return refusal([&] { cache.append(layer, k, v.defined() ? v : k, tokens); });
  };
  EXPECT_THAT(append(0, new_tokens({1}, {3})),
              HasSubstr("new tokens of 1 sequences, but 2 are cached"));
  EXPECT_THAT(append(0, new_tokens({1, 1}, {3, 2})),
              HasSubstr("sequence 1 begin at position 2, but 1 are cached"));
  EXPECT_THAT(append(2, new_tokens({1, 1}, {3, 1})), HasSubstr("layer 2 of 2"));
  EXPECT_THAT(append(0, new_tokens({1, 1}, {3, 1}), at::zeros({2, kHeads, kDim + 1})),
              HasSubstr("expected k and v [2, kv_heads, dim]"));
  EXPECT_THAT(append(0, new_tokens({1, 1}, {3, 1}), at::zeros({2, kHeads, kDim}).requires_grad_()),
              HasSubstr("have no gradient"));
  EXPECT_EQ(append(0, new_tokens({1, 0}, {3, 1})), "");
  EXPECT_THAT(refusal([] { KeyValueCache none(0); }), HasSubstr("expected layers"));
}

TEST(KeyValueCache, RefusesToKeepWhatIsNotThere) {
  KeyValueCache cache(1);
  Expected expected(2);
  expected.append(cache, {3, 1});
  for (const int64_t bad : {-1, 2})
    EXPECT_THAT(refusal([&] { cache.select(std::vector<int64_t>{0, bad}); }),
                HasSubstr("of 2 is to be kept"));
  expected.expect(expected.append(cache, {1, 1}));  // nothing changed
  EXPECT_THAT(refusal([&] { cache.length(2); }), HasSubstr("sequence 2 of 2"));
}

// ---- in a decoder ----

std::shared_ptr<Backbone> decoder(const std::string& model_type) {
  const TemporaryFolder folder;
  testing_support::write_tiny_decoder(folder.path(), model_type);
  const ModelConfig config = ModelConfig::load(folder.path());
  auto backbone = make_backbone(config);
  backbone->initialise(3);
  backbone->eval();
  return backbone;
}

at::Tensor forward_of(Backbone& backbone, const Packed& tokens, KeyValueCache* cache) {
  return backbone.forward(std::span(&tokens, 1), {.cache = cache});
}

// The rows of a sequence in what a pass gave.
at::Tensor rows_of(const at::Tensor& x, const Packed& tokens, int64_t sequence) {
  return x.slice(0, tokens.cu_seqlens[sequence].item<int64_t>(),
                 tokens.cu_seqlens[sequence + 1].item<int64_t>());
}

TEST(KeyValueCache, ADecoderGivesTheSameTokenByTokenAsInOneGo) {
  const c10::AutoGradMode no_grad(false);
  for (const char* model_type : {"gpt2", "llama", "mistral", "qwen3", "gemma2"}) {
    const auto backbone = decoder(model_type);
    const std::vector<int64_t> all = {20, 9, 13};
    const Packed whole = new_tokens(all, {0, 0, 0});
    const at::Tensor expected = forward_of(*backbone, whole, nullptr);
    KeyValueCache cache(backbone->config().num_layers);
    std::vector<int64_t> seen = {0, 0, 0};
    for (const std::vector<int64_t>& counts : std::vector<std::vector<int64_t>>{
             {12, 1, 6}, {1, 1, 1}, {1, 0, 1}, {5, 7, 0}, {1, 0, 5}}) {
      const Packed tokens = new_tokens(counts, seen);
      const at::Tensor given = forward_of(*backbone, tokens, &cache);
      for (size_t s = 0; s < 3; ++s) {
        const auto at = static_cast<int64_t>(s);
        EXPECT_LT(error(rows_of(given, tokens, at),
                        rows_of(expected, whole, at).slice(0, seen[s], seen[s] + counts[s])),
                  1e-5)
            << model_type << ", sequence " << s << " at " << seen[s];
        seen[s] += counts[s];
      }
    }
    EXPECT_EQ(seen, all);
  }
}

TEST(KeyValueCache, ASequenceDoesNotDependOnThoseBesideItOrOnItsPlace) {
  const c10::AutoGradMode no_grad(false);
  const auto backbone = decoder("llama");
  KeyValueCache together(2), alone(2);
  forward_of(*backbone, new_tokens({3, 17, 8}, {0, 0, 0}), &together);
  forward_of(*backbone, new_tokens({8}, {0}), &alone);
  together.select(std::vector<int64_t>{2, 1, 2});
  const Packed next = new_tokens({1, 1, 1}, {8, 17, 8}), one = new_tokens({1}, {8});
  const at::Tensor given = forward_of(*backbone, next, &together);
  EXPECT_TRUE(at::equal(given[0], given[2]));
  EXPECT_TRUE(at::equal(given[0], forward_of(*backbone, one, &alone)[0]));
}

TEST(KeyValueCache, NaNStaysInItsSequence) {
  const c10::AutoGradMode no_grad(false);
  const auto backbone = decoder("llama");
  KeyValueCache cache(2);
  Packed tokens = new_tokens({4, 4}, {0, 0});
  tokens.shift = at::zeros({8, backbone->embedding_width()});
  tokens.shift[1][0] = NAN;
  forward_of(*backbone, tokens, &cache);
  const at::Tensor next = forward_of(*backbone, new_tokens({1, 1}, {4, 4}), &cache);
  EXPECT_TRUE(next[0].isnan().all().item<bool>());
  EXPECT_FALSE(next[1].isnan().any().item<bool>());
}

TEST(KeyValueCache, IsNotForTrainingNorForMorePositionsThanThereAre) {
  const auto backbone = decoder("gpt2");
  KeyValueCache cache(2);
  EXPECT_THAT(refusal([&] { forward_of(*backbone, new_tokens({2}, {0}), &cache); }),
              HasSubstr("have no gradient"));
  backbone->train();
  EXPECT_THAT(refusal([&] { forward_of(*backbone, new_tokens({2}, {0}), &cache); }),
              HasSubstr("a cache is not for training"));
  backbone->eval();
  const c10::AutoGradMode no_grad(false);
  forward_of(*backbone, new_tokens({48}, {0}), &cache);
  EXPECT_THAT(refusal([&] { forward_of(*backbone, new_tokens({1}, {48}), &cache); }),
              HasSubstr("position 48 is outside of the model's table of 48 rows"));
}

}  // namespace
}  // namespace hone
