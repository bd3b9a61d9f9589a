#include "data/tokenizer/training/unigram_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/progress.h"
#include "base/utf8.h"
#include "data/tokenizer/piece_trie.h"
#include "data/tokenizer/training/seed_pieces.h"

namespace hone {
namespace {

using ScoredPiece = std::pair<std::string, double>;
using ScoredPieces = std::vector<ScoredPiece>;  // the first stands for characters without a piece

constexpr size_t kMostSeeds = 1'000'000;
constexpr double kUnknownPenalty = 10.0, kExpectedAtLeast = 0.5;
// Of characters that the rounds dropped and that must be there: each is a little likelier than the
// one before.
constexpr double kMissingStep = 0.0001;

// The derivative of the logarithm of the gamma function, as SentencePiece computes it.
double digamma(double x) {
  double result = 0;
  for (; x < 7; ++x) result -= 1 / x;
  x -= 0.5;
  const double xx = 1 / x, xx2 = xx * xx, xx4 = xx2 * xx2;
  return result + std::log(x) + 1.0 / 24 * xx2 - 7.0 / 960 * xx4 + 31.0 / 8064 * xx4 * xx2 -
         127.0 / 30720 * xx4 * xx4;
}

double log_sum_exp(double x, double y) {
  const double low = std::min(x, y), high = std::max(x, y);
  return high > low + 50 ? high : high + std::log(std::exp(low - high) + 1);
}

// The pieces that a word can be cut into. Kept between words for its memory.
class Lattice {
 public:
  struct Node {
    int32_t piece, begin, end;
    double score;
  };

  // All pieces that stand in the word, and for a character that is none, the unknown one (0).
  void fill(std::string_view word, const PieceTrie& trie,
            const std::vector<int32_t>& piece_of_entry, const ScoredPieces& pieces,
            double unknown) {
    size_ = word.size();
    nodes_.clear();
    first_.assign(size_ + 1, 0);
    if (ends_.size() <= size_) ends_.resize(size_ + 1);
    for (size_t i = 0; i <= size_; ++i) ends_[i].clear();
    for (size_t at = 0; at < size_;) {
      size_t next = at;
      next_code_point(word, next);
      bool has_single = false;
      for (size_t i = at; i < next; ++i) first_[i] = std::ssize(nodes_);
      trie.prefixes(word, at, [&](size_t end, int32_t entry) {
        const int32_t piece = piece_of_entry[entry];
        if (piece < 0) return;
        add(piece, at, end, pieces[piece].second);
        has_single = has_single || end == next;
      });
      if (!has_single) add(0, at, next, unknown);
      for (size_t i = at + 1; i < next; ++i) first_[i] = std::ssize(nodes_);
      at = next;
    }
    first_[size_] = std::ssize(nodes_);
  }

  // Adds to `expected` how often each piece is to be expected in the word, `count` times.
  void add_expected(double count, std::vector<double>& expected) {
    before_.assign(size_ + 1, 0);
    after_.assign(size_ + 1, 0);
    for (size_t at = 1; at <= size_; ++at) {
      bool is_first = true;
      for (const int32_t index : ends_[at]) {
        const Node& node = nodes_[index];
        const double score = node.score + before_[node.begin];
        before_[at] = std::exchange(is_first, false) ? score : log_sum_exp(before_[at], score);
      }
    }
    for (size_t at = size_; at-- > 0;) {
      bool is_first = true;
      for (int64_t i = first_[at]; i < first_[at + 1]; ++i) {
        const double score = nodes_[i].score + after_[nodes_[i].end];
        after_[at] = std::exchange(is_first, false) ? score : log_sum_exp(after_[at], score);
      }
    }
    for (const Node& node : nodes_) {
      const double total = before_[node.begin] + node.score + after_[node.end] - before_[size_];
      expected[node.piece] += count * std::exp(total);
    }
  }

  // The pieces of the likeliest way to cut the word; without the one that is all of it, where
  // `is_cut`. Empty where there is none.
  const std::vector<int32_t>& best(bool is_cut = false) {
    path_.clear();
    reached_.assign(nodes_.size(), {0, kNone});
    for (int32_t i = 0; i < std::ssize(nodes_); ++i) {
      const Node& node = nodes_[i];
      if (node.begin == 0) {
        const bool is_whole = node.end == static_cast<int32_t>(size_);
        reached_[i] = {node.score, is_cut && is_whole ? kNone : kStart};
      } else {
        reached_[i] = best_before(node.begin, node.score);
      }
    }
    for (int32_t i = best_before(size_, 0).previous; i >= 0; i = reached_[i].previous)
      path_.push_back(nodes_[i].piece);
    std::reverse(path_.begin(), path_.end());
    return path_;
  }

 private:
  static constexpr int32_t kNone = -2, kStart = -1;
  struct Reached {
    double score;
    int32_t previous;  // a node, or kStart; kNone: not reached
  };

