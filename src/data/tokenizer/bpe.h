// Byte-pair encoding: a word starts as its characters (or bytes), and the pair of neighbours that
// was merged earliest in training is merged, until none is left. Sennrich et al. 2016, "Neural
// machine translation of rare words with subword units".
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/tokenizer/model.h"

namespace hone {

struct BpeOptions {
  std::optional<std::string>
      unk_token;               // for characters without a token; without it they are left out
  bool fuse_unk = false;       // neighbouring unknown characters are one token
  bool byte_fallback = false;  // a character without a token becomes <0x00> … <0xFF>
  std::string continuing_subword_prefix;  // written before each character but a word's first
  std::string end_of_word_suffix;         // and after its last
  bool ignore_merges = false;  // a word that is a token is that token, whatever the merges say
  bool is_byte_level =
      false;  // words are bytes; the vocabulary is written in the alphabet of byte_level.h
};

class Bpe final : public Model {
 public:
  using Merges = std::vector<std::pair<std::string, std::string>>;  // the earlier, the stronger

  // Throws Error(kModel) at `where` for a merge whose parts or result are not in the vocabulary;
  // `lines` are those of the merges, where the file has lines.
  Bpe(Vocabulary vocabulary, const Merges& merges, BpeOptions options, const Where& where,
      const std::vector<int64_t>& lines = {});

  static std::unique_ptr<Bpe> load(const JsonNode& model, bool is_byte_level);
  // From merges.txt.
  static std::unique_ptr<Bpe> load_merges(Vocabulary vocabulary, const std::string& merges_txt,
                                          BpeOptions options);

  void tokenize(std::string_view word, std::vector<Piece>& out) const override;
  bool cuts_before(std::string_view mark) const override;
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  const BpeOptions& options() const { return options_; }
  void append_json(std::string& out) const override;
  void save_files(const std::string& folder) const override;

 private:
  struct Symbol;
  // Two neighbours merged; without a merge the rank is no merge's.
  struct Joined {
    int32_t rank = kNoRank, id = 0;
  };
  static constexpr int32_t kNoRank = INT32_MAX;
  struct Merge {
    uint64_t pair = UINT64_MAX;  // left id in the upper half, right id in the lower; free where all
                                 // bits are set
    int32_t rank = -1, id = -1;
  };

  Vocabulary vocabulary_;
  BpeOptions options_;
  int32_t unk_id_ = Vocabulary::kNone;
  std::array<int32_t, 256> fallback_ids_{};  // of <0x00> …, where byte_fallback
  // Of single bytes where is_byte_level, else of ASCII: [is a word's first][is its last].
  std::array<std::array<std::array<int32_t, 256>, 2>, 2> letter_ids_{};
  // Of two bytes one after the other, where each is a symbol whatever its place: most of what is
  // looked up is that, and in one place it stays at hand. Empty where that is not so.
  std::vector<Joined> letter_pairs_;
  std::vector<Merge> merges_;  // open addressing, a power of two, at most half full
  // Most pairs have no merge, and a bit tells so: set for the hash of each pair that has one.
  std::vector<uint64_t> filter_;
  int hash_shift_ = 0;  // leaves a number of a bit; without its last kFilterBits, of a slot
  static constexpr int kFilterBits = 3;
  uint32_t serial_;  // in the WordCache

  void find_letter_ids();
  void find_letter_pairs();
  void add_merge(const std::string& left, const std::string& right, int32_t rank,
                 const Where& where);
  uint64_t hash_of(uint64_t pair) const { return pair * 0x9E3779B97F4A7C15ULL >> hash_shift_; }
  const Merge* find_merge(int32_t left, int32_t right) const;
  std::string written(std::string_view character, bool is_first, bool is_last) const;
  int32_t id_of_character(std::string_view word, size_t begin, size_t end) const;
  void start_symbols(std::string_view word, std::vector<Symbol>& out) const;
  bool has_bytes(std::string_view character) const;
  Joined join(int32_t left, int32_t right) const;
  Joined join_first(std::string_view word, const std::vector<Symbol>& symbols, size_t left) const;
  void merge_few(std::string_view word, std::vector<Symbol>& symbols) const;
  void merge_all(std::string_view word, std::vector<Symbol>& symbols) const;
  int32_t find_whole(std::string_view word) const;
  void tokenize_anew(std::string_view word, std::vector<Piece>& out) const;
  std::vector<Merge> merges_by_rank() const;
};

}  // namespace hone
