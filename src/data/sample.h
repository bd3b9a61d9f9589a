// What a task makes of a record: integers ready for a model. No tensor here; tasks/batch.h turns
// samples into a batch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hone {

// A half-open range of bytes [start, end) in the text that was encoded.
struct Span {
  int32_t start = 0, end = 0;
  bool operator==(const Span&) const = default;
};

// Rows of numbers: what a sample is beside its tokens, or in their place (patches of a picture,
// frames of a sound).
struct Features {
  int32_t width = 0;
  std::vector<float> values;  // [rows * width]

  int64_t rows() const { return width == 0 ? 0 : static_cast<int64_t>(values.size()) / width; }
};

// One token sequence, or several that belong together (the choices of a question), laid end to end.
// All vectors but `ends` have the same length n.
struct Sequence {
  std::vector<int32_t> ids;
  std::vector<int32_t> segments;  // 0 or 1 (token_type_ids)
  std::vector<int32_t> texts;     // 0, or 1 for the second of a pair; -1 for special tokens
  std::vector<int32_t>
      words;  // index of the word (pre-token, or entry of a tokens column); -1 for special tokens
  std::vector<Span> offsets;       // bytes in the sequence's source text; {0, 0} for special tokens
  Features features = {};          // rows of their own: any number beside n tokens
  std::vector<int32_t> ends = {};  // where each of several ends, the last at n; empty: it is one

  int64_t size() const { return static_cast<int64_t>(ids.size()); }
  int64_t sequences() const { return ends.empty() ? 1 : static_cast<int64_t>(ends.size()); }
  void append(const Sequence& other);  // as a sequence of its own, after those that are there
};

// A target column. Classes are whole numbers; kNoTarget marks a token or sample that carries none.
// `width` values belong to each row: 1 for a class or a number, the number of labels for a
// multi-label vector.
constexpr float kNoTarget = -100.0F;
struct Target {
  std::string name;
  bool per_token = false;  // rows are the tokens of the *last* stream, else the sample itself
  int32_t width = 1;
  std::vector<float> values;  // [rows * width]; exact for classes up to 2^24. Or rows of a list of
                              // any length, which another column counts (pairs of tokens)
  // It says nothing of what is right, so that equal texts may differ in it. For who counts; a
  // SampleStore does not keep it.
  bool is_input = false;
};

// Streams: one for most tasks; two for source and target (sequence-to-sequence) or for pairs
// encoded apart (similarity).
struct Sample {
  std::vector<Sequence> streams;
  std::vector<Target> targets;
  int64_t record = 0;  // index of the record within its split
  int32_t window = 0;  // which part of a long record, from 0
  int32_t task = 0;    // of several tasks on one encoder, whose it is; else 0
  // Of a record's first sample: what its targets cannot say as the gold record does; "" where they
  // say all. For who counts; a SampleStore does not keep it.
  std::string repair = {};
  // Of a sample that is of a class, by which training may draw it: the class, from 1; 0: none. A
  // SampleStore keeps it apart (SampleStore::strata).
  int32_t stratum = 0;

  int64_t size() const;  // tokens and feature rows of all streams: what the planner counts
};

}  // namespace hone
