#include "tasks/mlm/masks.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <span>

#include "base/random.h"

namespace hone::mlm {
namespace {

constexpr int64_t kNone = -100;  // no target
constexpr double kMaskedShare = 0.8, kReplacedShare = 0.1;

// What is drawn of a key, each by a number of its own.
enum Draw : uint64_t { kChoice, kFate, kReplacement };

double uniform(uint64_t seed, Draw draw, uint64_t key) {
  return static_cast<double>(mix(mix(seed, draw), key) >> 11) * 0x1p-53;
}

// A sample's tokens, as they stand in a batch.
struct Tokens {
  int64_t first_row = 0;
  std::span<int64_t> ids;
  std::span<const float> words;
  std::vector<uint64_t> keys;
};

// Tokens [begin, end) of one word.
struct Word {
  size_t begin = 0, end = 0;
};

std::vector<Word> words_in(const Tokens& tokens) {
  std::vector<Word> words;
  for (size_t begin = 0, end = 0; begin < tokens.words.size(); begin = end) {
    while (end < tokens.words.size() && tokens.words[end] == tokens.words[begin]) ++end;
    if (tokens.words[begin] != kNoTarget) words.push_back({begin, end});
  }
  return words;
}

// The rows under way.
class Chosen {
 public:
  Chosen(const Masking& masking, uint64_t seed) : masking_(masking), seed_(seed) {}

  void choose_words(Tokens& tokens) {
    const std::vector<Word> words = words_in(tokens);
    const auto chance = [&](const Word& word) {
      return uniform(seed_, kChoice, tokens.keys[word.begin]);
    };
    if (words.empty()) return;
    const double least =
        chance(*std::min_element(words.begin(), words.end(), [&](const Word& a, const Word& b) {
          return chance(a) < chance(b);
        }));
    for (const Word& word : words) {
      const double drawn = chance(word);
      if (drawn >= masking_.probability && drawn > least) continue;
      for (size_t i = word.begin; i < word.end; ++i) choose(tokens, i);
    }
  }

  // False where the text has none of its own.
  bool take_own_masks(const Tokens& tokens) {
    const size_t before = rows_.size();
    for (size_t i = 0; i < tokens.ids.size(); ++i) {
      if (tokens.ids[i] == masking_.mask_id) add(tokens, i, kNone);
    }
    return rows_.size() > before;
  }

  Masked masked(Batch batch, const at::Tensor& ids) const {
    Masked out;
    const at::Device device = batch.streams.front().ids.device();
    batch.streams.front().ids = ids.to(device);
    out.batch = std::move(batch);
    out.rows = at::tensor(rows_, at::kLong).to(device);
    out.targets = at::tensor(targets_, at::kLong).to(device);
    out.count =
        static_cast<int64_t>(targets_.size()) - std::count(targets_.begin(), targets_.end(), kNone);
    return out;
  }

 private:
  void add(const Tokens& tokens, size_t i, int64_t target) {
    rows_.push_back(tokens.first_row + static_cast<int64_t>(i));
    targets_.push_back(target);
  }

  void choose(Tokens& tokens, size_t i) {
    const uint64_t key = tokens.keys[i];
    const double fate = uniform(seed_, kFate, key);
    add(tokens, i, tokens.ids[i]);
    if (fate < kMaskedShare) {
      tokens.ids[i] = masking_.mask_id;
    } else if (fate < kMaskedShare + kReplacedShare) {
      tokens.ids[i] = static_cast<int64_t>(uniform(seed_, kReplacement, key) *
                                           static_cast<double>(masking_.vocabulary));
    }
  }

  const Masking& masking_;
  uint64_t seed_;
  std::vector<int64_t> rows_, targets_;
};

std::vector<uint64_t> keys_of_text(std::span<const int64_t> ids) {
  uint64_t text = 0;
  for (const int64_t id : ids) text = mix(text, static_cast<uint64_t>(id));
  std::vector<uint64_t> keys;
  for (size_t i = 0; i < ids.size(); ++i) keys.push_back(mix(text, i));
  return keys;
}

// Calls take(tokens) for each sample of the batch, whose ids it may change; gives them all.
template <typename Take>
at::Tensor each_sample(const Batch& batch, Take take) {
  const Packed& stream = batch.streams.front();
  const at::Tensor ids = stream.ids.to(at::kCPU).clone(),
                   words = batch.targets.at(kWords).to(at::kCPU).contiguous();
  const int32_t* ends = stream.cu_seqlens.const_data_ptr<int32_t>();
  for (int64_t s = 0; s < stream.sequences(); ++s) {
    const auto size = static_cast<size_t>(ends[s + 1] - ends[s]);
    Tokens tokens{ends[s],
                  {ids.mutable_data_ptr<int64_t>() + ends[s], size},
                  {words.const_data_ptr<float>() + ends[s], size},
                  {}};
    take(tokens);
  }
  return ids;
}

}  // namespace

Masked draw_masks(const Batch& batch, const Masking& masking) {
  Chosen rows(masking, batch.seed);
  const at::Tensor keys = batch.streams.front().keys.to(at::kCPU).contiguous();
  const auto* first = keys.const_data_ptr<int64_t>();
  const at::Tensor ids = each_sample(batch, [&](Tokens& tokens) {
    const int64_t* own = first + tokens.first_row;
    tokens.keys.assign(own, own + tokens.ids.size());
    rows.choose_words(tokens);
  });
  return rows.masked(batch, ids);
}

Masked fixed_masks(const Batch& batch, const Masking& masking) {
  Chosen rows(masking, /*seed=*/0);
  const at::Tensor ids = each_sample(batch, [&](Tokens& tokens) {
    if (rows.take_own_masks(tokens)) return;
    tokens.keys = keys_of_text(tokens.ids);
    rows.choose_words(tokens);
  });
  return rows.masked(batch, ids);
}

}  // namespace hone::mlm