  size_t size_ = 0;
  std::vector<Node> nodes_;                 // by their beginnings, the shortest first
  std::vector<int64_t> first_;              // of the nodes that begin at a byte or after it
  std::vector<std::vector<int32_t>> ends_;  // the nodes that end at a byte
  std::vector<double> before_, after_;  // logarithms of the sums over all ways to here, from here
  std::vector<Reached> reached_;
  std::vector<int32_t> path_;

  void add(int32_t piece, size_t begin, size_t end, double score) {
    ends_[end].push_back(static_cast<int32_t>(nodes_.size()));
    nodes_.push_back({piece, static_cast<int32_t>(begin), static_cast<int32_t>(end), score});
  }

  Reached best_before(size_t at, double score) const {
    Reached out{0, kNone};
    for (const int32_t index : ends_[at]) {
      const double sum = reached_[index].score + score;
      if (reached_[index].previous != kNone && (out.previous == kNone || sum > out.score))
        out = {sum, index};
    }
    return out;
  }
};

class UnigramTrainer {
 public:
  UnigramTrainer(const WordCounts& words, const UnigramTrainerOptions& options)
      : words_(words), options_(options), required_(required_characters()) {
    room_ = options.vocab_size - std::ssize(options.special_tokens);
    if (std::ssize(required_) <= room_) return;
    throw Error(
        ErrorKind::kUsage,
        fmt::format("vocab_size is {}, but the special tokens and the characters of this "
                    "corpus are {} tokens; make it larger, or normalize the texts",
                    options.vocab_size, std::ssize(required_) + options.vocab_size - room_));
  }

  TrainedUnigram run() {
    seed();
    const auto desired = static_cast<size_t>(options_.vocab_size * 11 / 10);
    for (;;) {
      for (int64_t i = 0; i < options_.n_sub_iterations; ++i) maximise(expect());
      if (pieces_.size() <= desired) break;
      const size_t before = pieces_.size();
      prune(desired);
      build();
      if (pieces_.size() == before) break;  // nothing is left that could go
    }
    return finish();
  }

 private:
  const WordCounts& words_;
  const UnigramTrainerOptions& options_;
  const std::set<char32_t> required_;
  int64_t room_ = 0;  // for pieces that are no special tokens

  ScoredPieces pieces_;
  PieceTrie trie_;
  std::vector<int32_t> piece_of_entry_;  // of the trie; -1: it has gone since the trie was built
  double least_score_ = 0;
  Lattice lattice_;
  Progress progress_{"learning pieces", 0, "words"};
  int64_t done_ = 0;

  std::set<char32_t> required_characters() const {
    std::set<char32_t> out(options_.initial_alphabet.begin(), options_.initial_alphabet.end());
    for (size_t i = 0; i < words_.size(); ++i) {
      const std::string_view word = words_.word(i);
      for (size_t at = 0; at < word.size();) out.insert(next_code_point(word, at));
    }
    return out;
  }

  void seed() {
    pieces_.emplace_back("", std::nan(""));
    double sum = 0;
    for (auto& [piece, score] : seed_pieces(words_, options_.max_piece_length, kMostSeeds)) {
      pieces_.emplace_back(std::move(piece), static_cast<double>(score));
      sum += static_cast<double>(score);
    }
    for (size_t i = 1; i < pieces_.size(); ++i)
      pieces_[i].second = std::log(pieces_[i].second) - std::log(sum);
    build();
  }

  void build() {
    std::vector<PieceTrie::Entry> entries;
    for (size_t i = 1; i < pieces_.size(); ++i)
      entries.emplace_back(pieces_[i].first, static_cast<int32_t>(i));
    trie_ = PieceTrie(std::move(entries));
    piece_of_entry_.resize(pieces_.size());
    std::iota(piece_of_entry_.begin(), piece_of_entry_.end(), 0);
    find_least_score();
  }

  void find_least_score() {
    least_score_ = std::numeric_limits<double>::infinity();
    for (size_t i = 1; i < pieces_.size(); ++i)
      least_score_ = std::min(least_score_, pieces_[i].second);
  }

  void fill(std::string_view word) {
    lattice_.fill(word, trie_, piece_of_entry_, pieces_, least_score_ - kUnknownPenalty);
  }

  void advance() {
    if (++done_ % 4096 == 0)
      progress_.advance_to(done_, fmt::format("{} pieces", pieces_.size() - 1));
  }

  std::vector<double> expect() {
    std::vector<double> expected(pieces_.size());
    for (size_t i = 0; i < words_.size(); ++i) {
      fill(words_.word(i));
      lattice_.add_expected(static_cast<double>(words_.count(i)), expected);
      advance();
    }
    return expected;
  }

  // Probabilities from expected counts, with the sparse prior that digamma is; what is hardly ever
  // used goes.
  void maximise(const std::vector<double>& expected) {
    std::vector<int32_t> new_place(pieces_.size(), -1);
    size_t size = 1;
    double sum = 0;
    for (size_t i = 1; i < pieces_.size(); ++i) {
      if (expected[i] < kExpectedAtLeast) continue;
      sum += expected[i];
      new_place[i] = static_cast<int32_t>(size);
      pieces_[size] = {std::move(pieces_[i].first), expected[i]};
      ++size;
    }
    pieces_.resize(size);
    const double log_sum = digamma(sum);
    for (size_t i = 1; i < size; ++i) pieces_[i].second = digamma(pieces_[i].second) - log_sum;
    for (int32_t& piece : piece_of_entry_) piece = piece > 0 ? new_place[piece] : -1;
    find_least_score();
  }

