#include "data/tokenizer/training/bpe_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <queue>
#include <set>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "base/utf8.h"

namespace hone {
namespace {

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}
int32_t left_of(uint64_t key) { return static_cast<int32_t>(key >> 32); }
int32_t right_of(uint64_t key) { return static_cast<int32_t>(key & UINT32_MAX); }

// Pairs numbered as they are met: open addressing, at most half full.
class PairNumbers {
 public:
  static constexpr uint64_t kFree = UINT64_MAX;

  // The pair's number; `size()` before the call where it is new.
  int32_t number(uint64_t key) {
    if (2 * (keys_.size() + 1) > slots_.size()) grow();
    int32_t& slot = slots_[place_of(key)];
    if (slot < 0) {
      slot = static_cast<int32_t>(keys_.size());
      keys_.push_back(key);
    }
    return slot;
  }
  uint64_t key(int32_t number) const { return keys_[number]; }
  size_t size() const { return keys_.size(); }

 private:
  std::vector<uint64_t> keys_;
  std::vector<int32_t> slots_ = std::vector<int32_t>(1 << 16, -1);

  size_t place_of(uint64_t key) const {
    size_t at = (key * 0x9E3779B97F4A7C15ULL >> 20) & (slots_.size() - 1);
    while (slots_[at] >= 0 && keys_[slots_[at]] != key) at = (at + 1) & (slots_.size() - 1);
    return at;
  }
  void grow() {
    slots_.assign(2 * slots_.size(), -1);
    for (size_t i = 0; i < keys_.size(); ++i) slots_[place_of(keys_[i])] = static_cast<int32_t>(i);
  }
};

// The characters that become tokens, in their order: all of the corpus and of the initial
// alphabet, or the most frequent of them.
std::vector<char32_t> alphabet_of(const WordCounts& words, const BpeTrainerOptions& options) {
  std::unordered_map<char32_t, int64_t> counts;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words.word(i);
    for (size_t at = 0; at < word.size();) counts[next_code_point(word, at)] += words.count(i);
  }
  for (const char32_t c : options.initial_alphabet) counts[c] = std::numeric_limits<int64_t>::max();
  std::vector<std::pair<char32_t, int64_t>> list(counts.begin(), counts.end());
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (options.limit_alphabet && std::ssize(list) > *options.limit_alphabet)
    list.resize(*options.limit_alphabet);
  std::vector<char32_t> out;
  for (const auto& [c, count] : list) out.push_back(c);
  std::sort(out.begin(), out.end());
  return out;
}

class BpeTrainer {
 public:
  BpeTrainer(const WordCounts& words, const BpeTrainerOptions& options)
      : words_(words),
        options_(options),
        most_length_(options.max_token_length.value_or(std::numeric_limits<int64_t>::max())) {}

  TrainedBpe run() {
    for (const std::string& token : options_.special_tokens) add_token(token, 1);
    add_alphabet();
    cut_words();
    count_pairs();
    merge_pairs();
    Bpe::Merges list = merges();
    return {std::move(tokens_), std::move(list)};
  }

 private:
  // The words of a pair, and how often it stood in the corpus when they were listed.
  struct Entry {
    int64_t count;
    uint64_t pair;
    std::vector<int32_t> words;
    bool operator<(const Entry& other) const {  // the most frequent first, then the lower ids
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };

  const WordCounts& words_;
  const BpeTrainerOptions& options_;
  const int64_t most_length_;

  std::vector<std::string> tokens_;
  std::vector<int64_t> lengths_;  // in characters, by id
  Vocabulary ids_;                // of tokens_
  std::map<char32_t, int32_t> characters_;

  std::vector<int32_t> symbols_;  // the words one after the other, each from its start on
  std::vector<size_t> starts_;
  std::vector<int32_t> sizes_;

  PairNumbers pairs_;
  std::vector<int64_t> counts_;                // by number of the pair
  std::vector<std::vector<int32_t>> waiting_;  // words where it is new
  std::vector<int32_t> touched_;               // pairs with such words
  std::priority_queue<Entry> queue_;
  std::vector<std::pair<uint64_t, int32_t>> merged_;  // pair, and the token it makes

  int32_t add_token(const std::string& token, int64_t length) {
    if (const int32_t known = ids_.find(token); known != Vocabulary::kNone) return known;
    const auto id = static_cast<int32_t>(tokens_.size());
    ids_.set(token, id);
    tokens_.push_back(token);
    lengths_.push_back(length);
    return id;
  }

  void add_alphabet() {
    for (const char32_t c : alphabet_of(words_, options_)) {
      std::string character;
      append_utf8(character, c);
      characters_[c] = add_token(character, 1);
    }
    add_marked_characters();
    if (std::ssize(tokens_) <= options_.vocab_size) return;
    throw Error(ErrorKind::kUsage,
                fmt::format("vocab_size is {}, but the special tokens and the alphabet of this "
                            "corpus are {} tokens; set limit_alphabet, or a larger vocab_size",
                            options_.vocab_size, tokens_.size()));
  }

  // Characters as they are written within a word and at its end, where that differs, in their
  // order.
  void add_marked_characters() {
    std::set<std::pair<char32_t, int>> met;
    if (options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty()) return;
    for (size_t i = 0; i < words_.size(); ++i)
      visit(words_.word(i), [&](char32_t c, int place) { met.emplace(c, place); });
    for (const auto& [c, place] : met) add_token(marked(c, place), 1);
  }