  // How each piece would be cut were it not there: the second best way, where the best is the piece
  // itself. `is_needed` where there is no other way.
  struct Alternatives {
    std::vector<std::vector<int32_t>> cuts;
    std::vector<bool> is_needed;
  };
  Alternatives find_alternatives() {
    Alternatives out{std::vector<std::vector<int32_t>>(pieces_.size()),
                     std::vector<bool>(pieces_.size())};
    for (size_t i = 1; i < pieces_.size(); ++i) {
      fill(pieces_[i].first);
      const bool is_itself = lattice_.best().size() == 1;
      const std::vector<int32_t>& cut = lattice_.best(/*is_cut=*/true);
      out.is_needed[i] = is_itself || cut.empty();
      if (is_itself) out.cuts[i] = cut;
    }
    return out;
  }

  std::vector<double> count_in_best_cuts() {
    std::vector<double> out(pieces_.size());
    for (size_t i = 0; i < words_.size(); ++i) {
      fill(words_.word(i));
      for (const int32_t piece : lattice_.best())
        out[piece] += static_cast<double>(words_.count(i));
      advance();
    }
    return out;
  }

  // Leaves the pieces that cannot be missed and, of the others, those that the corpus would miss
  // most.
  void prune(size_t desired) {
    const Alternatives alternatives = find_alternatives();
    const std::vector<double> counts = count_in_best_cuts();
    double sum = 0, words = 0;
    for (const double count : counts) sum += count;
    for (size_t i = 0; i < words_.size(); ++i) words += static_cast<double>(words_.count(i));
    std::vector<size_t> kept{0};
    std::vector<std::pair<size_t, double>> losses;
    for (size_t i = 1; i < pieces_.size(); ++i) {
      if (counts[i] == 0 && !alternatives.is_needed[i]) continue;
      if (alternatives.cuts[i].empty()) {
        kept.push_back(i);
      } else if (counts[i] > 0) {
        losses.emplace_back(i, loss(i, alternatives.cuts[i], counts, sum, words));
      }
    }
    std::stable_sort(losses.begin(), losses.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    const size_t size = std::max(desired, static_cast<size_t>(static_cast<double>(pieces_.size()) *
                                                              options_.shrinking_factor));
    for (const auto& [piece, loss] : losses) {
      if (kept.size() == size) break;
      kept.push_back(piece);
    }
    ScoredPieces left;
    for (const size_t i : kept) left.push_back(std::move(pieces_[i]));
    pieces_ = std::move(left);
  }

  // Of the corpus' likelihood, were each occurrence of the piece cut so. The sum of counts that
  // follows ought to grow by what the cut has more than one part; the reference lets it grow by the
  // number of all pieces, and as ids are to be equal, so does this.
  double loss(size_t piece, const std::vector<int32_t>& cut, const std::vector<double>& counts,
              double sum, double words) const {
    const double count = counts[piece];
    const double log_probability = std::log(count) - std::log(sum);
    const double log_sum = std::log(sum + count * static_cast<double>(pieces_.size() - 1));
    double log_cut = 0;
    for (const int32_t part : cut) log_cut += std::log(counts[part] + count) - log_sum;
    return count / words * (log_probability - log_cut);
  }

  // The special tokens, then all characters and as many other pieces as there is room for, the
  // likeliest first.
  TrainedUnigram finish() {
    std::unordered_map<std::string, double> scores(pieces_.begin() + 1, pieces_.end());
    std::unordered_set<std::string> known;
    ScoredPieces chosen;
    double missing = least_score_;
    for (const char32_t c : required_) {
      const std::string character = to_utf8({&c, 1});
      const auto found = scores.find(character);
      chosen.emplace_back(character, found != scores.end() ? found->second : missing);
      if (found == scores.end()) missing += kMissingStep;
      known.insert(character);
    }
    for (size_t i = 1; i < pieces_.size() && std::ssize(chosen) < room_; ++i) {
      if (known.insert(pieces_[i].first).second) chosen.push_back(pieces_[i]);
    }
    std::stable_sort(chosen.begin(), chosen.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    TrainedUnigram out{{}, 0};
    for (const std::string& token : options_.special_tokens) {
      if (token == options_.unk_token) out.unk_id = static_cast<int32_t>(out.pieces.size());
      out.pieces.emplace_back(token, 0.0);
    }
    out.pieces.insert(out.pieces.end(), chosen.begin(), chosen.end());
    return out;
  }
};

}  // namespace

TrainedUnigram train_unigram(const WordCounts& words, const UnigramTrainerOptions& options) {
  return UnigramTrainer(words, options).run();
}

}  // namespace hone