  // visit(character, place) for those of the alphabet; place: 1 within the word, 2 at its end, 3
  // both.
  template <typename Visit>
  void visit(std::string_view word, const Visit& visit) const {
    for (size_t at = 0; at < word.size();) {
      const bool is_first = at == 0;
      const char32_t c = next_code_point(word, at);
      if (characters_.contains(c)) visit(c, (is_first ? 0 : 1) + (at == word.size() ? 2 : 0));
    }
  }

  std::string marked(char32_t c, int place) const {
    std::string out = (place & 1) != 0 ? options_.continuing_subword_prefix : "";
    append_utf8(out, c);
    return (place & 2) != 0 ? out + options_.end_of_word_suffix : out;
  }

  void cut_words() {
    const bool is_marked =
        !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty();
    for (size_t i = 0; i < words_.size(); ++i) {
      starts_.push_back(symbols_.size());
      visit(words_.word(i), [&](char32_t c, int place) {
        symbols_.push_back(is_marked ? ids_.find(marked(c, place)) : characters_.at(c));
      });
      sizes_.push_back(static_cast<int32_t>(symbols_.size() - starts_.back()));
    }
  }

  // `count` more of the pair; where that is new in a word, it is listed.
  void change(int32_t left, int32_t right, int64_t count, int32_t word) {
    const int32_t number = pairs_.number(pair_key(left, right));
    if (static_cast<size_t>(number) == counts_.size()) {
      counts_.push_back(0);
      waiting_.emplace_back();
    }
    counts_[number] += count;
    if (count < 0) return;
    std::vector<int32_t>& list = waiting_[number];
    if (list.empty()) touched_.push_back(number);
    if (list.empty() || list.back() != word) list.push_back(word);
  }

  void enqueue_touched() {
    for (const int32_t number : touched_) {
      if (counts_[number] > 0)
        queue_.push({counts_[number], pairs_.key(number), std::move(waiting_[number])});
      waiting_[number] = {};
    }
    touched_.clear();
  }

  void count_pairs() {
    for (int32_t word = 0; word < std::ssize(starts_); ++word) {
      const int32_t* symbols = symbols_.data() + starts_[word];
      for (int32_t i = 0; i + 1 < sizes_[word]; ++i)
        change(symbols[i], symbols[i + 1], words_.count(word), word);
    }
    enqueue_touched();
  }

  Entry pop() {
    Entry out = std::move(const_cast<Entry&>(queue_.top()));
    queue_.pop();
    return out;
  }

  void merge_pairs() {
    Progress progress("merging pairs", options_.vocab_size, "tokens");
    while (std::ssize(tokens_) < options_.vocab_size && !queue_.empty()) {
      Entry best = pop();
      const int64_t count = counts_[pairs_.number(best.pair)];
      if (count != best.count) {  // some have been merged with others since
        best.count = count;
        if (count > 0) queue_.push(std::move(best));
        continue;
      }
      if (count < options_.min_frequency) break;
      const int32_t id = add_merged(best.pair);
      merged_.emplace_back(best.pair, id);
      for (const int32_t word : best.words) merge_in(word, best.pair, id);
      enqueue_touched();
      if (tokens_.size() % 64 == 0) progress.advance_to(std::ssize(tokens_));
    }
    progress.advance_to(std::ssize(tokens_));
  }

  int32_t add_merged(uint64_t pair) {
    std::string_view right = tokens_[right_of(pair)];
    const std::string& prefix = options_.continuing_subword_prefix;
    if (right.starts_with(prefix)) right.remove_prefix(prefix.size());
    const int64_t length = lengths_[left_of(pair)] + lengths_[right_of(pair)];
    const int32_t id = add_token(tokens_[left_of(pair)] + std::string(right), length);
    lengths_[id] = length;  // a special token may be written like it
    return id;
  }

  bool may_join(int32_t left, int32_t right) const {
    return lengths_[left] + lengths_[right] < most_length_;
  }

  // Puts `id` for each of the pair in the word, from the left, and counts its new neighbours for
  // the old ones. `out` is where the next symbol goes.
  void merge_in(int32_t word, uint64_t pair, int32_t id) {
    const int32_t left = left_of(pair), right = right_of(pair), size = sizes_[word];
    int32_t* symbols = symbols_.data() + starts_[word];
    const int64_t count = words_.count(word);
    int32_t out = 0;
    for (int32_t i = 0; i < size; ++out) {
      if (symbols[i] != left || i + 1 >= size || symbols[i + 1] != right) {
        symbols[out] = symbols[i++];
        continue;
      }
      i += 2;
      if (out > 0) {
        change(symbols[out - 1], left, -count, word);
        if (may_join(symbols[out - 1], id)) change(symbols[out - 1], id, count, word);
      }
      if (i < size) {
        change(right, symbols[i], -count, word);
        if (may_join(id, symbols[i])) change(id, symbols[i], count, word);
      }
      symbols[out] = id;
    }
    sizes_[word] = out;
  }

  // Of a pair that was merged twice the later place counts, as in the reference.
  Bpe::Merges merges() const {
    std::unordered_map<uint64_t, size_t> last;
    for (size_t i = 0; i < merged_.size(); ++i) last[merged_[i].first] = i;
    Bpe::Merges out;
    for (size_t i = 0; i < merged_.size(); ++i) {
      const uint64_t pair = merged_[i].first;
      if (last.at(pair) == i) out.emplace_back(tokens_[left_of(pair)], tokens_[right_of(pair)]);
    }
    return out;
  }
};

}  // namespace

TrainedBpe train_bpe(const WordCounts& words, const BpeTrainerOptions& options) {
  return BpeTrainer(words, options).run();
}

}  // namespace hone
